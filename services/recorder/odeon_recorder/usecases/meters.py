"""Prometheus metrics of the recorder. No ids in labels: tenants and events are many."""

from prometheus_client import Counter, Gauge, Histogram

PARTS = Counter("odeon_recorder_parts_total", "Parts stored, by result", ["result"])
STORE_SECONDS = Histogram(
    "odeon_recorder_store_seconds",
    "From a part's last byte to its acknowledgement",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
ORIGIN_REQUESTS = Counter(
    "odeon_recorder_origin_requests_total", "Playlists and media asked for, by kind", ["kind"]
)
WAITING = Gauge("odeon_recorder_waiting_requests", "Playlist and part requests that are held")
TIMELINES = Gauge("odeon_recorder_timelines", "Timelines in memory")
FREE_BYTES = Gauge("odeon_recorder_spool_free_bytes", "Room left on the spool's disk")
SPOOL_FAILURES = Counter("odeon_recorder_spool_failures_total", "Writes the disk did not take")
ARCHIVE_AWAY = Counter(
    "odeon_recorder_archive_failures_total", "Rounds in which object storage did not answer"
)
ARCHIVING_FAILURES = Counter(
    "odeon_recorder_archiving_failures_total", "Steps that failed for another reason"
)
ARCHIVE_LAG = Gauge(
    "odeon_recorder_unarchived_segments", "Closed segments that are on the local disk alone"
)
