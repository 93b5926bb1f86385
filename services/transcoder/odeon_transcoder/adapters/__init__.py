"""Outbound edges of the transcoder, one file per neighbour."""
