"""Outbound edge of room: database, auth, signaling nodes, recorder, NATS."""
