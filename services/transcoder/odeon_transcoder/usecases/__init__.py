"""What the transcoder does: take offers, run jobs, hand over, drain."""
