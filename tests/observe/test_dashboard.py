"""The dashboard fits one screen, and each of its panels can be read without asking somebody."""

import itertools
import json
import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from storage_service import metrics as storage
from tests.observe.expressions import DASHBOARD, all_metrics, dashboard_queries, metrics, panels
from tests.observe.promtool import assert_answer
from tests.servers import ROOT
from transform_service import metrics as transform

HIGH = 22
"""Grid units of 38 pixels: what a screen of 1080 shows."""


DURATIONS = "imgsvc_request_duration_seconds_bucket"
SPANS = "imgsvc_request_span_duration_seconds_bucket"


def query(title: str, legend: str) -> str:
    """The query of a panel with this legend."""
    (panel,) = [panel for panel in panels() if panel["title"] == title]
    (found,) = [target["expr"] for target in panel["targets"] if target["legendFormat"] == legend]
    return str(found)


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


def test_what_a_service_counts_is_shown() -> None:
    values = [*vars(storage).values(), *vars(transform).values()]
    declared = {each._name for each in values if isinstance(each, MetricWrapperBase)}
    shown = {re.sub("_(total|bucket)$", "", name) for name in all_metrics()}
    assert declared - shown == {"imgsvc_renders"}, "results that are a miss say the same"


def test_the_file_has_nothing_that_an_installation_wrote_into_it() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert not {"id", "version", "iteration", "__inputs", "__requires"} & set(dashboard)
    assert not [panel for panel in dashboard["panels"] if {"id", "pluginVersion"} & set(panel)]


def test_a_tile_is_of_this_moment() -> None:
    """Of a series that has ended, a query over time shows the last value until it is out of the picture."""
    tiles = [target for panel in panels() if panel["type"] == "stat" for target in panel["targets"]]
    assert tiles
    assert all(target.get("instant") and not target.get("range") for target in tiles)


def test_a_part_whose_nodes_are_gone_has_a_zero(tmp_path: Path) -> None:
    series = {
        'up{job="varnish",instance="a"}': "1x24",
        'up{job="varnish",instance="b"}': "1x24",
        'up{job="nginx",instance="a"}': "0x24",
        'up{job="transform",instance="a"}': "1x10 stale",
    }
    answer = {'{job="varnish"}': 2, '{job="nginx"}': 0, '{job="storage"}': 0, '{job="transform"}': 0}
    assert_answer(tmp_path, series, query("Nodes up", "{{job}}"), answer)


def test_slow_clients_make_no_tile_red(tmp_path: Path) -> None:
    series = {
        SPANS + '{job="transform",span="render",le="1"}': "0+100x24",
        SPANS + '{job="transform",span="render",le="+Inf"}': "0+100x24",
        SPANS + '{job="transform",span="receive",le="30"}': "0x24",
        SPANS + '{job="transform",span="receive",le="+Inf"}': "0+100x24",
        SPANS + '{job="transform",span="send",le="30"}': "0x24",
        SPANS + '{job="transform",span="send",le="+Inf"}': "0+100x24",
        DURATIONS + '{job="transform",le="30"}': "0x24",
        DURATIONS + '{job="transform",le="+Inf"}': "0+100x24",
    }
    assert_answer(tmp_path, series, query("Slowest span (p99)", "p99"), {"{}": 0.99})


def test_questions_of_machines_make_no_request_look_fast(tmp_path: Path) -> None:
    image = 'job="transform",route="/v1/transform"'
    series = {
        DURATIONS + f'{{{image},le="1"}}': "0x24",
        DURATIONS + f'{{{image},le="2"}}': "0+1x24",
        DURATIONS + f'{{{image},le="+Inf"}}': "0+1x24",
    }
    for route in ("/metrics", "/v1/transform/healthcheck"):
        for bound in ("1", "2", "+Inf"):
            series[DURATIONS + f'{{job="transform",route="{route}",le="{bound}"}}'] = "0+1000x24"
    whole = query("p99 of spans and whole requests", "whole: {{job}}")
    assert_answer(tmp_path, series, whole, {'{job="transform"}': 1.99})
