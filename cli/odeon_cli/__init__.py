"""The odeon command."""
