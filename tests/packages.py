"""Files in packages of other projects that pip, npm and Debian ship: thousands of odd, broken and hostile images."""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tests import servers

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgsvc-tests"
"""Outlives clones of the repository, as the packages have 350 MB."""
_LIST = servers.ROOT / "scripts/test-images.txt"
_SECONDS = 900


@dataclass(frozen=True)
class Package:
    """A line of scripts/test-images.txt."""

    registry: str
    name: str
    version: str
    sha256: str

    @property
    def archive(self) -> Path:
        """Where it is, once it is fetched."""
        return FOLDER / self.sha256

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Paths, without the top folder of an archive of sources, and contents, read in place."""
        if self.registry == "wheel" or zipfile.is_zipfile(self.archive):
            with zipfile.ZipFile(self.archive) as archive:
                for each in archive.infolist():
                    if not each.is_dir():
                        yield self._path(each.filename), archive.read(each)
            return
        # From its start to its end, as a compressed archive has no other order.
        with tarfile.open(self.archive, "r|*") as archive:
            for member in archive:
                if member.isfile():
                    yield self._path(member.name), _content(archive.extractfile(member))

    def _path(self, name: str) -> str:
        return name if self.registry == "wheel" else str(PurePosixPath(*PurePosixPath(name).parts[1:]))


def packages() -> dict[str, Package]:
    """All packages, by name."""
    lines = [line.split() for line in _LIST.read_text().splitlines() if not line.startswith("#")]
    return {fields[1]: Package(*fields) for fields in lines}


def fetch(*names: str) -> None:
    """Download packages that are not there yet: all, or those of these names."""
    command = [str(servers.ROOT / "scripts/fetch-packages"), sys.executable, str(FOLDER), *names]
    subprocess.run(command, timeout=_SECONDS, check=False)


def package(name: str) -> Package:
    """A package, fetched. Skips the test if that is impossible."""
    found = packages()[name]
    if not found.archive.exists():
        fetch(name)
    if not found.archive.exists():
        servers.missing(f"cannot fetch {name} {found.version} ({found.registry})")
    return found


def _content(file: IO[bytes] | None) -> bytes:
    assert file
    return file.read()
