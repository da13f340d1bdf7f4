"""What only containers show: reloading in development, limits, settings. end_to_end/ tests the API."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.compose import stack
from tests.servers import ROOT


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[stack.Stack, Path]]:
    """The stack with APP_ENV=dev, on a copy of the sources that tests may change."""
    copy = tmp_path_factory.mktemp("sources") / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "var", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    for folder in (copy, *copy.parents):  # containers read as another user
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o055)
    with stack.up(copy, "dev", "imgsvc-test-dev") as started:
        yield started, copy


def _health(url: str) -> str:
    with urllib.request.urlopen(f"{url}/v1/images/healthcheck", timeout=5) as answer:
        return str(json.load(answer)["status"])


def test_a_change_of_the_code_takes_effect_without_a_restart(development: tuple[stack.Stack, Path]) -> None:
    started, copy = development
    assert _health(started.url) == "okay"
    file = copy / "service_kit/http/health.py"
    file.write_text(file.read_text().replace('"okay"', '"changed"'))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if _health(started.url) == "changed":
                return
        except OSError:
            pass  # it is reloading
        time.sleep(0.2)
    pytest.fail(f"not reloaded: {started.run('logs', '--tail=30')}")


async def test_a_client_that_sends_too_many_requests_gets_429(
    development: tuple[stack.Stack, Path], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, _ = development
    monkeypatch.setitem(started.environment, "TEST_RENDERS_PER_SECOND", "1")
    monkeypatch.setitem(started.environment, "TEST_UPLOADS_PER_MINUTE", "1")
    started.run("up", "-d", "nginx")
    started.wait()

    async def ask(number: int) -> tuple[int, str | None, str]:
        url = f"{started.url}/v1/images/{number:032x}.webp?thumb=9"
        async with http.get(url, headers={"X-Forwarded-For": f"192.0.2.{number % 250}"}) as answer:
            return answer.status, answer.headers.get("Retry-After"), answer.content_type

    answers = Counter(await asyncio.gather(*(ask(number) for number in range(500))))
    refused, known = (429, "1", "application/problem+json"), (404, None, "application/problem+json")
    assert set(answers) == {refused, known}
    assert answers[known] >= 300, "a page of pictures"
    assert answers[refused] >= 100
    # A limit counts only its own kind of requests.
    async with http.get(f"{started.url}/v1/images?limit=1") as answer:
        assert answer.status == 200
    async with http.post(f"{started.url}/v1/images", data=b"no image", headers={"Content-Type": "image/png"}) as answer:
        assert answer.status == 415


async def test_one_setting_limits_uploads_in_nginx_and_in_the_services(
    development: tuple[stack.Stack, Path], http: aiohttp.ClientSession
) -> None:
    started, copy = development
    limit = 1024**2
    with (copy / ".env").open("a") as variables:
        variables.write(f"MAX_UPLOAD_BYTES={limit}\n")
    # It would change the time zone of nginx' log, if it reached it.
    (copy / "settings.env").write_text("TZ=XYZ-5\n")
    started.run("up", "-d")
    started.wait()

    async def upload(size: int) -> tuple[int, str]:
        headers = {"Content-Type": "image/jpeg"}
        while True:  # until Varnish's probes have seen the new nginx
            body = io.BytesIO(pictures.of_size(size))
            async with http.post(f"{started.url}/v1/images", data=body, headers=headers) as answer:
                if answer.status != 503:
                    return answer.status, (await answer.json()).get("detail", "")
            await asyncio.sleep(0.2)

    by_nginx = "the request body exceeds the upload limit of 1048576 bytes; send a smaller image"
    assert (await upload(limit))[0] == 201
    # Just over the limit, the service answers. Far over it, nginx does.
    for size in (limit + 1, 2 * limit):
        status, detail = await upload(size)
        assert (status, "1048576 bytes" in detail, detail == by_nginx) == (413, True, False), detail
    assert await upload(2 * limit + 1) == (413, by_nginx)
    times = re.findall('^{"time": "([^"]+)".*"status": 413', started.log("nginx"), re.MULTILINE)
    assert [time[-6:] for time in times] == ["+00:00"] * 3


async def test_public_url_reaches_the_service_that_writes_links(
    development: tuple[stack.Stack, Path], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, _ = development
    monkeypatch.setitem(started.environment, "PUBLIC_URL", "https://images.example.com")
    started.run("up", "-d", "storage")
    started.wait()
    headers = {"Content-Type": "image/jpeg"}
    async with http.post(f"{started.url}/v1/images", data=pictures.jpeg(), headers=headers) as response:
        url = (await response.json())["url"]
        assert response.headers["Location"] == url
    assert url.startswith("https://images.example.com/v1/images/")


def test_every_part_answers_the_probes_of_orchestrators(development: tuple[stack.Stack, Path]) -> None:
    started, _ = development
    started.wait()
    ask = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    for path in ("/healthz", "/readyz"):
        for service, port in (("storage", 8081), ("transform", 8082)):
            command = ["python", "-c", ask, f"http://127.0.0.1:{port}{path}"]
            body = json.loads(started.docker("exec", started.containers(service)[0], *command))
            assert body["service"] == f"image-{service}"
        nginx = started.containers("nginx")[0]
        body = json.loads(started.docker("exec", nginx, "curl", "-fsS", f"http://127.0.0.1:8080{path}"))
        assert body["service"] == "nginx"
        with urllib.request.urlopen(f"{started.url}{path}", timeout=5) as answer:
            assert json.load(answer)["service"] == "cache"


def test_an_nginx_that_is_leaving_is_alive_and_not_ready(development: tuple[stack.Stack, Path]) -> None:
    started, _ = development
    nginx = started.containers("nginx")[0]
    status = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}")
    started.docker("exec", nginx, "touch", "/tmp/leaving")
    try:
        assert started.docker("exec", nginx, *status, "http://127.0.0.1:8080/readyz") == "503"
        assert started.docker("exec", nginx, *status, "http://127.0.0.1:8080/healthz") == "200"
    finally:
        started.docker("exec", nginx, "rm", "/tmp/leaving")


@pytest.mark.parametrize("setting", ["UPLOADS_PER_MINUTE", "MAX_UPLOAD_BYTES"])
def test_nginx_does_not_start_with_a_limit_that_is_not_a_number(
    development: tuple[stack.Stack, Path], setting: str
) -> None:
    started, _ = development
    image = started.docker("inspect", "-f", "{{.Image}}", started.containers("nginx")[0]).strip()
    command = ["docker", "run", "--rm", "-e", f"{setting}=many", image]
    done = subprocess.run(command, env=started.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{setting}='many': use ")


_NOT_SERVING = {
    "explain.py", "gunicorn.py", "scrub.py", "scrubbing.py", "check.py", "checking.py", "beside.py", "__init__.py",
    "administration.py", "backlog.py", "demand.py", "durations.py", "keys.py", "local.py", "sign.py", "spaces.py",
    "sweep.py", "trail.py", "webhooks.py",
}  # fmt: skip


def create_keys(
    folder: Path, settings: str = "", env: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script of the container `keys` with its files in a folder."""
    for name in ("database", "cache", "access", "redis"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "settings.env").write_text(settings)
    (folder / "env").write_text(env)
    places = {"KEYS": str(folder), "DATABASE": str(folder / "none"), "SETTINGS": str(folder / "settings.env")}
    places |= {"ENV": str(folder / "env"), "NAMES": str(ROOT / "keys/names"), "COMPOSE_FILE": "docker-compose.yml"}
    command = ["sh", str(ROOT / "keys/create")]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=path | places | environment, capture_output=True, text=True, check=False)


