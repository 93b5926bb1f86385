"""The synthetic prober: joins every node for real, as a process of its own."""
