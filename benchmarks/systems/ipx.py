"""ipx from npm: sharp behind Node's HTTP server, a process a core, local files, no cache."""

import json
import shutil
from pathlib import Path

from benchmarks.peers import CannotInstall, ipx_folder
from benchmarks.photos import Photo
from benchmarks.systems.base import CORES, thumb_side
from benchmarks.systems.encoders import AVIF_EFFORT, quality
from benchmarks.systems.server import HttpSystem, free_port


class Ipx(HttpSystem):
    """ipx with its Node server, as its README shows it."""

    name = "ipx"

    def __init__(self, photos: Path) -> None:
        super().__init__()
        self._photos = photos

    def version(self) -> str:
        """See System."""
        modules = ipx_folder() / "node_modules"
        ipx, sharp = (json.loads((modules / name / "package.json").read_text())["version"] for name in ("ipx", "sharp"))
        vips = next((modules / "@img").glob("sharp-libvips-*/versions.json"))
        return f"ipx {ipx}, sharp {sharp}, libvips {json.loads(vips.read_text())['vips']}"

    def start(self, folder: Path) -> None:
        """See System."""
        node = shutil.which("node")
        if node is None:
            raise CannotInstall("ipx needs Node.js 20 or newer (Debian: nodejs)")
        self.port = free_port()
        environment = {
            "NODE_ENV": "production",
            "PHOTOS": str(self._photos),
            "PORT": str(self.port),
            "PROCESSES": str(CORES),
            "HEIF_EFFORT": str(AVIF_EFFORT),
        }
        self.launch([node, str(ipx_folder() / "server.mjs")], folder, environment)
        self.wait_for_port()

    def path(self, photo: Photo, chain: str) -> str:
        """See HttpSystem; PNG without a quality, which would make sharp write a palette.

        Without `enlarge`, ipx first clamps the square by the shorter side: 640 x 427 would become 427 x 285. No photo
        of the set is small enough to be enlarged.
        """
        side = thumb_side(chain)
        modifiers = f"enlarge,fit_inside,s_{side}x{side}"
        if photo.format != "png":
            modifiers += f",quality_{quality(photo.format)}"
        return f"/{modifiers}/{photo.filename}"
