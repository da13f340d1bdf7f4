"""A varnishd of its own, with our VCL or another one, in front of any origin."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ROOT, await_port, free_port, program

CODE = ROOT / "varnish"


@dataclass(frozen=True)
class Varnish:
    """A running varnishd: clients' port, the inner one, and its working folder for varnishadm and varnishstat."""

    port: int
    inside: int
    folder: Path

    def counter(self, name: str) -> int:
        """A counter of varnishstat, such as `MAIN.bans`."""
        command = [program("varnishstat"), "-n", str(self.folder / "work"), "-1", "-f", name]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(printed.split()[1])


@contextmanager
def started(origin: int, vcl: str | None = None) -> Iterator[Varnish]:
    """Ours, or with `vcl` in place of our code, which may say ORIGIN for the backend's port."""
    with tempfile.TemporaryDirectory(prefix="imgsvc-varnish-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = Varnish(free_port(), free_port(), folder)
        if vcl is None:
            environment = {**os.environ, "PROBE": "off"}
            nodes = subprocess.run(
                [CODE / "nodes", "staying", f"127.0.0.1:{origin}"], check=True, capture_output=True, env=environment
            )
            (folder / "nodes.vcl").write_bytes(nodes.stdout)
            file = CODE / "default.vcl"
            parameters = _parameters()
        else:
            file = folder / "other.vcl"
            file.write_text(vcl.replace("ORIGIN", str(origin)))
            parameters = ["-p", "http_gzip_support=off"]
        command = [
            program("varnishd"), "-F", "-j", "none", "-n", str(folder / "work"), "-f", str(file), "-s", "malloc,2g",
            "-a", f"http=127.0.0.1:{running.port},HTTP", "-a", f"inside=127.0.0.1:{running.inside},HTTP",
            "-p", f"vcl_path={folder}:{CODE}", *parameters,
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                await_port(running.port, process, folder / "log")
                yield running
            finally:
                process.terminate()
                process.wait()


def _parameters() -> list[str]:
    """Those of the image, which varnish/start gives too."""
    lines = (CODE / "parameters").read_text().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith(("#", "transit_buffer"))]
    return [part for name, value in pairs for part in ("-p", f"{name}={value}")]
