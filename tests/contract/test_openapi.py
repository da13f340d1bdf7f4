"""The OpenAPI document is valid and complete, and the service keeps what it promises."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from openapi_spec_validator import validate

from docs.openapi import document
from tests import edge
from tests.imgsvc.sites import KEY, Site, bearer
from tests.servers import ROOT

EXAMPLES = 500 if os.environ.get("LONG") else 8
DOCUMENT = ROOT / "pages/static/openapi.json"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that requires keys, behind nginx and Varnish."""
    folder = tmp_path_factory.mktemp("site")
    generous = {"UPLOADS_PER_MINUTE": "1000000", "RENDERS_PER_SECOND": "100000"}
    with edge.started(folder, AUTH="keys", **generous) as started:
        (key,) = set(re.findall(KEY, started.log("storage")))
        yield Site(started.url("varnish"), folder / "data", folder / "storage.log", http, key)


def test_the_document_is_valid() -> None:
    validate(document())


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for methods in document()["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names)) > 20


@pytest.mark.timeout(1800)  # 500 examples of each operation take about five minutes
async def test_the_service_keeps_what_the_document_says(site: Site, tmp_path: Path) -> None:
    """Schemathesis tries examples, limits and random requests, valid and invalid ones, and compares the responses."""
    images = [await site.upload(bearer(site.key)) for _ in range(3)]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
        *("run", str(DOCUMENT), "--url", f"{site.url}/v1", "-H", f"Authorization: Bearer {site.key}"),
        *("-n", str(EXAMPLES), "--phases", "examples,coverage,fuzzing,stateful", "--suppress-health-check", "all"),
        *("--generation-deterministic", "--continue-on-failure", "--report", "ndjson", "--report-dir", str(tmp_path)),
    ]
    hooks = str(Path(__file__).with_name("hooks.py"))
    environment = {**os.environ, "IMAGES": ",".join(images), "KEY": site.key, "SCHEMATHESIS_HOOKS": hooks}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert (await site.request("GET", "/v1/keys", bearer(site.key)))[0] == 200, "the requests had no valid key any more"
    print(done.stdout[-1000:])
