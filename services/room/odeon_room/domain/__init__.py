"""Rules of room: events, admission, placement, jobs. Pure functions and values."""
