"""The scenarios of `odeon loadtest`, a module each."""
