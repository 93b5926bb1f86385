"""`odeon scaling`: what a policy would do, tried on a load before a cluster is."""
