"""A stack with several nodes and Prometheus."""

import json
import math
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compose import stack
from tests.compose.stack import Stack
from tests.observe.expressions import OBSERVE
from tests.servers import free_port

NODES = {"varnish": 2, "nginx": 2}


@dataclass(frozen=True)
class Observed:
    """The stack, and its Prometheus."""

    stack: Stack
    prometheus: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The data in a response of Prometheus's HTTP API."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        """The current values of a query, without NaN."""
        found = [float(each["value"][1]) for each in self.ask("query", query=query)["result"]]
        return [value for value in found if not math.isnan(value)]

    def up(self) -> dict[str, int]:
        """The number of nodes of each service that answer."""
        found = self.ask("query", query="sum by (job) (up)")["result"]
        return {each["metric"]["job"]: int(each["value"][1]) for each in found}

    def states(self, alert: str) -> set[str]:
        """The states of an alert: pending, firing."""
        alerts = self.ask("alerts")["alerts"]
        return {each["state"] for each in alerts if each["labels"]["alertname"] == alert}


@pytest.fixture(scope="package")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    # Small enough to be full and busy at once.
    settings = {
        "PROMETHEUS_PORT": str(free_port()),
        "TEST_PROMETHEUS": str(hasty(tmp_path_factory.mktemp("prometheus"))),
        "VARNISH_SIZE": "2m",
        "RENDERERS": "1",
        "TEST_RENDER_SECONDS": "10",
        "DRAIN_SECONDS": "0",
    }
    with stack.up(project="imgsvc-test-observe", scale=NODES, settings=settings) as started:
        try:
            # Without Grafana, whose image is not available everywhere. tests/observe reads its files.
            started.run("up", "-d", "--no-deps", "prometheus")
            yield Observed(started, f"http://127.0.0.1:{settings['PROMETHEUS_PORT']}")
        finally:
            started.run("rm", "-sfv", "prometheus")


def hasty(folder: Path) -> Path:
    """A copy of Prometheus's configuration in which alerts fire after at most 5 s."""
    for parent in (folder, *folder.parents):  # containers read as another user
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o055)
    copy = shutil.copytree(OBSERVE / "prometheus", folder / "prometheus")
    alerts = copy / "alerts.yml"
    alerts.write_text(re.sub(r"for: \w+", "for: 5s", alerts.read_text()))
    return copy
