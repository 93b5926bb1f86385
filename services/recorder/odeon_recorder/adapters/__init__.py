"""Outbound edge: local disk, object storage, bus."""
