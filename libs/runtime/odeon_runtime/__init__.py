"""Odeon's runtime: what every service process shares."""
