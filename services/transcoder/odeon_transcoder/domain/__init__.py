"""Rules of the transcoder as pure functions and small values; time and frames are handed in."""
