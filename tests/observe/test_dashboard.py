"""The dashboard fits one screen, and every panel explains itself."""

import itertools
import json
import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from jobs_service import metrics as jobs
from storage_service import metrics as storage
from tests.observe.expressions import DASHBOARD, all_metrics, dashboard_queries, metrics, panels
from tests.observe.promtool import assert_answer
from tests.servers import ROOT
from transform_service import metrics as transform

HIGH = 22
"""Grid rows of 38 pixels that fit on a screen with a height of 1080 pixels."""


DURATIONS = "imgsvc_request_duration_seconds_bucket"
SPANS = "imgsvc_request_span_duration_seconds_bucket"


def query(title: str, legend: str) -> str:
    """The query with this legend, in the panel with this title."""
    (panel,) = [panel for panel in panels() if panel["title"] == title]
    (found,) = [target["expr"] for target in panel["targets"] if target["legendFormat"] == legend]
    return str(found)


def test_panels_fit_one_screen_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in panels()]
    assert len(places) <= 18
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in places
        for x, y in itertools.product(range(place["w"]), range(place["h"]))
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert max(y for _, y in cells) == HIGH - 1


def test_every_panel_has_a_unit_colours_a_description_and_an_entry_in_the_docs() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    for panel in panels():
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"]
        assert panel["description"]
        assert f"**{panel['title']}**" in page
    coloured = [panel for panel in panels() if panel["type"] == "stat"]
    assert all(len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1 for panel in coloured)


def test_every_query_uses_metrics_and_has_a_legend_and_its_own_letter() -> None:
    for title, query in dashboard_queries():
        assert metrics(query) or ":" in query, title
    for panel in panels():
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))
        assert all(target["legendFormat"] for target in panel["targets"])


def test_every_metric_of_the_services_is_shown() -> None:
    values = [*vars(storage).values(), *vars(transform).values(), *vars(jobs).values()]
    declared = {each._name for each in values if isinstance(each, MetricWrapperBase)}
    shown = {re.sub("_(total|bucket)$", "", name) for name in all_metrics()}
    assert declared - shown == {"imgsvc_renders"}, "it equals the results that are misses"


def test_the_file_contains_nothing_specific_to_an_installation() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert not {"id", "version", "iteration", "__inputs", "__requires"} & set(dashboard)
    assert not [panel for panel in dashboard["panels"] if {"id", "pluginVersion"} & set(panel)]


def test_tiles_show_the_current_value() -> None:
    """A range query would show the last value of a series that has ended until it leaves the range."""
    tiles = [target for panel in panels() if panel["type"] == "stat" for target in panel["targets"]]
    assert tiles
    assert all(target.get("instant") and not target.get("range") for target in tiles)


def test_a_service_without_nodes_shows_zero(tmp_path: Path) -> None:
    series = {
        'up{job="varnish",instance="a"}': "1x24",
        'up{job="varnish",instance="b"}': "1x24",
        'up{job="nginx",instance="a"}': "0x24",
        'up{job="transform",instance="a"}': "1x10 stale",
    }
    answer = {'{job="varnish"}': 2, '{job="nginx"}': 0, '{job="storage"}': 0, '{job="transform"}': 0, '{job="jobs"}': 0}
    assert_answer(tmp_path, series, query("Nodes up", "{{job}}"), answer)


def test_slow_clients_do_not_turn_a_tile_red(tmp_path: Path) -> None:
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


def test_health_checks_and_scrapes_do_not_make_requests_look_fast(tmp_path: Path) -> None:
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
