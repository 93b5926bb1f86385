"""Pods without containers: many agents in one process, for pods that KWOK pretends to run."""
