"""Real servers and checkers for Odeon's tests."""
