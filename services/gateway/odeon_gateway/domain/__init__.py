"""Rules of the gateway: pure functions and frozen values."""
