"""Prometheus metrics of a process's connection to NATS."""

from prometheus_client import Counter, Gauge

OUTBOX_FACTS = Gauge("odeon_bus_outbox_facts", "Facts that wait for NATS")
OUTBOX_BYTES = Gauge("odeon_bus_outbox_bytes", "Memory of the facts that wait for NATS")
DROPPED = Counter("odeon_bus_dropped_facts_total", "Facts given up because the outbox was full")
CONNECTED = Gauge("odeon_bus_connected", "1 while NATS answers")
DEAD_LETTERS = Counter(
    "odeon_bus_dead_letters_total", "Messages put aside for good, by reason", ["reason"]
)
