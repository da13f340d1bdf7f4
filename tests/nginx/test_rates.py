"""Who a rate counts for, through Varnish and nginx."""

import asyncio
import json
import uuid
from collections.abc import Iterator

import pytest

from tests import edge, pictures
from tests.nginx.conftest import Layer

BURST = 60
"""Uploads that a client may send at once (nginx/snippets/rates.conf)."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.Edge]:
    """Varnish behind proxies on this machine and in 10.0.0.0/8, with one upload per minute after the burst."""
    folder = tmp_path_factory.mktemp("strict")
    trusted = "127.0.0.0/8,10.0.0.0/8,fd00::/8"
    with edge.started(folder, UPLOADS_PER_MINUTE="1", TRUSTED_PROXIES=trusted) as running:
        yield running


@pytest.fixture(scope="module")
def strict(started: edge.Edge) -> Layer:
    return Layer("varnish", started.url("varnish"), bytes(pictures.noise(30, 20).pngsave_buffer()))


async def upload(layer: Layer, forwarded: str) -> int:
    """The status of an upload that proxies have forwarded."""
    async with layer.client() as client:
        length = f"Content-Length: {len(layer.body)}"
        client.ask("POST /v1/images", "Content-Type: image/png", length, f"X-Forwarded-For: {forwarded}")
        client.send(layer.body)
        return (await client.answer()).status


async def exhaust(layer: Layer, forwarded: str) -> None:
    """Use up the burst of a client."""
    for _ in range(2 * BURST):
        if await upload(layer, forwarded) == 429:
            return
    pytest.fail(f"{forwarded} is not limited")


async def test_each_client_behind_two_proxies_has_its_own_rate(strict: Layer) -> None:
    await exhaust(strict, "203.0.113.1, 10.0.0.1")
    assert await upload(strict, "203.0.113.2, 10.0.0.1") == 201
    # The number of proxies does not matter, nor what the client itself claims.
    assert await upload(strict, "203.0.113.1") == 429
    assert await upload(strict, "198.51.100.1, 203.0.113.1, 10.0.0.2,10.0.0.1") == 429
    # An address that no trusted proxy has seen does not count.
    assert await upload(strict, "203.0.113.1, 203.0.113.3, 10.0.0.1") == 201


@pytest.mark.parametrize(
    "spelling",
    ["203.0.113.9:1234, 10.0.0.1", "[203.0.113.9], 10.0.0.1:80", "::ffff:203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"],
)
async def test_spellings_of_one_address_share_a_rate(strict: Layer, spelling: str) -> None:
    await exhaust(strict, "203.0.113.9")
    assert await upload(strict, spelling) == 429


async def test_ipv6_clients_have_a_rate_for_each_network_of_64_bits(strict: Layer) -> None:
    await exhaust(strict, "2001:db8:1:2:3::4, fd00::1, 10.0.0.1")
    for same in ("2001:db8:1:2::1", "2001:DB8:1:2:ffff:ffff:ffff:ffff", "[2001:db8:1:2::7]:443"):
        assert await upload(strict, same) == 429, same
    for other in ("2001:db8:1:3::4", "2001:db8:1::4", "[2001:db8:2:2::4]:443"):
        assert await upload(strict, other) == 201, other


async def test_bytes_of_an_address_that_look_like_newlines_count(strict: Layer) -> None:
    await exhaust(strict, "2001:db8:a0a:a0a::1")
    assert await upload(strict, "2001:db8:a0a:a0a:a0a:a0a:a0a:a0a") == 429
    assert await upload(strict, "2001:db8:a0a:a0b::1") == 201


@pytest.mark.parametrize("garbage", ["unknown", "localhost", "203.0.113.300", "", ","])
async def test_a_proxy_that_names_no_client_is_the_client(started: edge.Edge, strict: Layer, garbage: str) -> None:
    """No name is looked up."""
    request_id = uuid.uuid4().hex
    async with strict.client() as client:
        client.ask("GET /v1/images", f"X-Forwarded-For: {garbage}, 10.7.0.1", f"X-Request-ID: {request_id}")
        assert (await client.answer()).status == 200
    while not (lines := [line for line in started.log("nginx").splitlines() if request_id in line]):
        await asyncio.sleep(0.05)
    assert [json.loads(line)["client"] for line in lines] == ["10.7.0.1"]


async def test_429_comes_before_the_body(strict: Layer) -> None:
    await exhaust(strict, "203.0.113.77")
    for expects in ((), ("Expect: 100-continue",)):
        async with strict.client() as client:
            length = f"Content-Length: {60 * 1024**2}"
            client.ask("POST /v1/images", "Content-Type: image/png", length, "X-Forwarded-For: 203.0.113.77", *expects)
            answer = await client.answer()
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert "too many uploads" in str(answer.problem["detail"])
