"""The images of Pillow's own tests: about a thousand odd, broken and hostile files."""

import subprocess
import sys
import tarfile
from pathlib import PurePosixPath

from tests import servers

_SECONDS = 240
_FOLDER = PurePosixPath("Tests/images")


def pillow_images() -> dict[str, bytes]:
    """Every file below Tests/images, by its path there. Skips the test if they are not available."""
    with tarfile.open(_archive()) as archive:
        files = {_without_top_folder(member.name): member for member in archive if member.isfile()}
        chosen = {path: member for path, member in files.items() if path.is_relative_to(_FOLDER)}
        # Read in place, never unpacked, so no path in the archive can write anywhere.
        return {str(path.relative_to(_FOLDER)): _content(archive, member) for path, member in chosen.items()}


def _archive() -> str:
    command = [str(servers.ROOT / "scripts/fetch-pillow-images"), sys.executable, str(servers.ROOT / ".cache")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        text = (error.stderr or "").strip() if isinstance(error.stderr, str) else ""
        servers.missing(f"cannot fetch Pillow's source distribution: {text.splitlines()[-1] if text else error}")
        raise
    return done.stdout.strip()


def _without_top_folder(name: str) -> PurePosixPath:
    return PurePosixPath(*PurePosixPath(name).parts[1:])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file
    return file.read()