def test_settings_that_would_have_no_effect_in_settings_env_are_refused(tmp_path: Path) -> None:
    done = create_keys(tmp_path, "RENDER_SECONDS=10\nAUTH=keys\n")
    assert (done.returncode, done.stderr) == (
        1,
        "keys: AUTH is in settings.env, where it has no effect; put it into .env\n",
    )
    assert create_keys(tmp_path, "# AUTH=keys\nRENDER_SECONDS=10\nKEEPALIVE_SECONDS=80\nTZ=UTC\n").returncode == 0
    assert "put it into .env" in create_keys(tmp_path, "VARNISH_SIZE=1g\n").stderr
    assert "docker-compose.yml sets it; take it out" in create_keys(tmp_path, "PURGE_URLS=[]\n").stderr


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("AUHT=keys", "AUHT in .env is not a setting; did you mean AUTH?"),
        ("export PUBLSH = 0.0.0.0:80", "PUBLSH in .env is not a setting; did you mean PUBLISH?"),
        ("VARNISH_SIZES=1g", "VARNISH_SIZES in .env is not a setting; did you mean VARNISH_SIZE?"),
        ("MAX_PIXEL=9", "MAX_PIXEL in .env is not a setting; did you mean MAX_PIXELS?"),
        ("auth=keys", "auth in .env is not a setting; did you mean AUTH?"),
        ("AUHT: keys", "AUHT in .env is not a setting; did you mean AUTH?"),
        ("AWS_REGION=eu-west-1", "AWS_REGION is in .env, where it has no effect; put it into settings.env"),
        (
            "STORAGE_URL=http://x",
            "STORAGE_URL is in .env, where it has no effect: docker-compose.yml sets it; take it out",
        ),
        ("RENDER_SECONDS=10", "RENDER_SECONDS is in .env, where it has no effect; put it into settings.env"),
    ],
)
def test_names_in_env_that_have_no_effect_are_refused(tmp_path: Path, env: str, said: str) -> None:
    done = create_keys(tmp_path, env=f"# RENDER_SECOND=1\nAUTH=keys\n{env}\n")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"keys: {said}")
    assert not (tmp_path / "access/secret").exists()
    for files in ("docker-compose.yml:mine.yml", ""):
        own = create_keys(tmp_path, env=env, COMPOSE_FILE=files)
        assert own.returncode == 0, "a file of the operator's own may use it"


