"""A varnishd of its own in front of any origin, with our VCL or hardly any."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring.servers import ROOT, await_port, free_port, program, running

_CODE = ROOT / "varnish"
_BARE = 'vcl 4.1; backend default { .host = "127.0.0.1"; .port = "%d"; }'


@contextmanager
def started(origin: int, *, bare: bool = False, code: Path = _CODE) -> Iterator[str]:
    """Run varnishd, with our `code` unless it is to be `bare`; yields its URL."""
    with tempfile.TemporaryDirectory(prefix="imgsvc-varnish-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        if bare:
            file, parameters = folder / "bare.vcl", ["-p", "http_gzip_support=off"]
            file.write_text(_BARE % origin)
        else:
            file, parameters = code / "default.vcl", _parameters()
            nodes, environment = (
                [str(code / "nodes"), "staying", f"127.0.0.1:{origin}"],
                {**os.environ, "PROBE": "off"},
            )
            (folder / "nodes.vcl").write_bytes(subprocess.check_output(nodes, env=environment))
        command = [
            program("varnishd"), "-F", "-j", "none", "-n", str(folder / "work"), "-f", str(file), "-s", "malloc,2g",
            "-a", f"http=127.0.0.1:{port},HTTP", "-a", f"inside=127.0.0.1:{free_port()},HTTP",
            "-p", f"vcl_path={folder}:{code}", *parameters,
        ]  # fmt: skip
        with running(command, folder / "log") as process:
            await_port(port, process, folder / "log")
            yield f"http://127.0.0.1:{port}"


def _parameters() -> list[str]:
    """Those of the container image, which varnish/start sets, too."""
    lines = (_CODE / "parameters").read_text().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith(("#", "transit_buffer"))]
    return [part for name, value in pairs for part in ("-p", f"{name}={value}")]
