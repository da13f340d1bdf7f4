"""A web server with pages of other origins than the service's."""

from typing import Self

from aiohttp import web

from tests.browser import chromium
from tests.servers import ROOT

_PAGE = "<!doctype html><html lang=en><title>a page</title><link rel=icon href=data:,><body></body></html>"
_HEADERS = {
    "/": {},
    "/isolated": {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"},
    # Such a page has the origin `null`.
    "/sandboxed": {"Content-Security-Policy": "sandbox allow-scripts allow-forms"},
    "/silent": {"Referrer-Policy": "no-referrer"},
}


class Pages:
    """The same pages under several host names, each of which is an origin."""

    def __init__(self, photo: bytes) -> None:
        self._photo = photo
        app = web.Application()
        app.add_routes([web.get(path, self._page) for path in _HEADERS])
        app.router.add_static("/client/", ROOT / "clients/javascript/src")
        app.add_routes([web.get("/photo.jpg", self._send_photo), web.route("*", "/bounce", self._bounce)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def origin(self, name: str = chromium.FOREIGN) -> str:
        """The origin of the pages under a host name."""
        return f"http://{name}:{self._runner.addresses[0][1]}"

    @property
    def address(self) -> str:
        """Where they really are."""
        return self.origin("127.0.0.1")

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS[request.path])

    async def _send_photo(self, request: web.Request) -> web.Response:
        """A picture that says nothing about who may embed it."""
        return web.Response(body=self._photo, content_type="image/jpeg")

    async def _bounce(self, request: web.Request) -> web.Response:
        """A redirect that keeps method and body. To whom the page asks, it comes from elsewhere."""
        headers = {"Location": request.query["to"], "Access-Control-Allow-Origin": "*"}
        return web.Response(status=307, headers=headers)
