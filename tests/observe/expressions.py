"""What the dashboard and the rules ask Prometheus, and the names of the metrics in it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.servers import ROOT

OBSERVE = ROOT / "observe"
DASHBOARD = OBSERVE / "grafana/dashboards/imgsvc.json"

_METRIC = re.compile(r"\b(?:up|(?:imgsvc|varnish|nginx)_\w+)\b")
_STRING = re.compile(r'"[^"]*"')
_RECORDED = re.compile(r"\w+:[\w:]+")


def panels() -> list[Mapping[str, Any]]:
    """The dashboard's panels."""
    return list(json.loads(DASHBOARD.read_text())["panels"])


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """The title of a panel, and one of its queries."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules(file: str) -> list[Mapping[str, Any]]:
    """The rules of `recording.yml` or `alerts.yml`."""
    groups = yaml.safe_load((OBSERVE / "prometheus" / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics(expression: str) -> set[str]:
    """The names of the metrics that an expression asks for; those of recording rules, which have colons, are none."""
    return set(_METRIC.findall(_RECORDED.sub("", _STRING.sub("", expression))))


def all_metrics() -> set[str]:
    """The names of the metrics that the dashboard and the rules ask for."""
    asked = [expression for _, expression in dashboard_queries()]
    asked += [rule["expr"] for file in ("recording.yml", "alerts.yml") for rule in rules(file)]
    return {name for expression in asked for name in metrics(expression)}
