"""Metrics of the dispatcher."""

from prometheus_client import Gauge

PAUSED = Gauge("imgsvc_jobs_paused", "1 while no job starts, since there is no room for results.")
