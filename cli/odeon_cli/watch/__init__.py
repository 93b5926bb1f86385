"""`odeon watch`: plays LL-HLS or WHEP as a viewer would, and measures what the viewer gets."""
