"""The dashboard fits one screen, and each of its panels can be read without asking somebody."""

import itertools
import json

from tests.observe.expressions import DASHBOARD, dashboard_queries, metrics, panels
from tests.servers import ROOT

HIGH = 22
"""Grid units of 38 pixels: what a screen of 1080 shows."""


def test_it_fits_one_screen_and_nothing_lies_over_anything_else() -> None:
    places = [panel["gridPos"] for panel in panels()]
    assert len(places) <= 16
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in places
        for x, y in itertools.product(range(place["w"]), range(place["h"]))
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert max(y for _, y in cells) == HIGH - 1


def test_every_panel_has_a_unit_colours_a_description_and_a_word_in_the_docs() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    for panel in panels():
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"]
        assert panel["description"]
        assert f"**{panel['title']}**" in page
    coloured = [panel for panel in panels() if panel["type"] == "stat"]
    assert all(len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1 for panel in coloured)


def test_every_query_is_of_metrics_and_has_a_legend_and_a_letter_of_its_own() -> None:
    for title, query in dashboard_queries():
        assert metrics(query) or ":" in query, title
    for panel in panels():
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["legendFormat"] for target in panel["targets"])


def test_the_file_has_nothing_that_an_installation_wrote_into_it() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert not {"id", "version", "iteration", "__inputs", "__requires"} & set(dashboard)
    assert not [panel for panel in dashboard["panels"] if {"id", "pluginVersion"} & set(panel)]
