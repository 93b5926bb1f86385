"""A real Kubernetes for tests: its control plane, as processes of this machine."""
