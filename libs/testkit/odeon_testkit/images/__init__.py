"""Container images without a daemon or a registry: layers, manifests, archives (OCI image spec)."""
