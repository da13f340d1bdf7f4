"""Metrics of the transform service."""

from typing import get_args

from prometheus_client import Counter, Gauge

from service_kit.processes.pool import End

RENDERS = Counter("imgsvc_renders", "Renders started.")
RESULTS = Counter(
    "imgsvc_results",
    "Results by origin: the cache (hit), a stored variant (stored), a render of this node (miss), a render for another"
    " request (shared), a render of another node (waited), or a cached failure (refused).",
    ["source"],
)
VARIANTS = Counter(
    "imgsvc_variants",
    "Stored variants: sent (used), new ones (stored), missing or damaged ones (lost), and those that could not be"
    " stored or removed (failed).",
    ["outcome"],
)
RECORDS = Counter("imgsvc_records", "Records read from the record cache (hit) or from storage (miss).", ["source"])
SOURCE_CACHE = Counter(
    "imgsvc_source_cache",
    "Originals read from an object store: from the disk cache (hit), fetched (miss), or fetched for another request at"
    " the same time (shared).",
    ["source"],
)
SOURCE_CACHE_BYTES = Gauge("imgsvc_source_cache_bytes", "Bytes of originals in the disk cache.")
SOURCE_CACHE_LIMIT = Gauge("imgsvc_source_cache_limit_bytes", "Limit on the bytes of originals in the disk cache.")
CACHE_ERRORS = Counter("imgsvc_result_cache_errors", "Commands that failed because Redis did not respond.")
CACHE_REFUSED = Counter(
    "imgsvc_result_cache_refused", "Values in Redis that were ignored, since they had no valid seal or place."
)
LEVELS = Counter(
    "imgsvc_levels",
    "Levels from which a render started (used), that were stored (made), that were lost or damaged (lost), or that"
    " could not be made or stored (failed).",
    ["outcome"],
)

QUEUE = Gauge("imgsvc_queue_length", "Renders waiting for a renderer.", ["lane"])
RUNNING = Gauge("imgsvc_renders_in_progress", "Renders in progress.", ["lane"])
REFUSALS = Counter(
    "imgsvc_queue_refusals",
    "Renders refused: the queue was full, the wait would have been too long (slow), or memory was short (memory).",
    ["reason"],
)
MEMORY = Gauge("imgsvc_render_memory_bytes", "Estimated memory of the renders in progress.")
MEMORY_LIMIT = Gauge("imgsvc_render_memory_limit_bytes", "Limit on the estimated memory of all renders together.")
RENDERERS = Gauge("imgsvc_renderers", "Renderer processes running.")
RENDERERS_EXPECTED = Gauge("imgsvc_renderers_expected", "Renderer processes that should be running.")
RENDERERS_MEMORY = Gauge(
    "imgsvc_renderers_memory_bytes", "Resident memory of the renderers; shared memory counts in each."
)
RENDERER_ENDS = Counter(
    "imgsvc_renderer_ends",
    "Renderers that ended: by their own fault (crash), because a render took too much memory (memory), by a signal from"
    " outside (killed), because a render took too long or its clients left (stopped), or after RENDERER_JOBS"
    " (recycled).",
    ["reason"],
)
DEADLINES = Counter("imgsvc_render_deadlines", "Renders cancelled after RENDER_SECONDS.")

# Create the series now. If a series begins with its first count, Prometheus sees no increase.
for _counter, _values in (
    (RESULTS, ("hit", "miss", "shared", "waited", "stored", "refused")),
    (VARIANTS, ("used", "stored", "lost", "failed")),
    (RECORDS, ("hit", "miss")),
    (SOURCE_CACHE, ("hit", "miss", "shared")),
    (LEVELS, ("used", "made", "lost", "failed")),
    (REFUSALS, ("full", "slow", "memory")),
    (RENDERER_ENDS, get_args(End)),
):
    for _value in _values:
        _counter.labels(_value)
