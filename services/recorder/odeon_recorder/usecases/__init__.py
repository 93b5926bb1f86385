"""Load, call the domain, store, tell: no rule and no wire type."""
