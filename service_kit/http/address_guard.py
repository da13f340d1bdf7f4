"""Allows connections to public addresses only.

A name can resolve to any address, and to another one the next time. A redirect can lead anywhere. So the check happens
when the socket is created, where no spelling of a URL can avoid it.
"""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiodns.error
import aiohttp

from service_kit.http.bounded import bounded

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = ip_network("2000::/3")
"""All addresses that IANA allocates to IPv6 hosts. Excludes mapped, compatible, NAT64, local and multicast forms."""
_NOT_PUBLIC_IPV6 = (ip_network("2001::/23"), ip_network("2002::/16"), ip_network("3fff::/20"))
"""Protocol assignments including Teredo (RFC 2928, RFC 4380), 6to4 (RFC 3056), documentation (RFC 9637)."""
_NOT_PUBLIC_IPV4 = (ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
"""Protocol assignments (RFC 6890) and 6to4 relays (RFC 7526). Python 3.11's `is_global` accepts some of them."""
_ISATAP = {b"\0\0\x5e\xfe", b"\2\0\x5e\xfe"}
"""The first half of an interface ID with an embedded IPv4 address (RFC 5214)."""


class AddressRefused(OSError):
    """The address is not public. The text does not show it, since an attacker may want to know it."""


def is_public(address: Address) -> bool:
    """Whether `address` is on the public internet and embeds no other address."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_IPV4)
    return (
        address in _GLOBAL_UNICAST
        and not any(address in network for network in _NOT_PUBLIC_IPV6)
        and address.packed[8:12] not in _ISATAP
    )


def is_allowed(address: Address, allowed: Collection[Network]) -> bool:
    """Whether `address` is public, or in one of the networks in `allowed`."""
    return is_public(address) or any(address in network for network in allowed)


def guarded_connector(
    ports: Collection[int], allowed: Collection[Network], *, idle_seconds: float = 15
) -> aiohttp.TCPConnector:
    """A connector to public addresses, and to those in `allowed`, on `ports` only.

    It keeps idle connections for `idle_seconds`.

    aiohttp resolves names with aiodns, which can wait for many name servers at once. libc needs a thread for each
    lookup: under uvloop, four slow lookups blocked all others.
    """

    def guarded_socket(addr_info: Any) -> socket.socket:
        family, kind, protocol, _, endpoint = addr_info
        address = ip_address(endpoint[0])
        if endpoint[1] not in ports or not is_allowed(address, allowed):
            raise AddressRefused("the address is not public, or the port is not allowed")
        return socket.socket(family, kind, protocol)

    return bounded(aiohttp.TCPConnector(socket_factory=guarded_socket, keepalive_timeout=idle_seconds))


def is_unknown(error: aiohttp.ClientConnectorError) -> bool:
    """Whether the name servers say that there is no such host. They may also fail, or know no address of it."""
    cause = error.os_error.__cause__
    return isinstance(cause, aiodns.error.DNSError) and cause.args[:1] == (aiodns.error.ARES_ENOTFOUND,)
