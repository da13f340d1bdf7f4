"""A decoder that was taken over: nothing that it tries works, and only its own request fails."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.servers import Served, serve_with_format

HOSTILE = '''
"""A format whose decoder does what the file says."""

import ctypes, mmap, os, re, resource, signal, socket, stat, subprocess, threading, time
from imaging.formats.base import Format, Rate, Reader, register
from service_kit.errors import UnprocessableImage


def _connection():
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass


def _connect():
    socket.socket().connect(("127.0.0.1", 22))


def _environment():
    if secrets := [name for name in os.environ if "SECRET" in name]:
        return secrets
    return open("/proc/self/environ").read()


def _eat():
    kept = []
    while True:
        kept.append(b"x" * 10_000_000)


PICKLE = b"cos\\nsystem\\n(S'touch /tmp/hostile'\\ntR.\\n"
ATTEMPTS = {
    b"passwd": lambda: open("/etc/passwd").read(),
    b"images": lambda: os.listdir(DATA),
    b"connect": _connect,
    b"exec": lambda: os.execv("/bin/sh", ["sh", "-c", "touch /tmp/hostile"]),
    b"run": lambda: subprocess.run(["/bin/true"]),
    b"fork": os.fork,
    b"signal": lambda: os.kill(os.getppid(), signal.SIGKILL),
    b"signal all": lambda: os.kill(-1, signal.SIGKILL),
    b"environment": _environment,
    b"send": lambda: (os.write(_connection(), PICKLE), time.sleep(60)),
    b"flood": lambda: [os.write(_connection(), b"x" * 4096) for _ in range(100_000)],
    b"crash": lambda: ctypes.string_at(0),
    b"eat": _eat,
    b"hang": lambda: time.sleep(600),
    b"threads": lambda: [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(20_000)],
}


def _check(data, limits):
    name = data[8:].strip()
    try:
        done = ATTEMPTS[name]()
    except (OSError, RuntimeError) as error:
        raise UnprocessableImage(f"refused: {type(error).__name__}")
    raise UnprocessableImage(f"it worked: {done!r}")


register(
    Format(
        name="hostile", media_type="image/hostile", extensions=("hostile",), signature=re.compile(b"HOSTILE "),
        alpha=False, reader=Reader(loader="csvload", loader_class="Csv", rate=Rate(8, 8), check=_check),
    )
)
'''
RAW = {"Content-Type": "image/x"}
MARK = Path("/tmp/hostile")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    settings = {"AWS_SECRET_ACCESS_KEY": "secret", "VALIDATION_SECONDS": "2", "RENDER_SECONDS": "3"}
    with serve_with_format(folder, HOSTILE.replace("DATA)", f"{str(folder)!r})"), **settings) as served:
        yield served


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, str]:
    async with http.post(url, data=body, headers=RAW) as response:
        return response.status, (await response.read()).decode(errors="replace")


@pytest.mark.parametrize("path", ["/v1/images", "/v1/transform?blur=1"])
@pytest.mark.parametrize(
    ("attempt", "statuses", "text"),
    [
        ("passwd", {422}, "refused: PermissionError"),
        ("images", {422}, "refused: PermissionError"),
        ("connect", {422}, "refused: PermissionError"),
        ("exec", {422}, "refused: PermissionError"),
        ("run", {422}, "refused: "),
        ("fork", {422}, "refused: PermissionError"),
        ("signal", {422}, "refused: PermissionError"),
        ("signal all", {422}, "refused: PermissionError"),
        ("environment", {422}, "refused: PermissionError"),
        ("send", {503}, "invalid answer"),
        ("flood", {503}, "invalid answer"),
        ("crash", {503}, "ended unexpectedly"),
        ("eat", {422}, "memory"),
        ("hang", {503}, "within"),
        ("threads", {422, 503}, ""),  # they exceed the memory, or the time on a busy machine
    ],
)
async def test_only_its_own_request_fails(  # noqa: PLR0917
    http: aiohttp.ClientSession, service: Served, path: str, attempt: str, statuses: set[int], text: str
) -> None:
    MARK.unlink(missing_ok=True)
    healthy = pictures.jpeg()
    answer = await post(http, service.url + path, b"HOSTILE " + attempt.encode())
    assert answer[0] in statuses, answer
    assert text in answer[1]
    assert "it worked" not in answer[1]
    assert not MARK.exists()
    assert (await post(http, service.url + path, healthy))[0] in {200, 201}
    assert service.process.poll() is None
