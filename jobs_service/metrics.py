"""Metrics of the dispatcher."""

from prometheus_client import Gauge

PAUSED = Gauge("imgsvc_jobs_paused", "1 while jobs are stopped because storage is full.")
