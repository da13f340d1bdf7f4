"""What the storage service counts, in all its processes together."""

from prometheus_client import Counter, Gauge, Histogram

PURGES_PENDING = Gauge(
    "imgsvc_purges_pending",
    "Deletions in the outbox, those that are repeated included.",
    multiprocess_mode="mostrecent",
)
PURGE_OLDEST = Gauge(
    "imgsvc_purge_oldest_seconds",
    "Since when a deletion waits for a cache to confirm it; 0 where all have.",
    multiprocess_mode="mostrecent",
)
PURGE_CONFIRM = Histogram(
    "imgsvc_purge_confirm_seconds",
    "From a deletion until every cache had confirmed it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0),
)
DATABASE_WAIT = Histogram(
    "imgsvc_database_wait_seconds",
    "Wait for a connection to the database.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
DATABASE_ERRORS = Counter("imgsvc_database_errors", "Questions that the database did not answer.")
