"""The service relies on private names of aiohttp, and says so at its start if they are missing."""

import ast
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service_kit.errors import CannotStart
from service_kit.http import _connections, _web_server
from service_kit.http._connections import Connection
from service_kit.http._web_server import NEEDED, Server
from service_kit.http.server import Runner


@pytest.mark.parametrize(
    ("module", "ours", "theirs"),
    [(_connections, Connection, {RequestHandler}), (_web_server, Server, {web.Server, RequestHandler})],
)
def test_the_list_of_private_names_is_complete(module: object, ours: type, theirs: set[type]) -> None:
    tree = ast.parse(Path(module.__file__).read_text())  # type: ignore[attr-defined]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    needed = set().union(*(NEEDED[each] for each in theirs))
    own = (set(vars(ours)) | set(getattr(ours, "__slots__", ()))) - needed
    assert used - own <= needed
    assert len(used - own) > 2


async def test_a_missing_name_prevents_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDED, RequestHandler, {"_waiter", "_renamed"})
    runner = Runner(web.Application())
    with pytest.raises(CannotStart, match=r"aiohttp 3\.\S+ has no _renamed; install"):
        await runner.setup()
    await runner.cleanup()
