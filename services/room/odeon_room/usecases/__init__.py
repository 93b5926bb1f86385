"""What room does: load, ask the domain, store, tell."""
