"""What auth does: load, ask the domain, store, publish."""
