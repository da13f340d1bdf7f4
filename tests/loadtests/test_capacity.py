"""docs/capacity.md refers to things that exist."""

import json
import re

from loadtests import knee
from tests.servers import ROOT

TEXT = (ROOT / "docs" / "capacity.md").read_text()


def test_every_graph_in_the_text_is_on_the_dashboard() -> None:
    boards = (ROOT / "observe" / "grafana" / "dashboards").glob("*.json")
    titles = {panel["title"] for board in boards for panel in json.loads(board.read_text())["panels"]}
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    named = set(re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", "\n".join(rows)))
    assert len(named) > 4
    assert named <= titles


def test_the_text_defines_the_knee_as_the_code_does() -> None:
    assert f"get less than {knee._GROWTH - 1:.0%} more".replace("%", " %") in TEXT
