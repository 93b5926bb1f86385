"""transcoder: composes and encodes in slots."""
