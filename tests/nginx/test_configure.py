"""nginx/configure.sh: nginx's limits, from the environment."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from pydantic import ByteSize, TypeAdapter, ValidationError

from service_kit.settings import CommonSettings
from tests.servers import ROOT

FORM = 1024**2
"""Bytes that nginx allows in addition to the upload, for the form around the file."""

SIZES = [
    *("1", "500", "67108864", "067108864", "67_108_864", "9007199254740991"),
    *(f"3{unit}" for unit in "bBkKmMgGtTpP"),
    *(f"7{prefix}{unit}" for prefix in "kMgTp" for unit in ("b", "B", "ib", "IB", "iB", "bit", "ibit", "iBit")),
    *("8bit", "9bit", "15 bit", "1.5MiB", "0.1kb", ".5k", "0.0001gb", "1.1 MB", "2.675KiB", "5.0", "1.9"),
    *("10 MB", "10\tMB", " 10MB", "10MB ", "10  mb\r", " 67108864 ", "0.1MiB", "1.7GiB", "33.333333333333333mb"),
]
UNUSABLE = ["0", "0MB", "0.5b", "-1", "-1MB", "MB", "k", "many", "1e6", "1ki", "1ib", "1_0MB", "0x10", "1 000"]
STRICTER = ["64MiB or so", "10,5MB", "1.5.5MB", "64.MiB", "10 M B", "8PiB", "1EB", "1EiB", "9007199254740993"]
"""Sizes that pydantic reads, often by ignoring everything after the part that it understands."""


def configure(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(ROOT / "nginx/configure.sh"), str(folder)]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**path, **environment})


def limit(folder: Path) -> int:
    """The largest body, in bytes, that nginx accepts with the configuration in this folder."""
    (size,) = re.findall(r"^client_max_body_size (\d+);$", (folder / "limits.conf").read_text(), re.MULTILINE)
    return int(size)


def services_read(size: str) -> int | None:
    """The same setting as the services read it; None if they refuse it."""
    try:
        return int(TypeAdapter(ByteSize).validate_python(size)) or None
    except ValidationError:
        return None


@pytest.mark.parametrize("size", SIZES)
def test_nginx_reads_an_upload_size_as_the_services_do(tmp_path: Path, size: str) -> None:
    done = configure(tmp_path, MAX_UPLOAD_BYTES=size)
    assert done.returncode == 0, done.stderr
    read = services_read(size)
    assert read
    assert limit(tmp_path) == read + FORM


@pytest.mark.parametrize("size", UNUSABLE)
def test_an_upload_size_that_the_services_refuse_stops_nginx_too(tmp_path: Path, size: str) -> None:
    assert services_read(size) is None
    done = configure(tmp_path, MAX_UPLOAD_BYTES=size)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"MAX_UPLOAD_BYTES='{size}': use a size above 0 and below 8PiB, such as 67108864, 64MiB or 100MB"
    ]


@pytest.mark.parametrize("size", STRICTER)
def test_an_upload_size_that_is_easily_misread_stops_nginx(tmp_path: Path, size: str) -> None:
    assert services_read(size)
    assert configure(tmp_path, MAX_UPLOAD_BYTES=size).returncode == 2


@pytest.mark.parametrize("environment", [{}, {"MAX_UPLOAD_BYTES": "", "UPLOADS_PER_MINUTE": ""}])
def test_unset_and_empty_variables_have_defaults(tmp_path: Path, environment: dict[str, str]) -> None:
    assert configure(tmp_path, **environment).returncode == 0
    assert limit(tmp_path) == CommonSettings.model_fields["max_upload_bytes"].default + FORM
    rates = (tmp_path / "rates.conf").read_text()
    assert "rate=120r/m" in rates
    assert "rate=50r/s" in rates


def test_rates_come_from_the_environment(tmp_path: Path) -> None:
    assert configure(tmp_path, UPLOADS_PER_MINUTE="7", RENDERS_PER_SECOND="8").returncode == 0
    rates = (tmp_path / "rates.conf").read_text()
    assert "rate=7r/m" in rates
    assert "rate=8r/s" in rates


@pytest.mark.parametrize("name", ["UPLOADS_PER_MINUTE", "RENDERS_PER_SECOND", "GRACE_SECONDS"])
@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "07", " 7"])
def test_a_rate_that_is_not_a_positive_whole_number_is_refused(tmp_path: Path, name: str, value: str) -> None:
    done = configure(tmp_path, **{name: value})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{name}='{value}': use a whole number, 1 or more"]


def test_workers_that_stop_have_as_long_as_the_services(tmp_path: Path) -> None:
    for environment, seconds in (({}, 300), ({"GRACE_SECONDS": "20"}, 20)):
        assert configure(tmp_path, **environment).returncode == 0
        assert f"worker_shutdown_timeout {seconds}s;" in (tmp_path / "main.conf").read_text()
    assert CommonSettings.model_fields["grace_seconds"].default == 300


def test_no_placeholder_is_left(tmp_path: Path) -> None:
    assert configure(tmp_path).returncode == 0
    assert not [file for file in tmp_path.iterdir() if "${" in file.read_text()]
