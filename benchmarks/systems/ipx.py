"""ipx from npm: sharp behind Node's HTTP server, one process per core, local files, no cache."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks import photos
from benchmarks.peers import CannotInstall, ipx_folder
from benchmarks.photos import Photo
from benchmarks.product import AVIF_EFFORT, quality
from benchmarks.systems.base import CORES, HttpSystem, thumb_side


class Ipx(HttpSystem):
    """ipx with its Node server, as its README shows it."""

    name = "ipx"

    def version(self) -> str:
        """See System."""
        modules = ipx_folder() / "node_modules"
        ipx, sharp = (json.loads((modules / name / "package.json").read_text())["version"] for name in ("ipx", "sharp"))
        vips = next((modules / "@img").glob("sharp-libvips-*/versions.json"))
        return f"ipx {ipx}, sharp {sharp}, libvips {json.loads(vips.read_text())['vips']}"

    def command(self, folder: Path, ports: list[int]) -> tuple[list[str], Mapping[str, object]]:
        """See HttpSystem."""
        node = shutil.which("node")
        if node is None:
            raise CannotInstall("ipx needs Node.js 20 or newer (Debian: nodejs)")
        settings = {"PHOTOS": photos.FOLDER, "PORT": ports[0], "PROCESSES": CORES, "HEIF_EFFORT": AVIF_EFFORT}
        return [node, str(ipx_folder() / "server.mjs")], {"NODE_ENV": "production", **settings}

    def path(self, photo: Photo, chain: str, output: str = "") -> str:
        """See HttpSystem. PNG has no quality here, which would make sharp write a palette.

        Without `enlarge`, ipx first limits the square to the shorter side: 640 x 427 would become 427 x 285. No photo
        of the set is small enough to be enlarged.
        """
        side, written = thumb_side(chain), output or photo.format
        lossy = "" if written == "png" else f",quality_{quality(written)}"
        converted = f",f_{output}" if output else ""
        return f"/enlarge,fit_inside,s_{side}x{side}{lossy}{converted}/{photo.filename}"
