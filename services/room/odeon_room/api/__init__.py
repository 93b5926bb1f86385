"""Inbound edge of room."""
