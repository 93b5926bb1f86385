"""`odeon up`: a whole deployment as child processes of one supervisor."""
