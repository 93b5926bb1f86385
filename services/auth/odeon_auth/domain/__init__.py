"""Rules of auth: who may hold what, for how long. Pure functions and values."""
