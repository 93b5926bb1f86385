"""The operator: how many pods each pool should have, which ones, and why."""
