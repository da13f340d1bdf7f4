"""`imgsvc serve` as an operator sees it: start, stop, restart, memory, killed renderers."""

import asyncio
import hashlib
import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from storage_service.blobs import Blobs
from tests import pictures, servers

MIB = 1024**2
_WORKERS = 5
"""Two renderers, the one for small renders, the one for idle work, and a validator."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    settings = {"RENDER_SECONDS": "30", "RENDERERS": "2", "LEVEL_BYTES": "0"}  # the busiest process shall not be idle
    with servers.serve(tmp_path_factory.mktemp("serve"), **settings) as started:
        yield started


async def _upload(http: aiohttp.ClientSession, url: str, body: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename="x")
    async with http.post(f"{url}/v1/images", data=form) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["image_id"])


async def test_idle_memory_is_small(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path) as served:
        async with http.get(f"{served.url}/v1/images/healthcheck") as response:
            assert response.status == 200
        used = {field: served.memory(field) / MIB for field in ("Pss", "Rss")}
    print(f"\nidle memory of the process tree: {used['Pss']:.0f} MiB, shared pages counted in each: {used['Rss']:.0f}")
    assert used["Pss"] < 250


async def test_images_survive_a_restart(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    body = pictures.jpeg()
    with servers.serve(tmp_path) as served:
        image_id = await _upload(http, served.url, body)
    with servers.serve(tmp_path) as served:
        async with http.get(f"{served.url}/v1/images/{image_id}") as response:
            assert await response.read() == body
        async with http.get(f"{served.url}/v1/images/{image_id}.png?thumb=20") as response:
            assert response.status == 200


@pytest.mark.parametrize("blobs", ["s3", "memory"])
async def test_blobs_can_be_in_s3_or_in_memory(
    http: aiohttp.ClientSession, tmp_path: Path, s3_settings: dict[str, str], blobs: str
) -> None:
    settings = {**s3_settings, "BLOB_URL": "s3://bucket/served"} if blobs == "s3" else {"BLOB_URL": "memory://"}
    body = bytes(pictures.noise(600, 400).pngsave_buffer())
    with servers.serve(tmp_path, **settings) as served:
        image_id = await _upload(http, served.url, body)
        async with http.get(f"{served.url}/v1/images/{image_id}", headers={"Range": "bytes=100-"}) as response:
            assert (response.status, await response.read()) == (206, body[100:])
        assert await _status(http, f"{served.url}/v1/images/{image_id}.webp?thumb=50") == (200, "image/webp")
        async with http.delete(f"{served.url}/v1/images/{image_id}") as response:
            assert response.status == 204
        assert (await _status(http, f"{served.url}/v1/images/{image_id}"))[0] == 410
    assert [file.name for file in (tmp_path / "spool").rglob("*") if file.is_file()] == ["lock"], "of the source cache"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_process(tmp_path: Path, signum: signal.Signals) -> None:
    with servers.serve(tmp_path) as served:
        tree = served.tree()
        assert len(tree) >= 4
        served.process.send_signal(signum)
        assert served.process.wait(20) == 0
        for pid in tree:
            _wait_until_gone(pid)
        log = served.log.read_text()
    assert "stopping" in log
    assert "Traceback" not in log


def test_ctrl_c_stops_the_process_group_without_an_error(tmp_path: Path) -> None:
    with servers.serve(tmp_path, prefix=("setsid",)) as served:
        os.killpg(os.getpgid(served.process.pid), signal.SIGINT)
        assert served.process.wait(20) == 0
        assert "Traceback" not in served.log.read_text()
        assert "KeyboardInterrupt" not in served.log.read_text()


def test_a_signal_ends_the_wait_for_a_database(tmp_path: Path, unused_tcp_port: int) -> None:
    command = [sys.executable, "-m", "imgsvc", "serve", "--port", "0"]
    url = f"postgresql://x:hunter2@127.0.0.1:{unused_tcp_port}/x"
    environment = {**os.environ, "PYTHONPATH": str(servers.ROOT), "DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "waiting up to" not in (line := process.stderr.readline()):
            assert line, "the service stopped by itself"
        assert "hunter2" not in line
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        rest = process.stderr.read()
        assert "Traceback" not in rest
        assert "hunter2" not in rest


def test_no_process_outlives_a_killed_service(tmp_path: Path) -> None:
    with servers.serve(tmp_path) as served:
        tree = served.tree()
        served.process.kill()
        for pid in tree[1:]:
            _wait_until_gone(pid)


def _wait_until_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([process], [], [], 20)
        assert ended, f"process {pid} is still running"
    finally:
        os.close(process)


async def test_an_upload_in_progress_finishes_before_the_service_stops(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    body = pictures.of_size(MIB)
    stopping = asyncio.Event()
    with servers.serve(tmp_path) as served:

        async def slowly() -> object:
            yield body[: MIB // 2]
            await stopping.wait()
            yield body[MIB // 2 :]

        headers = {"Content-Type": "image/jpeg"}
        posting = asyncio.create_task(http.post(f"{served.url}/v1/images", data=slowly(), headers=headers).__aenter__())
        await _until(lambda: any((tmp_path / "data/blobs/incoming").iterdir()))
        served.process.send_signal(signal.SIGTERM)
        await _until(lambda: "stopping" in served.log.read_text())
        stopping.set()
        response = await posting
        assert response.status == 201
        response.release()
        assert await asyncio.to_thread(served.process.wait, 20) == 0
    blobs = [path for path in (tmp_path / "data/blobs/sha256").rglob("*") if path.is_file()]
    assert [path.name for path in blobs] == [hashlib.sha256(body).hexdigest()]
    assert not list((tmp_path / "data/blobs/incoming").iterdir())


async def test_a_second_signal_stops_without_waiting_for_requests(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async def endless() -> object:
        yield pictures.jpeg()
        await asyncio.Event().wait()

    with servers.serve(tmp_path) as served:
        headers = {"Content-Type": "image/jpeg"}
        posting = asyncio.create_task(
            http.post(f"{served.url}/v1/images", data=endless(), headers=headers).__aenter__()
        )
        await _until(lambda: any((tmp_path / "data/blobs/incoming").iterdir()))
        served.process.send_signal(signal.SIGTERM)
        await _until(lambda: "stopping" in served.log.read_text())
        started = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.process.wait, 20) == 0
        assert time.monotonic() - started < 3
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
    assert "Traceback" not in served.log.read_text()


async def _until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.01)


async def test_a_killed_renderer_fails_only_its_own_request(
    http: aiohttp.ClientSession, served: servers.Served
) -> None:
    image_id = await _upload(http, served.url, bytes(pictures.noise(3000, 2500).jpegsave_buffer(Q=90)))
    url = f"{served.url}/v1/images/{image_id}"
    for attempt in range(3):
        busy = served.renderers()
        assert len(busy) >= _WORKERS
        doomed = asyncio.create_task(_status(http, f"{url}.gif?blur={attempt + 1}"))
        worker = await asyncio.wait_for(_busiest(busy), 30)
        os.kill(worker, signal.SIGKILL)
        status, content_type = await doomed
        assert status in {502, 503}
        assert content_type == "application/problem+json"
        assert await _status(http, f"{url}.png?thumb={100 + attempt}") == (200, "image/png")
        await _until(lambda: len(set(served.renderers()) - {worker}) == _WORKERS)  # noqa: B023


async def test_a_killed_idle_renderer_is_replaced_without_a_failed_request(
    http: aiohttp.ClientSession, served: servers.Served
) -> None:
    image_id = await _upload(http, served.url, pictures.jpeg())
    for attempt in range(5):
        before = set(served.renderers())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        # Processes are counted by ID: a killed one is listed until the kernel has removed it.
        await _until(lambda: len(set(served.renderers()) - before) == _WORKERS)  # noqa: B023
        assert await _status(http, f"{served.url}/v1/images/{image_id}.png?thumb={20 + attempt}") == (200, "image/png")
        assert await _upload(http, served.url, pictures.jpeg())


async def _status(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with http.get(url) as response:
        await response.read()
        return response.status, response.content_type


_COMPUTING = 15
"""Hundredths of a second of processor time, more than a start or reading a header takes."""


async def _busiest(pids: list[int]) -> int:
    """Wait until one of the processes computes, and return it."""

    def ticks(pid: int) -> int:
        return sum(int(n) for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])

    before = {pid: ticks(pid) for pid in pids}
    while True:
        for pid in pids:
            if ticks(pid) - before[pid] >= _COMPUTING:
                return pid
        await asyncio.sleep(0.005)


async def test_a_render_past_its_deadline_is_killed(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path, RENDER_SECONDS="0.4", RENDERERS="1") as served:
        image_id = await _upload(http, served.url, bytes(pictures.noise(3000, 2500).jpegsave_buffer(Q=90)))
        before = served.renderers()
        async with http.get(f"{served.url}/v1/images/{image_id}.gif?blur=200") as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
            assert "0.4 s" in (await response.json(content_type=None))["detail"]
        async with asyncio.timeout(10):
            await _until(lambda: sum(Path(f"/proc/{pid}").exists() for pid in before) == len(before) - 1)
        small = await _upload(http, served.url, pictures.jpeg())
        deadline = time.monotonic() + 10
        while (await _status(http, f"{served.url}/v1/images/{small}.png?thumb=9"))[0] != 200:
            assert time.monotonic() < deadline


async def test_a_full_queue_refuses_immediately(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path, RENDERERS="1", RENDER_QUEUE="2", RENDER_SECONDS="60") as served:
        image_id = await _upload(http, served.url, bytes(pictures.noise(2000, 1500).jpegsave_buffer(Q=90)))
        urls = [f"{served.url}/v1/images/{image_id}.png?blur={n}" for n in range(20, 32)]
        statuses = [status for status, _ in await asyncio.gather(*(_status(http, url) for url in urls))]
        assert statuses.count(200) == 3
        assert statuses.count(503) == 9
        async with http.get(f"{served.url}/v1/transform/healthcheck") as response:
            assert response.status == 200


async def test_identical_requests_share_one_render(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path, RENDERERS="1", RENDER_QUEUE="1") as served:
        image_id = await _upload(http, served.url, bytes(pictures.noise(1000, 800).jpegsave_buffer()))
        url = f"{served.url}/v1/images/{image_id}.png?blur=9"
        statuses = await asyncio.gather(*(_status(http, url) for _ in range(200)))
        assert set(statuses) == {(200, "image/png")}  # a queue of one allows two renders at most


async def test_memory_stays_flat_during_twenty_large_uploads(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path) as served:
        bodies = [pictures.of_size(60 * MIB - n) for n in range(20)]
        peak, done = 0, False

        async def watch() -> None:
            nonlocal peak
            while not done:
                peak = max(peak, await asyncio.to_thread(served.memory))
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        ids = await asyncio.gather(*(_upload(http, served.url, body) for body in bodies))
        for image_id, body in zip(ids[:3], bodies, strict=False):
            async with http.get(f"{served.url}/v1/images/{image_id}") as response:
                got = hashlib.sha256()
                async for chunk in response.content.iter_chunked(MIB):
                    got.update(chunk)
                assert got.digest() == hashlib.sha256(body).digest()
        done = True
        await watching
    print(f"\npeak memory with 20 uploads of 60 MiB at once, and originals of 60 MiB read: {peak / MIB:.0f} MiB")
    assert peak < 300 * MIB


async def test_a_full_disk_refuses_only_uploads(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.small_disk(tmp_path / "data", "size=4m") as disk, servers.serve(tmp_path) as served:
        kept = await _upload(http, served.url, pictures.of_size(MIB))
        for _ in range(2):
            headers = {"Content-Type": "image/jpeg"}
            body = io.BytesIO(pictures.of_size(5 * MIB))
            async with http.post(f"{served.url}/v1/images", data=body, headers=headers) as response:
                assert response.status == 507
                assert response.content_type == "application/problem+json"
        assert not list((disk / "blobs/incoming").iterdir())
        async with http.get(f"{served.url}/v1/images/{kept}") as response:
            assert await response.read() == pictures.of_size(MIB)
        assert await _status(http, f"{served.url}/v1/images/{kept}.png?thumb=9") == (200, "image/png")
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert await _upload(http, served.url, pictures.of_size(5 * MIB))


async def test_a_full_spool_is_not_blamed_on_the_image(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.small_disk(tmp_path / "spool", "size=64k") as disk, servers.serve(tmp_path) as served:
        image_id = await _upload(http, served.url, bytes(pictures.noise(500, 400).jpegsave_buffer()))
        for suffix in ("png", "tiff", "webp", "gif", "jpg?compress=100"):
            status = await _status(
                http, f"{served.url}/v1/images/{image_id}.{suffix}{'&' if '?' in suffix else '?'}blur=0"
            )
            assert status == (507, "application/problem+json"), suffix
        async with asyncio.timeout(30):  # the job after the upload renders, too
            while list(disk.iterdir()):
                await asyncio.sleep(0.05)
        assert await _status(http, f"{served.url}/v1/images/{image_id}.png?thumb=9") == (200, "image/png")


@pytest.mark.parametrize("damage", ["file lost", "file truncated", "s3 lost", "s3 truncated"])
async def test_a_damaged_image_is_reported_and_repaired_by_the_same_upload(
    http: aiohttp.ClientSession,
    tmp_path: Path,
    s3_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    blobs, how = damage.split()
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    body = pictures.jpeg()
    url = f"file://{tmp_path}/blobs" if blobs == "file" else f"s3://bucket/{tmp_path.name}"
    with servers.serve(tmp_path, BLOB_URL=url) as served:
        image_id = await _upload(http, served.url, body)
        await _damage(Blobs(url), hashlib.sha256(body).hexdigest(), how, tmp_path / "truncated")
        variants = ("", ".jpg", "?thumb=9", ".png?rotate=90")
        for variant in variants:
            assert (await _status(http, f"{served.url}/v1/images/{image_id}{variant}"))[0] == 502, variant
        await _upload(http, served.url, body)
        for variant in variants:
            assert (await _status(http, f"{served.url}/v1/images/{image_id}{variant}"))[0] == 200, variant
    assert f"ERROR service_kit.http.middlewares: GET '/v1/images/{image_id}'" in served.log.read_text()


async def _damage(blobs: Blobs, sha256: str, how: str, truncated: Path) -> None:
    await blobs.delete(sha256)
    if how == "truncated":
        truncated.write_bytes(pictures.jpeg()[:100])
        await blobs.add(sha256, truncated)


def _start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(servers.ROOT), "DATA_DIR": str(tmp_path / "data"), **environment}
    variables["AUTH"] = "auto"  # AUTH=open is another line
    command = [sys.executable, "-m", "imgsvc", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=30, check=False)


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path, served: servers.Served) -> None:
    done = _start(tmp_path, "serve", "--port", served.url.rpartition(":")[2])
    assert done.returncode == 1
    assert done.stderr.startswith("imgsvc: cannot listen on 127.0.0.1:")
    assert done.stderr.count("\n") == 1


def test_a_data_folder_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with servers.serve(tmp_path):
        done = _start(tmp_path, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == f"imgsvc: another imgsvc uses DATA_DIR {tmp_path}/data; stop it, or choose another DATA_DIR\n"


Refusals = dict[str, subprocess.CompletedProcess[str]]
BAD_SETTINGS: list[tuple[dict[str, str], str]] = [
    ({"PORT": "x"}, "PORT='x'"),
    ({"DATABASE_URL": "sqlite://foo.db"}, "DATABASE_URL='sqlite://foo.db' names no file; write it with three slashes"),
    ({"DATABASE_URL": "sqlite:foo.db"}, "DATABASE_URL='sqlite:foo.db' names no file; write it with three slashes"),
    ({"RENDERERS": "0"}, "RENDERERS='0'"),
    ({"DATABASE_URL": "mysql://x/y"}, "use one of: postgres, postgresql, sqlite"),
    ({"BLOB_URL": "nonsense://x"}, "BLOB_URL='nonsense://x' is not a blob store"),
    ({"RESULT_CACHE_URL": "memcached://x"}, "use one of: memory, redis, rediss"),
    ({"RESULT_CACHE_URL": "redis://x/images"}, "names the database 'images'; use a number"),
    ({"BLOB_URL": "file://images/blobs"}, "BLOB_URL='file://images/blobs' has a host, 'images'"),
    ({"REMOTE_PORTS": "80,443"}, "REMOTE_PORTS='80,443': write it as JSON, such as [80, 443]"),
    ({"REMOTE_ALLOWED_NETWORKS": "10.0.0.0/8"}, 'such as ["10.1.0.0/16"]'),
    ({"REMOTE_ALLOWED_NETWORKS": '["nope"]'}, "REMOTE_ALLOWED_NETWORKS[0]='nope' is not a valid"),
    (
        {"ALLOWED_HOSTS": '["images.example.com:8080"]'},
        "'images.example.com:8080' is not the name of a host; leave out",
    ),
    ({"REMOTE_ALLOWED_HOSTS": '["https://example.com"]'}, "'https://example.com' is not the name of a host; leave out"),
    ({"ALLOWED_ORIGINS": '["app.example.com"]'}, "'app.example.com' is not an origin; write it with a scheme, as in"),
    ({"PURGE_URLS": '["varnish"]'}, "'varnish' is not the URL of a cache; write it as http://varnish:8081"),
    ({"ACCEL_PREFIX": "originals"}, "write it with a slash at both ends, such as /originals/"),
    ({"PRESETS": "avatar"}, "PRESETS='avatar': write it as JSON"),
    ({"DATA_DIR": "/proc/nothing"}, "cannot write to DATA_DIR /proc/nothing"),
]
WITH_SECRETS = [
    {"DATABASE_URL": "postgresql://u:hunter2/x@127.0.0.1/db"},
    {"BLOB_URL": "nonsense://key:hunter2@bucket?sig=hunter2"},
    {"RESULT_CACHE_URL": "redis://:hunter2@x/db"},
    {"RESULT_CACHE_URL": "nonsense://:hunter2@x/db"},
]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Refusals:
    """How `serve` ends with each of these settings. A start takes a second of a core, so they run side by side."""

    def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return _start(tmp_path_factory.mktemp("refused"), "serve", **{"PORT": "0", **environment})

    tmp_path_factory.getbasetemp()  # two threads could not create it at once
    settings = [*(environment for environment, _ in BAD_SETTINGS), *WITH_SECRETS]
    with ThreadPoolExecutor(os.cpu_count()) as several:
        return dict(zip(map(str, settings), several.map(start, settings), strict=True))


@pytest.mark.parametrize(("environment", "text"), BAD_SETTINGS)
def test_a_bad_setting_is_reported_in_one_line(refusals: Refusals, environment: dict[str, str], text: str) -> None:
    done = refusals[str(environment)]
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("environment", WITH_SECRETS)
def test_secrets_are_not_shown(refusals: Refusals, environment: dict[str, str]) -> None:
    done = refusals[str(environment)]
    assert done.returncode == 1
    assert done.stderr.startswith("imgsvc: ")
    assert "hunter2" not in done.stderr + done.stdout


def test_a_corrupt_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images.sqlite3").write_bytes(b"not a database" * 100)
    done = _start(tmp_path, "serve", PORT="0")
    assert done.returncode == 1
    assert done.stderr.startswith("imgsvc: cannot start: the metadata database")
    assert "file is not a database" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_file_instead_of_the_blob_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/blobs").write_bytes(b"")
    done = _start(tmp_path, "serve", PORT="0")
    assert done.returncode == 1
    assert done.stderr.startswith("imgsvc: ")
    assert done.stderr.count("\n") == 1, done.stderr


def test_help_names_every_option(tmp_path: Path) -> None:
    assert "serve" in _start(tmp_path, "--help").stdout
    for option in ("--host", "--port", "--data-dir"):
        assert option in _start(tmp_path, "serve", "--help").stdout


async def test_the_http_process_never_loads_libvips(http: aiohttp.ClientSession, served: servers.Served) -> None:
    image_id = await _upload(http, served.url, pictures.jpeg())
    for path in (f"{image_id}.png?thumb=5", f"{image_id}.jpg?thumb=0", f"{image_id}.webp?rotate=9"):
        await _status(http, f"{served.url}/v1/images/{path}")
    with pytest.raises(AssertionError):
        await _upload(http, served.url, pictures.png_header(65_500, 65_500))
    assert "libvips" not in Path(f"/proc/{served.process.pid}/maps").read_text()


async def test_a_large_webp_is_decoded_without_a_temporary_file(
    http: aiohttp.ClientSession, served: servers.Served
) -> None:
    """libvips would decode more than 100 MB into a file, which the sandbox refuses."""
    body = bytes(pictures.gradient(7000, 6000).webpsave_buffer(Q=80, effort=0))
    image_id = await _upload(http, served.url, body)
    assert await _status(http, f"{served.url}/v1/images/{image_id}.jpg?crop=100x100") == (200, "image/jpeg")
