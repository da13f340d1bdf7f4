"""What the transform service counts."""

from typing import get_args

from prometheus_client import Counter, Gauge

from service_kit.worker_pool import End

RENDERS = Counter("imgsvc_renders", "Renders that were started.")
RESULTS = Counter(
    "imgsvc_results",
    "Results that were asked for, by where they came from: the cache (hit), a render of this node (miss), one for"
    " another request here (shared), one of another node (waited), or the word that there can be none (refused).",
    ["source"],
)
RECORDS = Counter(
    "imgsvc_records", "Stored images that were looked up, in the cache (hit) or in storage (miss).", ["source"]
)
CACHE_ERRORS = Counter("imgsvc_result_cache_errors", "Questions that the result cache did not answer.")

QUEUE = Gauge("imgsvc_queue_length", "Renders that wait for a renderer.", ["lane"])
RUNNING = Gauge("imgsvc_renders_in_progress", "Renders that run.", ["lane"])
REFUSALS = Counter(
    "imgsvc_queue_refusals",
    "Renders that were refused: the queue is full, the wait would be too long (slow), or no such memory is there.",
    ["reason"],
)
MEMORY = Gauge("imgsvc_render_memory_bytes", "What the renders that run may take, as estimated.")
MEMORY_LIMIT = Gauge("imgsvc_render_memory_limit_bytes", "What they may take together.")
RENDERERS = Gauge("imgsvc_renderers", "Renderer processes that live.")
RENDERERS_EXPECTED = Gauge("imgsvc_renderers_expected", "Renderer processes that there should be.")
RENDERERS_MEMORY = Gauge("imgsvc_renderers_memory_bytes", "Their resident memory, what they share counted in each.")
RENDERER_ENDS = Counter(
    "imgsvc_renderer_ends",
    "Renderers that ended: by their own fault (crash), by a signal from outside (killed), with a render that took"
    " too long or that nobody waited for any more (stopped), or after RENDERER_JOBS (recycled).",
    ["reason"],
)
DEADLINES = Counter("imgsvc_render_deadlines", "Renders that were given up after RENDER_SECONDS.")

# There from the start: a series that begins with its first count has not risen, for Prometheus.
for _counter, _values in (
    (RESULTS, ("hit", "miss", "shared", "waited", "refused")),
    (RECORDS, ("hit", "miss")),
    (REFUSALS, ("full", "slow", "memory")),
    (RENDERER_ENDS, get_args(End)),
):
    for _value in _values:
        _counter.labels(_value)
