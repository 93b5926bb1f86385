"""Outbound edge: the API server, NATS KV, a lease, clocks."""
