"""`python -m benchmarks.endurance.uninstrumented serve`: imgsvc with nothing counted and no request logged."""

import sys

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from imgsvc.cli import main
from service_kit import server


class _Silent(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Nothing."""


if __name__ == "__main__":
    setattr(server, "AccessLogger", _Silent)  # noqa: B010  # the server gives it to aiohttp
    sys.exit(main())
