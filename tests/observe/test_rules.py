"""Prometheus accepts the configuration, and each alert fires when it should, and only then."""

import re

import yaml
from prometheus_client import Histogram

from service_kit.http import metrics
from storage_service.metrics import DATABASE_WAIT
from tests.observe.expressions import rules
from tests.observe.promtool import PROMETHEUS, promtool
from tests.servers import ROOT

HISTOGRAMS: tuple[Histogram, ...] = (metrics._DURATIONS, metrics._SPANS, DATABASE_WAIT)


def test_prometheus_accepts_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules("alerts.yml")}
    assert {name for name, fires in cases if fires} == alerts
    assert {name for name, fires in cases if not fires} == alerts


def test_every_alert_says_what_to_check_and_links_to_its_runbook() -> None:
    for rule in rules("alerts.yml"):
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        assert anchor in [heading.lower().replace(" ", "-") for heading in headings], rule["alert"]
        assert ": " in rule["annotations"]["summary"], "symptom: what to check"
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_threshold_of_a_quantile_is_a_bucket_bound_of_its_histogram() -> None:
    """Between bounds Prometheus interpolates: with 0.1 and 0.5, waits of 0.11 s may seem over 0.25 s."""
    bounds = {f"{each._name}_bucket": each._kwargs["buckets"] for each in HISTOGRAMS}
    compared = 0
    for rule in rules("alerts.yml"):
        if found := re.fullmatch(r"histogram_quantile\(.*?(\w+_bucket).*\) > (\S+)", rule["expr"]):
            assert float(found[2]) in bounds[found[1]], rule["alert"]
            compared += 1
    assert compared == sum("histogram_quantile" in rule["expr"] for rule in rules("alerts.yml")) > 0
