"""Prometheus metrics of the operator. No names of pools or pods in labels: they are many."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("odeon_operator_reconciles_total", "Looks at a pool, by result", ["result"])
RECONCILE_SECONDS = Histogram(
    "odeon_operator_reconcile_seconds",
    "One look at a pool, with its writes",
    buckets=(0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DECISION_SECONDS = Histogram(
    "odeon_operator_decision_seconds",
    "From a change that concerns a pool to the decision made of it",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ACTIONS = Counter("odeon_operator_actions_total", "What was done to pods", ["action"])
EVENTS = Counter(
    "odeon_operator_events_total",
    "What was told as Kubernetes Events, by what came of it",
    ["result"],
)
STATUS_WRITES = Counter("odeon_operator_status_writes_total", "Writes of a pool's status")
TROUBLE = Gauge(
    "odeon_operator_pools_in_trouble",
    "Pools of which a condition says that somebody should look at it",
    ["condition"],
)
LEADER = Gauge("odeon_operator_leader", "1 while this process holds the lease")
WATCH_AGE = Gauge(
    "odeon_operator_watch_age_seconds",
    "Since the picture of the cluster was last known to be whole",
)
