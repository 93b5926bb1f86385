"""Inbound edge of auth."""
