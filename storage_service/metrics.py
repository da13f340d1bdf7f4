"""Metrics of the storage service, for all its processes together."""

from prometheus_client import Counter, Gauge, Histogram

PURGES_PENDING = Gauge(
    "imgsvc_purges_pending",
    "Purges in the outbox, including those that are repeated.",
    multiprocess_mode="mostrecent",
)
PURGE_OLDEST = Gauge(
    "imgsvc_purge_oldest_seconds",
    "Age of the oldest deletion that some cache has not confirmed; 0 if there is none.",
    multiprocess_mode="mostrecent",
)
PURGE_CONFIRM = Histogram(
    "imgsvc_purge_confirm_seconds",
    "Time from a deletion until every cache had confirmed it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0),
)
LEVEL_BYTES = Gauge(
    "imgsvc_level_bytes",
    "Bytes of levels, when they were last counted.",
    multiprocess_mode="mostrecent",
)
LEVEL_LIMIT = Gauge("imgsvc_level_limit_bytes", "Limit on the bytes of levels.", multiprocess_mode="mostrecent")
VARIANT_BYTES = Gauge(
    "imgsvc_variant_bytes",
    "Bytes of stored variants, when they were last counted.",
    multiprocess_mode="mostrecent",
)
VARIANT_LIMIT = Gauge(
    "imgsvc_variant_limit_bytes", "Limit on the bytes of stored variants.", multiprocess_mode="mostrecent"
)
JOBS_WAITING = Gauge(
    "imgsvc_jobs_waiting", "Jobs that are due, in progress, or will be tried again.", multiprocess_mode="mostrecent"
)
JOBS_OLDEST = Gauge(
    "imgsvc_jobs_oldest_seconds",
    "Age of the first job that was not tried yet; 0 without one.",
    multiprocess_mode="mostrecent",
)
JOBS_FAILED = Gauge("imgsvc_jobs_failed", "Jobs that have failed for good.", multiprocess_mode="mostrecent")
JOBS = Counter(
    "imgsvc_jobs",
    "Claimed jobs that ended: done, given back since nobody was free (later), to be tried again (retry), or failed for"
    " good (failed).",
    ["outcome"],
)
WEBHOOK_DELIVERIES = Counter(
    "imgsvc_webhook_deliveries",
    "Attempts to send an event: confirmed (delivered), to be repeated (retry), or given up (failed).",
    ["outcome"],
)
WEBHOOK_OLDEST = Gauge(
    "imgsvc_webhook_oldest_seconds",
    "Age of the oldest event that waits for a receiver; 0 without one.",
    multiprocess_mode="mostrecent",
)
WEBHOOK_FAILED = Gauge("imgsvc_webhook_failed", "Events that have failed and are kept.", multiprocess_mode="mostrecent")
WEBHOOKS_DISABLED = Gauge("imgsvc_webhooks_disabled", "Webhooks that are disabled.", multiprocess_mode="mostrecent")
PURGE_HOOKS = Counter("imgsvc_purge_hooks", "Requests to PURGE_HOOK_URL, confirmed or failed.", ["outcome"])
DATABASE_WAIT = Histogram(
    "imgsvc_database_wait_seconds",
    "Time to get a connection to the database.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
for _outcome in ("confirmed", "failed"):
    PURGE_HOOKS.labels(_outcome)  # from the start, so that the first failure counts as an increase
for _outcome in ("delivered", "retry", "failed"):
    WEBHOOK_DELIVERIES.labels(_outcome)
for _outcome in ("done", "later", "retry", "failed"):
    JOBS.labels(_outcome)
DATABASE_ERRORS = Counter("imgsvc_database_errors", "Queries that failed because the database did not respond.")
