"""No spelling of a private address reaches a server there: directly, by DNS, and by a redirect."""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import aiohttp
import pytest
from aiohttp import web

from tests import servers
from tests.service_kit.http.test_address_guard import REFUSED

DNS = "127.0.0.77"
PORT = servers.free_port()
ADDRESSES = REFUSED if isinstance(REFUSED, list) else REFUSED.split()
_HOST = "127.77.0.1"
"""The only allowed address: that of the server that redirects."""
LOOPBACK_SPELLINGS = """
127.1 127.0.1 0x7f000001 0x7f.1 0x7f.0.0.1 0177.0.0.1 0177.1 017700000001 2130706433 127.000.000.001 localhost
LOCALHOST localhost. 127.0.0.1. 0 0.0.0.0 0x0 00.0.0.0 [::1] [::] [::ffff:127.0.0.1] [0:0:0:0:0:0:0:1]
[::ffff:7f00:1] 127.0.0.1%00.example 127。0。0。1 ①②⑦.⓪.⓪.① 127.0.0.1%2f user@127.0.0.1 a:b@127.0.0.1
"""


def spellings() -> list[str]:
    hosts = [f"[{each}]" if ":" in each else each for each in ADDRESSES]
    numbers = [int(IPv4Address(each)) for each in ADDRESSES if ":" not in each]
    return [*hosts, *map(str, numbers), *map(hex, numbers), *LOOPBACK_SPELLINGS.split()]


class Dns(asyncio.DatagramProtocol):
    """Answers for `a-NUMBER.test` with the address of that number, and for `allowed.test` with the allowed one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode())
            place += data[place] + 1
        question = data[12 : place + 5]
        kind = struct.unpack(">H", question[-4:-2])[0]
        answer = b""
        name = labels[0]
        if name == "allowed" or name.startswith("a-"):
            address = ip_address(_HOST if name == "allowed" else ADDRESSES[int(name[2:])])
            if kind == {4: 1, 6: 28}[address.version]:
                answer = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(address.packed)) + address.packed
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if answer else 0, 0, 0)
        self.transport.sendto(head + question + answer, addr)  # type: ignore[attr-defined]


class Canary:
    """A server on every address of this machine. Redirects are allowed to reach it, `/canary` is not."""

    def __init__(self) -> None:
        self.hits: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/redirect":
            return web.Response(status=302, headers={"Location": request.query["to"]})
        self.hits.append(f"{request.host}{request.path_qs}")
        return web.Response(body=b"canary")


@pytest.fixture(scope="module")
async def canary() -> AsyncIterator[Canary]:
    if os.getuid():
        servers.missing("only root may listen on port 53, and give a process a resolv.conf of its own")
    found = Canary()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for host in ("0.0.0.0", "::1"):
        await web.TCPSite(runner, host, PORT).start()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Dns, local_addr=(DNS, 53))
    yield found
    transport.close()
    await runner.cleanup()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    folder = tmp_path_factory.mktemp("addresses")
    (folder / "resolv.conf").write_text(f"nameserver {DNS}\noptions timeout:1 attempts:1\n")
    script = f'mount --bind {folder}/resolv.conf /etc/resolv.conf && exec "$@"'
    settings = {
        "REMOTE_PORTS": json.dumps([PORT]),
        "REMOTE_ALLOWED_NETWORKS": json.dumps([f"{_HOST}/32"]),
        "REMOTE_SECONDS": "5",
        "RENDERERS": "1",
    }
    with servers.serve(folder, prefix=("unshare", "-m", "sh", "-c", script, "sh"), **settings) as started:
        yield started


async def statuses(http: aiohttp.ClientSession, served: servers.Served, urls: list[str]) -> dict[str, int]:
    found = {}

    async def ask(url: str) -> None:
        async with http.post(f"{served.url}/v1/transform", data={"url": url}) as answer:
            await answer.read()
            found[url] = answer.status

    for start in range(0, len(urls), 20):
        await asyncio.gather(*map(ask, urls[start : start + 20]))
    return found


async def test_the_table_is_long_and_the_servers_are_there(
    http: aiohttp.ClientSession, served: servers.Served, canary: Canary
) -> None:
    assert len(spellings()) >= 150
    assert {type(ip_address(each)) for each in ADDRESSES} == {IPv4Address, IPv6Address}
    async with http.get(f"http://127.0.0.1:{PORT}/canary") as answer:
        assert answer.status == 200
    found = await statuses(http, served, [f"http://{host}:{PORT}/image" for host in (_HOST, "allowed.test")])
    assert list(found.values()) == [415, 415], "the request reached the allowed address, which does not serve images"
    assert len(canary.hits) == 3
    canary.hits.clear()


@pytest.mark.parametrize("way", ["direct", "redirect", "dns", "dns redirect"])
async def test_no_canary_is_hit(http: aiohttp.ClientSession, served: servers.Served, canary: Canary, way: str) -> None:
    hosts = [f"a-{number}.test" for number in range(len(ADDRESSES))] if "dns" in way else spellings()
    urls = [f"http://{host}:{PORT}/canary" for host in hosts]
    if "redirect" in way:
        urls = [f"http://{_HOST}:{PORT}/redirect?to={url.replace('%', '%25')}" for url in urls]
    found = await statuses(http, served, urls)
    assert not canary.hits
    assert set(found.values()) <= {400, 403, 502, 504}, {u: s for u, s in found.items() if s >= 500}
    assert not [url for url, code in found.items() if code == 500]
