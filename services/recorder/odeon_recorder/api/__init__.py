"""Inbound edge: gRPC for owners, HTTP for parts and for the edges. Decides nothing."""
