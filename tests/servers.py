"""Real servers for tests, each on a free port. They stop when the tests that use them end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from measuring.servers import ROOT, await_port, free_port
from service_kit.processes.memory import resident_bytes

__all__ = ["ROOT", "await_port", "free_port"]

PACKAGES = ("imaging", "service_kit", "pages", "storage_service", "transform_service", "jobs_service", "imgsvc")
"""Of the service."""
IN_CI = bool(os.environ.get("CI"))


def missing(reason: str) -> None:
    """Skip the test because this machine lacks something. In CI, fail instead."""
    if IN_CI:
        pytest.fail(f"{reason} (in CI nothing is skipped)")
    pytest.skip(reason)


def program(name: str, *folders: str) -> str:
    """The path of an installed program. `folders` are patterns below `/`, for programs that are not on PATH."""
    found = shutil.which(name) or next((str(p) for f in folders for p in sorted(Path("/").glob(f"{f}/{name}"))), None)
    if not found:
        missing(f"{name} is not installed; `make test` names its Debian package")
    assert found
    return found


@contextmanager
def running(command: list[str], log: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in `log`, and stop it afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs at `folder`, with options such as `size=4m`."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        missing(f"cannot mount a small disk: {mounted.stderr.decode().strip().splitlines()[0]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def postgres(folder: Path, *options: str) -> Iterator[str]:
    """Run a PostgreSQL server; yields its URL. `options` are those of initdb."""
    initdb = program("initdb", "usr/lib/postgresql/*/bin")
    data, user = _folder_of_postgres(folder)
    subprocess.run(
        [initdb, "-D", data, "-U", "imgsvc", "--auth=trust", "-E", "UTF8", *options],
        check=True, cwd=data, stdout=subprocess.DEVNULL, **user,  # type: ignore[call-overload]
    )  # fmt: skip
    with _postgres_in(folder, data, user) as url:
        yield url


@contextmanager
def standby(folder: Path, primary: str) -> Iterator[str]:
    """Run a standby of a PostgreSQL server; yields its URL. It takes writes after `SELECT pg_promote()`."""
    folder.mkdir(parents=True, exist_ok=True)
    data, user = _folder_of_postgres(folder)
    data.chmod(0o700)
    copy = [program("pg_basebackup", "usr/lib/postgresql/*/bin"), "-d", primary, "-D", data, "-R", "-c", "fast"]
    subprocess.run(copy, check=True, cwd=data, stderr=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
    with _postgres_in(folder, data, user) as url:
        yield url


def _folder_of_postgres(folder: Path) -> tuple[Path, dict[str, object]]:
    """A new folder for its data, and how to run its programs there: it refuses to run as root."""
    data = folder / "postgres"
    data.mkdir()
    if os.getuid() != 0:
        return data, {}
    shutil.chown(data, "postgres")
    for parent in (folder, *folder.parents):
        if parent != Path("/") and parent.stat().st_uid == 0 and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    return data, {"user": "postgres"}


@contextmanager
def _postgres_in(folder: Path, data: Path, user: dict[str, object]) -> Iterator[str]:
    port, log = free_port(), folder / "postgres.log"
    server = program("postgres", "usr/lib/postgresql/*/bin")
    command = [server, "-D", str(data), "-p", str(port), "-k", str(data), "-c", "listen_addresses=127.0.0.1"]
    with running(command, log, cwd=data, **user) as process:
        await_port(port, process, log)
        url = f"postgresql://imgsvc@127.0.0.1:{port}/postgres"
        ready = [program("pg_isready", "usr/lib/postgresql/*/bin"), "-q", "-d", url]
        while subprocess.run(ready, check=False).returncode and process.poll() is None:
            time.sleep(0.02)
        yield url


@contextmanager
def pgbouncer(folder: Path, url: str, **settings: str) -> Iterator[str]:
    """Run PgBouncer in transaction mode in front of a PostgreSQL server; yields its URL."""
    parts, port = urlsplit(url), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = {"listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": ""}
    options |= {"auth_type": "any", "pool_mode": "transaction", "max_client_conn": "500", **settings}
    lines = [
        "[databases]",
        f"* = host={parts.hostname} port={parts.port} user={parts.username}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in options.items()),
    ]
    file, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    file.write_text("\n".join(lines))
    user = {"user": "postgres"} if os.getuid() == 0 else {}
    for parent in (folder, *folder.parents):
        if os.getuid() == 0 and parent != Path("/") and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    with running([program("pgbouncer", "usr/sbin"), str(file)], log, **user) as process:
        await_port(port, process, log)
        yield urlunsplit(parts._replace(netloc=f"imgsvc@127.0.0.1:{port}"))


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis server; yields its URL."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running(command, folder / "redis.log", cwd=folder) as process:
        await_port(port, process, folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def s3(folder: Path, kind: str = "moto", port: int = 0) -> Iterator[dict[str, str]]:
    """Run an S3 server with a bucket named `bucket`; yields its settings. Both kinds are from PyPI: Debian has none.

    `moto` keeps everything in memory. `rclone` checks signatures, and keeps everything in `folder`.
    """
    port = port or free_port()
    if kind == "moto":
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(port)]
    else:
        bucket = folder / "buckets" / "bucket"
        bucket.mkdir(parents=True, exist_ok=True)
        rclone = str(Path(sys.executable).with_name("rclone"))
        options = ["--auth-key", "key,secret", "--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off"]
        command = [rclone, "serve", "s3", *options, "--config", "/dev/null", str(bucket.parent)]
    with running(command, folder / "s3.log", cwd=folder) as process:
        await_port(port, process, folder / "s3.log")
        endpoint = f"http://127.0.0.1:{port}"
        if kind == "moto":
            urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT"), timeout=10).close()
        yield {
            "AWS_ENDPOINT": endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }


@dataclass
class Served:
    """A running `imgsvc serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def tree(self) -> list[int]:
        """The process IDs of the service and of all its descendants."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            with suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    queue += [int(child) for child in (task / "children").read_text().split()]
        return found

    def renderers(self) -> list[int]:
        """The children of the fork server, which has loaded libvips. Only root may read their own maps."""
        tree = self.tree()
        loaded = {pid for pid in tree if "libvips" in _maps(pid)}
        return [pid for pid in tree if _parent(pid) in loaded]

    def memory(self, field: str = "Pss") -> int:
        """The bytes that the whole tree uses. Pss counts shared pages once, Rss in every process."""
        total = 0
        for pid in self.tree():
            with suppress(FileNotFoundError, ProcessLookupError):
                try:
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                except PermissionError:  # only root may read it of a worker
                    total += resident_bytes(pid)
                    continue
                match = re.search(rf"^{field}:\s+(\d+) kB", rollup, re.MULTILINE)
                total += int(match[1]) * 1024 if match else 0
        return total


def _maps(pid: int) -> str:
    with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


def _parent(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@contextmanager
def serve(folder: Path, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[Served]:
    """Run `imgsvc serve` on a free port with its data in `folder`."""
    log = folder / "imgsvc.log"
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        **os.environ,
        "PORT": "0",
        "DATA_DIR": str(folder / "data"),
        "SPOOL_DIR": str(folder / "spool"),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    command = [*prefix, sys.executable, "-m", "imgsvc", "serve"]
    with running(command, log, cwd=folder, env=variables) as process:
        yield Served(wait_for_banner(process, log), process, log)
        process.send_signal(signal.SIGCONT)  # a test may have stopped it


@contextmanager
def serve_with_format(folder: Path, code: str, **environment: str) -> Iterator[Served]:
    """Run `imgsvc serve` from a copy of the packages in `folder`, with `code` as one more file for a format."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "imaging" / "formats" / "toy.py").write_text(code)
    with serve(folder / "run", (), PYTHONPATH=str(folder), **environment) as served:
        yield served


def wait_for_banner(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until `imgsvc serve` prints its URL, and return it."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if match := re.search(r" on (http://\S+)", log.read_text()):
            return match[1]
        time.sleep(0.02)
    pytest.fail(f"imgsvc did not start:\n{log.read_text()[-2000:]}")
