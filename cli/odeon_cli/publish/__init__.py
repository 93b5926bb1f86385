"""`odeon publish`: a file or the test card, sent by WHIP as an encoder would."""
