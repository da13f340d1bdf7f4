"""The three programs from a terminal: each mistake is one line on stderr, and an exit code."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic_settings import BaseSettings

from imgsvc.settings import ServeSettings
from service_kit.errors import CannotStart
from service_kit.settings import CommonSettings, _misspelt, read_settings
from storage_service.settings import StorageSettings
from tests import servers
from tests.faults.test_databases import run_sql
from transform_service.settings import TransformSettings

COMMANDS = {
    "imgsvc": ("imgsvc", "serve"),
    "storage_service": ("storage_service",),
    "transform_service": ("transform_service",),
}
SETTINGS: dict[str, list[type[BaseSettings]]] = {
    "imgsvc": [ServeSettings, StorageSettings, TransformSettings],
    "storage_service": [StorageSettings],
    "transform_service": [TransformSettings],
}
PORTS = {"imgsvc": "PORT", "storage_service": "STORAGE_PORT", "transform_service": "TRANSFORM_PORT"}
LOCAL = {"AUTH": "auto", "PUBLISH": "127.0.0.1"}
"""Nobody needs a key. With AUTH=open, there would be a warning too."""
IN_USE = "IN_USE"
"""Stands for the number of a port that another process listens on."""

Case = tuple[tuple[str, ...], dict[str, str], int, str]
CASES: dict[str, Case] = {
    # Options, environment, exit code, and a pattern for the last line of stderr.
    "port in use": (
        ("--host", "127.0.0.1", "--port", IN_USE),
        {},
        1,
        r"{program}: cannot listen on 127\.0\.0\.1:IN_USE: Address already in use; choose another port or host",
    ),
    "bad value": ((), {"MAX_PIXELS": "0"}, 1, r"{program}: MAX_PIXELS='0' must be above 0"),
    "bad size": ((), {"MAX_UPLOAD_BYTES": "much"}, 1, r"{program}: MAX_UPLOAD_BYTES='much': .+"),
    "bad port": (("--port", "x"), {}, 1, r"{program}: {port}='x' must be a whole number"),
    "port out of range": (("--port", "65536"), {}, 1, r"{program}: {port}='65536' must be at most 65535"),
    "misspelt setting": (
        (),
        {"MAX_PIXLES": "1"},
        1,
        r"{program}: MAX_PIXLES is not a setting; did you mean MAX_PIXELS\?",
    ),
    "misspelt in lower case": (
        (),
        {"log_formt": "json"},
        1,
        r"{program}: log_formt is not a setting; did you mean LOG_FORMAT\?",
    ),
    "unknown option": (
        ("--prot", "1"),
        {},
        2,
        r".+: error: unrecognized arguments: --prot 1|imgsvc: there is no option '--prot'; did you mean '--port'\?",
    ),
    "help": (("--help",), {}, 0, ""),
}
Finished = dict[tuple[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def port_in_use() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.fixture(scope="module")
def finished(port_in_use: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every case with every program. A start takes a second of a core, so they run side by side."""
    folders = {(program, case): tmp_path_factory.mktemp("program") for program in COMMANDS for case in CASES}

    def run(key: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        program, case = key
        options, changes, _, _ = CASES[case]
        folder = folders[key]
        environment = {
            **os.environ,
            "PYTHONPATH": str(servers.ROOT),
            "DATA_DIR": str(folder / "data"),
            "SPOOL_DIR": str(folder / "spool"),
            PORTS[program]: "0",
            **LOCAL,
            **changes,
        }
        arguments = [port_in_use if option == IN_USE else option for option in options]
        return subprocess.run(
            [sys.executable, "-m", *COMMANDS[program], *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    with ThreadPoolExecutor(os.cpu_count()) as several:
        return dict(zip(folders, several.map(run, folders), strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("program", COMMANDS)
def test_a_mistake_is_one_line_and_an_exit_code(finished: Finished, port_in_use: str, program: str, case: str) -> None:
    done = finished[program, case]
    _, _, code, text = CASES[case]
    pattern = text.format(program=program, port=PORTS[program]).replace(IN_USE, port_in_use)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    *usage, last = done.stderr.splitlines() or [""]
    assert re.fullmatch(pattern, last), done.stderr
    assert bool(usage) is (code == 2 and program != "imgsvc"), "only argparse prints more: its usage"
    assert bool(done.stdout) is (code == 0)


def test_the_first_key_is_shown_although_the_start_fails(port_in_use: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(servers.ROOT), "DATA_DIR": str(tmp_path), "AUTH": "keys"}
    shown = [
        subprocess.run(
            [sys.executable, "-m", "imgsvc", "serve", "--port", port_in_use],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [done.returncode for done in shown] == [1, 1]
    assert re.search("^  ik_[0-9a-f]{12}_", shown[0].stdout, re.MULTILINE)
    assert shown[1].stdout == "", "it exists, and the next start makes no other one"


@pytest.mark.parametrize("program", COMMANDS)
def test_help_shows_each_option_with_its_setting(finished: Finished, program: str) -> None:
    words = " ".join(finished[program, "help"].stdout.split())
    usage = "Usage: imgsvc serve [OPTIONS]" if program == "imgsvc" else f"usage: python -m {program} [-h]"
    assert words.startswith(usage)
    prefix = PORTS[program].removesuffix("PORT")
    for option in ("host", "port"):
        default = next(
            cls.model_fields[name].default
            for cls in SETTINGS[program]
            for name in cls.model_fields
            if name == f"{prefix.lower()}{option}"
        )
        assert f"--{option} {option.upper()} " in words
        assert f"({prefix}{option.upper()}, default {default})" in words
    assert "Every other setting is an environment variable" in words


@pytest.mark.parametrize("program", COMMANDS)
def test_settings_of_other_programs_are_not_misspellings(program: str) -> None:
    known = {name.upper() for cls in SETTINGS[program] for name in cls.model_fields}
    everything = {name.upper() for classes in SETTINGS.values() for cls in classes for name in cls.model_fields}
    assert not list(_misspelt(everything, known))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PRESET", "PRESETS"),
        ("RENDRERS", "RENDERERS"),
        ("RENEDRERS", "RENDERERS"),
        ("renderers_", "RENDERERS"),
        ("MAX_PIXEL5", "MAX_PIXELS"),
        ("DATABASE_USER", None),
        ("DATABASE_PASSWORD", None),
        ("RESULT_CACHE_USER", None),
        ("STORAGE_SERVICE_HOST", None),
        ("KUBERNETES_PORT", None),
        ("HOSTS", None),
        ("renderers", None),
    ],
)
def test_one_edit_makes_a_misspelling_and_another_word_does_not(variable: str, meant: str | None) -> None:
    known = {name.upper() for classes in SETTINGS.values() for cls in classes for name in cls.model_fields}
    expected = [f"{variable} is not a setting; did you mean {meant}?"] if meant else []
    assert list(_misspelt([variable], known)) == expected


def _gunicorn(service: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "gunicorn", f"{service}.__main__:application", "--no-control-socket",
        "--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--bind", "127.0.0.1:0", "--log-level", "critical",
    ]  # fmt: skip
    return subprocess.run(
        command,
        cwd=servers.ROOT,
        env={**os.environ, **LOCAL, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("service", ["storage_service", "transform_service"])
def test_a_bad_setting_is_one_line_under_gunicorn_too(service: str) -> None:
    done = _gunicorn(service, {"MAX_PIXELS": "many"})
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line == f"{service}: MAX_PIXELS='many' must be a whole number"


REDIS = {"RESULT_CACHE_URL": "redis://127.0.0.1:1/0", "CACHE_KEY": "x" * 32, "BLOB_URL": "file:///blobs"}


@pytest.mark.parametrize(
    ("service", "changes", "text"),
    [
        ("storage_service", {"DATABASE_URL": "{postgres} wrong password"}, "rejects the service; check the user name"),
        ("storage_service", {"DATABASE_URL": "{postgres} no rights"}, "denies the service a right; grant its user"),
        ("storage_service", {"DATABASE_URL": "{postgres} no database"}, "does not exist; check the name at the end"),
        ("storage_service", {"DATABASE_URL": "{postgres}?sslmode=odd"}, "DATABASE_URL is not valid: `sslmode` para"),
        ("storage_service", {"DATABASE_URL": "{postgres}?nonsense=1"}, "unrecognized configuration parameter"),
        ("storage_service", {"DATABASE_URL": "postgresql://a:1,b:x/y"}, "DATABASE_URL='postgresql://b:x/y' is not a"),
        ("storage_service", {"DATABASE_PASSWORD_FILE": "/nowhere/x"}, "cannot read DATABASE_PASSWORD_FILE /nowhere/x"),
        ("storage_service", {"DATA_DIR": "/proc/x"}, "BLOB_URL='file:///proc/x/blobs' is not a blob store"),
        ("storage_service", {"BLOB_URL": "file:///proc/x"}, "BLOB_URL='file:///proc/x' is not a blob store"),
        ("transform_service", {"SPOOL_DIR": "/proc/x"}, "cannot start: [Errno 2] No such file or directory: '/proc/x'"),
        ("transform_service", {**REDIS, "RESULT_CACHE_PASSWORD_FILE": "/nowhere/x"}, "cannot read RESULT_CACHE_PASS"),
        ("transform_service", {**REDIS, "CACHE_KEY": ""}, "CACHE_KEY"),
    ],
)
def test_a_start_that_fails_is_one_line_under_gunicorn_and_the_end_of_it(
    protected_postgres: str, tmp_path: Path, service: str, changes: dict[str, str], text: str
) -> None:
    parts = urlsplit(protected_postgres)
    urls = {
        "{postgres} wrong password": parts._replace(netloc=f"imgsvc:wrong@127.0.0.1:{parts.port}"),
        "{postgres} no rights": parts._replace(netloc=f"guest:hunter2@127.0.0.1:{parts.port}"),
        "{postgres} no database": parts._replace(path="/nothing"),
        "{postgres}?sslmode=odd": parts._replace(query="sslmode=odd"),
        "{postgres}?nonsense=1": parts._replace(query="nonsense=1"),
    }
    known = {name: url.geturl() for name, url in urls.items()}
    places = {"DATA_DIR": str(tmp_path / "data"), "SPOOL_DIR": str(tmp_path / "spool")}
    done = _gunicorn(service, {**places, **{name: known.get(value, value) for name, value in changes.items()}})
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{service}: "), line
    assert text in line
    assert "hunter2" not in line


@pytest.fixture(scope="module")
def protected_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for passwords. Its user `guest` may create nothing."""
    folder = tmp_path_factory.mktemp("protected")
    with servers.postgres(folder) as url:
        run_sql(url, "ALTER ROLE imgsvc PASSWORD 'hunter2'", "CREATE ROLE guest LOGIN PASSWORD 'hunter2'")
        (folder / "postgres/pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        run_sql(url, "SELECT pg_reload_conf()")
        yield url.replace("imgsvc@", "imgsvc:hunter2@")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("10MB", 10_000_000), ("64MiB", 64 * 1024**2), ("1.5GiB", 1536 * 1024**2), ("", 64 * 1024**2)],
)
def test_byte_sizes_have_units(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", text)
    (settings,) = read_settings(CommonSettings)
    assert settings.max_upload_bytes == size


@pytest.mark.parametrize(
    "text", ["much", "10 apples", "-1MB", "0", "MiB", "1e3", "nan", "1,5GiB", "64 MiB more", "64MiB!", "1MB\n2MB"]
)
def test_nonsense_for_a_byte_size_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", text)
    with pytest.raises(CannotStart, match=rf"\AMAX_UPLOAD_BYTES={re.escape(repr(text))}:? [^\n]+\Z"):
        read_settings(CommonSettings)


def test_every_problem_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MAX_PIXELS": "0", "LOG_LEVEL": "LOUD", "UPLOAD_SECOND": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart) as raised:
        read_settings(StorageSettings)
    names = [re.match(r"\w+", line)[0] for line in str(raised.value).splitlines()]  # type: ignore[index]
    assert sorted(names) == ["LOG_LEVEL", "MAX_PIXELS", "UPLOAD_SECOND"]
