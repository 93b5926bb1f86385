"""Rules of timelines, playlists and directives: pure, no I/O, no clock."""
