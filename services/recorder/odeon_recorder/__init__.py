"""recorder: timelines, the origin of all playback."""
