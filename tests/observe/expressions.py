"""The queries of the dashboard and the rules, and the names of the metrics in them."""

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
    """Every query, with the title of its panel."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules(file: str) -> list[Mapping[str, Any]]:
    """The rules of `recording.yml` or `alerts.yml`."""
    groups = yaml.safe_load((OBSERVE / "prometheus" / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics(expression: str) -> set[str]:
    """The names of the metrics in an expression. Names with colons are recording rules, not metrics."""
    return set(_METRIC.findall(_RECORDED.sub("", _STRING.sub("", expression))))


def all_metrics() -> set[str]:
    """The names of the metrics that the dashboard and the rules use."""
    asked = [expression for _, expression in dashboard_queries()]
    asked += [rule["expr"] for file in ("recording.yml", "alerts.yml") for rule in rules(file)]
    return {name for expression in asked for name in metrics(expression)}