def test_what_editors_and_people_write_into_env_is_read_as_compose_does(tmp_path: Path) -> None:
    assert "did you mean AUTH?" in create_keys(tmp_path, env="\ufeffAUHT=keys\r\n").stderr
    fine = "\ufeffAUTH=keys\r\n\r\n# AUHT=1\r\nexportAUHT=1\nEMPTY=\n  PUBLISH = 0.0.0.0:80\n" + "".join(
        f"MY_OWN_NAME_{number}={number}\n" for number in range(40)
    )
    assert create_keys(tmp_path, env=fine).stderr == ""


def test_the_names_in_env_as_it_comes_are_right(tmp_path: Path) -> None:
    env = (ROOT / ".env").read_text() + "MY_COMPANY_TAG=1\n"
    (files,) = re.findall("COMPOSE_FILE=(.*)", env)
    assert create_keys(tmp_path, env=env, COMPOSE_FILE=files).stderr == ""
    files += "".join(f":{path.name}" for path in ROOT.glob("docker-compose*.yml"))
    assert "did you mean AUTH?" in create_keys(tmp_path, env=f"{env}AUHT=keys\n", COMPOSE_FILE=files).stderr
    files += ":docker-compose.override.yml"
    assert create_keys(tmp_path, env=f"{env}AUHT=keys\n", COMPOSE_FILE=files).stderr == ""


def test_a_secret_that_is_replaced_is_kept(tmp_path: Path) -> None:
    assert create_keys(tmp_path).stderr == ""
    before = (tmp_path / "access/secret").read_text()
    done = create_keys(tmp_path, ACCESS_SECRET="another one of at least 32 characters")
    assert "ACCESS_SECRET replaces the value that was used until now" in done.stderr
    assert (tmp_path / "access/secret.previous").read_text() == before
    assert create_keys(tmp_path, ACCESS_SECRET="another one of at least 32 characters").stderr == ""
    assert (tmp_path / "access/secret.previous").read_text() == before


def test_development_reloads_on_every_module_of_the_worker_processes() -> None:
    """gunicorn watches what its own process imports. Modules that only workers import must be named."""
    development = (ROOT / "docker-compose.dev.yml").read_text()
    named = set(re.findall(r"--reload-extra-file (\S+)", development))
    code = """
import sys, storage_service.metadata, storage_service.__main__, transform_service.__main__
from service_kit.plugins import discover
from transform_service.sources.base import load_sources
load_sources(), discover(storage_service.metadata)
print(*sys.modules)
"""
    python = [sys.executable, "-c", code]
    seen = set(subprocess.run(python, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    for package in ("imaging", "service_kit", "transform_service", "storage_service"):
        for file in (ROOT / package).rglob("*.py"):
            # For the command line, in gunicorn's main process, and nothing but a docstring.
            if file.name in _NOT_SERVING:
                continue
            module = str(file.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
            assert module in seen or str(file.relative_to(ROOT)) in named, f"{module} is not reloaded"


def test_compose_accepts_the_files_of_both_environments() -> None:
    for app_env in ("prod", "dev"):
        assert "transform" in stack.Stack(ROOT, app_env, "imgsvc-config").run("config", "--services")
