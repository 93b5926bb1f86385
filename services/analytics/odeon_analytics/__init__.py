"""analytics: facts and what they add up to."""
