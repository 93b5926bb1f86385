"""Inbound edge of the transcoder."""
