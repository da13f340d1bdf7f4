"""The commands in docs/production.md back up and restore a site, with PostgreSQL and its data in another place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests import servers
from tests.docs.pages import Block, blocks
from tests.imgsvc.sites import JPEG
from tests.servers import ROOT, Served

_DOCKER = """\
#!/bin/bash
# The commands of containers, here: with this PostgreSQL server, and this folder for /data.
case "$1 $2 $3 $4" in
  "compose up -d --build") exit ;;
  "compose exec -T postgres") shift 4; exec "$@" ;;
  "compose run --rm --no-deps") shift 4
    [ "$1" != -T ] || shift
    [ "$1" = storage ] || exit 2; shift
    [ "$1" != python ] || { shift; exec "$IMGSVC_PYTHON" "$@"; }
    [ "$*" != "cat /run/access/secret" ] || exec cat "$DATA_DIR/access_secret"
    exec "${@//\\/data/$DATA_DIR}" ;;
esac
echo "docker $*: not here" >&2
exit 2
"""


@dataclass
class _Machine:
    """One that has a PostgreSQL server and a folder for data."""

    folder: Path
    postgres: str

    @property
    def settings(self) -> dict[str, str]:
        return {"DATABASE_URL": self.postgres, "DATA_DIR": str(self.folder / "data"), "AUTH": "open"}

    def follow(self, block: Block, folder: Path) -> str:
        """Run a block in the folder with the backup, and return what it prints."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "docker").write_text(_DOCKER)
        (programs / "docker").chmod(0o755)
        server = Path(servers.program("pg_dump", "usr/lib/postgresql/*/bin")).parent
        environment = {
            **os.environ,
            **self.settings,
            "PATH": f"{programs}:{server}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "IMGSVC_PYTHON": sys.executable,
            "PGHOST": "127.0.0.1",
            "PGPORT": self.postgres.rpartition(":")[2].partition("/")[0],
        }
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (str(block), done.stdout, done.stderr)
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[Served]:
        with servers.serve(self.folder / "served", **self.settings) as served:
            yield served


@contextmanager
def _machine(folder: Path) -> Iterator[_Machine]:
    folder.mkdir()
    (folder / "data").mkdir()
    with servers.postgres(folder) as url:
        database = f"{url.rpartition('/')[0]}/imgsvc"
        psql = servers.program("psql", "usr/lib/postgresql/*/bin")
        subprocess.run([psql, "-q", url, "-c", "CREATE DATABASE imgsvc"], check=True)
        yield _Machine(folder, database)


async def test_a_backup_restores_every_image_on_another_machine(
    http: aiohttp.ClientSession, photo_on_disk: bytes, tmp_path: Path
) -> None:
    page = [block for block in blocks(ROOT / "docs/production.md") if block.tested_by.endswith("test_backup.py")]
    back_up, restore, check, outbox = page
    with _machine(tmp_path / "old") as machine, machine.serving() as served:
        async with http.post(f"{served.url}/v1/images", data=photo_on_disk, headers=JPEG) as response:
            image_id = (await response.json())["image_id"]
        machine.follow(back_up, tmp_path)
    with _machine(tmp_path / "new") as machine:
        machine.follow(restore, tmp_path)
        with machine.serving() as served:
            async with http.get(f"{served.url}/v1/images/{image_id}") as response:
                assert await response.read() == photo_on_disk
            checked = machine.follow(check, tmp_path)
            assert "compared 1 blob with 1 content in" in checked
            assert "0 blobs missing" in checked
            assert "(0 rows)" in machine.follow(outbox, tmp_path)
