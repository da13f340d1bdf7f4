"""Requests that share a render: whichever client hangs up, the others get their response."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

import transform_service.app
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from service_kit.http.server import Runner, listen
from storage_service.settings import StorageSettings
from tests import pictures, remote
from tests.imgsvc.test_serve import _until, _upload
from tests.remote import RemoteServer
from transform_service.http import handlers
from transform_service.planning import plan
from transform_service.planning.plan import Cost
from transform_service.scheduling.admission import Admission
from transform_service.settings import TransformSettings

CHAIN = "blur=3&thumb=40"
SOURCES = ("posted", "remote", "stored", "overlay")
HEAVY = Cost(10.0, 1)


@dataclass
class Service:
    url: str
    app: web.Application
    spool: Path

    @property
    def waiting(self) -> list[int]:
        """The number of requests that wait for each render."""
        return self.app[handlers.TRANSFORMER]._flights.waiting

    def spooled(self) -> list[Path]:
        """Files of requests. Originals from object stores have a folder of their own."""
        return [path for path in self.spool.iterdir() if path.is_file()]

    @property
    def admission(self) -> Admission:
        return self.app[transform_service.app.RENDERERS]._admission


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The whole service in this process. Its blobs are in no folder, so renders fetch them first."""
    folder = tmp_path_factory.mktemp("shared_renders")
    transform = TransformSettings(
        renderers=1,
        spool_dir=folder / "spool",
        remote_ports=frozenset({remote.PORT}),
        remote_allowed_networks=("127.0.0.2/32",),  # type: ignore[arg-type]
    )
    app = create_app(ServeSettings(data_dir=folder), StorageSettings(data_dir=folder, blob_url="memory://"), transform)
    runner = Runner(app)
    await runner.setup()
    url = app[LOCATOR].base_url = await listen(runner, "127.0.0.1", 0)
    async with RemoteServer():
        yield Service(url, app, folder / "spool")
    runner.hurry()
    await runner.cleanup()


async def _status(url: str, form: dict[str, str | bytes]) -> int:
    """Post a form on a connection of its own."""
    data = aiohttp.FormData()
    for name, value in form.items():
        data.add_field(name, io.BytesIO(value) if isinstance(value, bytes) else value)
    async with aiohttp.ClientSession() as http, http.post(url, data=data) as response:
        body = await response.read()
        assert response.status != 200 or pictures.decode(body).width == 40
        return response.status


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("leaving", [0, 1])
async def test_a_client_that_hangs_up_in_the_queue_takes_nothing_away(
    service: Service, http: aiohttp.ClientSession, source: str, leaving: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_HEAVY_BYTES", 5 * 1024**2)  # so renders wait, and header reads do not
    photo = pictures.jpeg(200, 100 + 2 * SOURCES.index(source) + leaving)
    form: dict[str, str | bytes] = {"image": photo}
    url = f"{service.url}/v1/transform?{CHAIN}&compress=8{leaving}"
    if source == "remote":
        form = {"url": f"http://{remote.LOOPBACK}:{remote.PORT}/photo.jpg"}
    elif source == "stored":
        form = {"image_id": await _upload(http, service.url, photo)}
    elif source == "overlay":
        url += f"&watermark={await _upload(http, service.url, photo)}"
    async with service.admission.admitted(HEAVY):
        clients = [asyncio.create_task(_status(url, form))]
        await _until(lambda: service.waiting == [1] and service.admission.waiting == 1)
        clients.append(asyncio.create_task(_status(url, form)))
        await _until(lambda: service.waiting == [2])
        clients[leaving].cancel()
        await _until(lambda: service.waiting == [1])
        assert service.admission.waiting == 1
    assert await clients[1 - leaving] == 200
    await _until(lambda: not service.spooled())


async def test_a_render_that_nobody_waits_for_leaves_no_file(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_HEAVY_BYTES", 5 * 1024**2)
    async with service.admission.admitted(HEAVY):
        url = f"{service.url}/v1/transform?{CHAIN}"
        clients = [asyncio.create_task(_status(url, {"image": pictures.jpeg(200, 99)})) for _ in range(2)]
        await _until(lambda: service.waiting == [2] and service.admission.waiting == 1)
        for client in clients:
            client.cancel()
        await _until(lambda: not service.waiting and not service.spooled())
