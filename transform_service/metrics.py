"""What the transform service counts."""

from prometheus_client import Counter

RENDERS = Counter("imgsvc_renders", "Renders that were started.")
RESULTS = Counter(
    "imgsvc_results",
    "Results that were asked for, by where they came from: the cache (hit), a render of this node (miss), a render of"
    " another node (waited), or the cache's word that there can be none (refused).",
    ["source"],
)
