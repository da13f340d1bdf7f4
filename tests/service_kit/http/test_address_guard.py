"""The addresses that remote sources may have."""

from ipaddress import ip_address, ip_network

import aiodns
import aiohttp
import pytest

from service_kit.http.address_guard import AddressRefused, guarded_connector, is_public, is_unknown

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "192.0.1.1", "198.17.255.255", "2606:4700::1111", "2a00:1450:4001::1"]
REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.0.0.2 127.1.2.3
127.255.255.255 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8
192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1
203.0.113.1 224.0.0.1 224.0.0.251 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::2 ::7f00:1 ::127.0.0.1
::10.0.0.1 ::8.8.8.8 ::ffff:0:0 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:192.168.1.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::808:808
64:ff9b::169.254.169.254 64:ff9b:1::7f00:1 100::1 2001::1 2001:0:7f00:1::1 2001:0:5ef5:79fb::1 2001:db8::1
2001:2::1 2001:10::1 2002:7f00:1:: 2002:7f00:1::1 2002:a00:1:: 2002:a9fe:a9fe::1 2002:c0a8:101::1
2002:808:808::1 2606:4700::5efe:7f00:1 2606:4700::200:5efe:10.0.0.1 2606:4700::200:5efe:a9fe:a9fe 3fff::1
5f00::1 fc00::1 fd00::1 fd00:ec2::254 fdff:ffff::1 fe80::1 fe80::a9fe:a9fe fe80::5efe:7f00:1 febf::1 fec0::1
feff::1 ff02::1 ff05::2 ff0e::1 4000::1 8000::1 c000::1 e000::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_no_socket_connects_to_a_refused_address(host: str) -> None:
    async with aiohttp.ClientSession(connector=guarded_connector({80}, ())) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await session.get(f"http://{host}:80/")
        assert isinstance(raised.value.os_error, AddressRefused)


async def test_names_are_resolved_without_threads() -> None:
    async with guarded_connector({80}, ()) as connector:
        assert isinstance(connector._resolver, aiohttp.AsyncResolver)


@pytest.mark.parametrize("code", [aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ETIMEOUT])
async def test_a_name_that_does_not_exist_is_told_from_a_lookup_that_failed(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: object, **__: object) -> None:
        raise aiodns.error.DNSError(code, "as c-ares says it")

    monkeypatch.setattr(aiodns.DNSResolver, "getaddrinfo", answer)
    async with aiohttp.ClientSession(connector=guarded_connector({80}, ())) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as raised:
            await session.get("http://nowhere.example/")
        assert is_unknown(raised.value) is (code == aiodns.error.ARES_ENOTFOUND)


async def test_allowed_networks_still_refuse_other_ports(unused_tcp_port: int) -> None:
    allowed = [ip_network("127.0.0.0/8")]
    async with aiohttp.ClientSession(connector=guarded_connector({unused_tcp_port}, allowed)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as allowed_error:
            await session.get(f"http://127.0.0.1:{unused_tcp_port}/")
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get("http://127.0.0.1:1/")
    assert isinstance(allowed_error.value.os_error, ConnectionRefusedError)
    assert isinstance(refused.value.os_error, AddressRefused)
