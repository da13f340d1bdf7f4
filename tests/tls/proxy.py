"""tls/start in front of a real Varnish and a real `imgsvc serve`, and curl as the client."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from measuring.servers import running
from tests.servers import ROOT, await_port, free_port, program, serve

VCL = ROOT / "varnish"
_SECONDS = 30


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    https: int
    http: int
    health: int
    certificates: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https}"

    def curl(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        """Run curl until it ends. It trusts the certificate in `certificates`."""
        return subprocess.run(self.command(*arguments), capture_output=True, check=False)

    def command(self, *arguments: str | Path) -> list[str]:
        trusted = str(self.certificates / "fullchain.pem")
        return [program("curl"), "-sS", "--max-time", "60", "--cacert", trusted, *map(str, arguments)]

    def says(self, text: str) -> None:
        """Wait until the log has a line with `text`."""
        deadline = time.monotonic() + _SECONDS
        while text not in self.log.read_text():
            if time.monotonic() > deadline:
                pytest.fail(f"the log lacks {text!r}:\n{self.log.read_text()}")
            time.sleep(0.05)


def write_certificate(folder: Path, name: str = "localhost") -> None:
    """Write a new key and a certificate of it, as a client of ACME would."""
    folder.mkdir(exist_ok=True)
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    into = ["-keyout", f"{key}.new", "-out", f"{certificate}.new"]
    subprocess.run([program("openssl"), *make, *names, *into], check=True, capture_output=True)
    for file in (certificate, key):
        Path(f"{file}.new").rename(file)


@contextmanager
def varnish(folder: Path, origin: str) -> Iterator[int]:
    """Run Varnish with this project's VCL in front of `origin`; yields its port."""
    folder.mkdir()
    port = free_port()
    nodes = [str(VCL / "nodes"), "staying", urlsplit(origin).netloc]
    environment = {**os.environ, "PROBE": "off", "TRUSTED_PROXIES": "127.0.0.0/8"}
    (folder / "nodes.vcl").write_text(subprocess.check_output(nodes, env=environment, text=True))
    listen = ["-a", f"http=127.0.0.1:{port},HTTP", "-a", f"inside=127.0.0.1:{free_port()},HTTP"]
    settings = ["-n", str(folder / "work"), "-f", str(VCL / "default.vcl"), "-p", f"vcl_path={folder}:{VCL}"]
    command = [program("varnishd"), "-F", *settings, *listen, "-p", "http_req_hdr_len=40k", "-p", "http_req_size=64k"]
    command += ["-p", "workspace_client=128k", "-p", "workspace_backend=128k", "-j", "none"]
    with running(command, folder / "varnish.log") as process:
        await_port(port, process, folder / "varnish.log")
        yield port


@contextmanager
def proxy(folder: Path, varnish_port: int, **settings: str) -> Iterator[Proxy]:
    """Run tls/start. `settings` are its variables."""
    folder.mkdir()
    program("nginx")
    stack = ExitStack()
    # Not below pytest's own folder, which the workers of an nginx that root has started cannot enter.
    certificates = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    certificates.chmod(0o755)
    write_certificate(certificates)
    https, plain, health = (free_port() for _ in range(3))
    environment = {
        **os.environ,
        "CERTIFICATES": str(certificates),
        "RUN": str(folder / "run"),
        "TLS_PORT": str(https),
        "HTTPS_PORT": str(https),
        "PLAIN_PORT": str(plain),
        "HEALTH_PORT": str(health),
        "VARNISH": f"127.0.0.1:{varnish_port}",
        **settings,
    }
    log = folder / "tls.log"
    with stack, running([str(ROOT / "tls/start")], log, env=environment) as process:
        await_port(https, process, log)
        started = Proxy(https, plain, health, certificates, log, process)
        deadline = time.monotonic() + _SECONDS
        while started.curl(f"http://127.0.0.1:{health}/tls/healthcheck").stdout != b"okay\n":  # `nginx -t` listens too
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield started


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """Run Varnish and `imgsvc serve`; yields Varnish's port."""
    with ExitStack() as stack:
        served = stack.enter_context(serve(folder / "imgsvc"))
        yield stack.enter_context(varnish(folder / "varnish", served.url))
