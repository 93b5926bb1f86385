"""signaling: one node of the SFU."""
