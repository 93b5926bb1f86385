"""Rules of the stage: pure functions and frozen values."""
