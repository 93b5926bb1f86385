"""auth: tenants, keys, tokens, revocation."""
