"""Metrics of the dispatcher."""

from prometheus_client import Gauge

PAUSED = Gauge("imgsvc_jobs_paused", "1 while there are no jobs since there is no room for their results.")
