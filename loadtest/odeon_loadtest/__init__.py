"""Load scenarios, each with its bars."""
