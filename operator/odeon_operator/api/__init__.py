"""Inbound edge: manifests of custom resources become values of the domain."""
