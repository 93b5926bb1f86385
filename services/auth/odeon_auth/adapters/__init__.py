"""Outbound edge of auth: its database."""
