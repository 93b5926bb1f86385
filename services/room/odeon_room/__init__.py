"""room: events, participants, jobs, placement."""
