"""What the operator does: look at one pool, decide, carry it out, say so."""
