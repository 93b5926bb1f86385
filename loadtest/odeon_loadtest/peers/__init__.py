"""Servers that Odeon is compared with, run beside it on loopback."""
