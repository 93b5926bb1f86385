"""gateway: the public face."""
