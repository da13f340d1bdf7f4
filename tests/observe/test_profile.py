"""The profile `observe`: provisioned from files, reachable from this machine only, and bounded."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.observe.expressions import DASHBOARD, OBSERVE, panels
from tests.servers import ROOT

PROVISIONING = OBSERVE / "grafana/provisioning"
SERVICES = ("prometheus", "grafana")


def services(file: str) -> Mapping[str, Any]:
    return dict(yaml.safe_load((ROOT / file).read_text())["services"])


@pytest.mark.parametrize("name", SERVICES)
def test_it_starts_only_with_the_profile_and_is_reachable_only_from_this_machine(name: str) -> None:
    service = services("docker-compose.yml")[name]
    assert service["profiles"] == ["observe"]
    assert [port.startswith("${OBSERVE_ADDRESS:-127.0.0.1}:") for port in service["ports"]] == [True]
    assert service["mem_limit"]
    _, _, tag = service["image"].partition(":")
    assert tag
    assert tag != "latest"


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_hardened_in_production_like_every_other_service(name: str) -> None:
    everywhere, production = services("docker-compose.yml"), services("docker-compose.prod.yml")
    for setting in ("cap_drop", "security_opt"):
        assert everywhere[name][setting] == everywhere["redis"][setting]
    for setting in ("restart", "read_only"):
        assert production[name][setting] == production["redis"][setting]


@pytest.mark.parametrize(
    ("file", "name"),
    [("docker-compose.tls.yml", "tls"), *(("docker-compose.yml", name) for name in services("docker-compose.yml"))],
)
def test_every_container_is_confined(file: str, name: str) -> None:
    service = services(file)[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert service.get("networks") or service["network_mode"] == "none"


@pytest.mark.parametrize("name", services("docker-compose.yml"))
def test_every_log_is_bounded(name: str) -> None:
    logging = services("docker-compose.yml")[name]["logging"]
    assert logging == {
        "driver": "json-file",
        "options": {"max-size": "${LOG_SIZE:-50m}", "max-file": "${LOG_FILES:-4}"},
    }


def test_prometheus_keeps_a_bounded_amount_of_data() -> None:
    command = " ".join(services("docker-compose.yml")["prometheus"]["command"])
    assert "--storage.tsdb.retention.time=" in command
    assert "--storage.tsdb.retention.size=" in command


def test_grafana_has_no_user_with_a_known_password() -> None:
    settings = services("docker-compose.yml")["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not [name for name in settings if "PASSWORD" in name]


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    grafana = services("docker-compose.yml")["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounted == {
        "./observe/grafana/provisioning": "/etc/grafana/provisioning",
        "./observe/grafana/dashboards": "/etc/grafana/dashboards",
    }
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/imgsvc.yml").read_text())["providers"]
    assert provider["options"]["path"] == mounted["./observe/grafana/dashboards"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == {source["uid"]}
