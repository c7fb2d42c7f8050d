"""Who sends: the address of a sender, seen through trusted proxies, and lists of addresses that may send. Pure.

An IPv4 address written as IPv6 (``::ffff:10.0.0.1``) is the IPv4 address, in requests and in lists alike: a server that listens
on both sees its IPv4 senders so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_BITS = 96


class AddressList:
    """Addresses and ranges (``10.0.0.0/8``, ``2001:db8::/32``, ``192.0.2.7``).

    Raises:
        ValueError: an entry is none; the message names it.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks = tuple(map(_network, entries))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def sender(peer: str, forwarded: Iterable[str], trusted: AddressList) -> Address | None:
    """Whose request it is, or ``None`` when that can't be told.

    Args:
        peer: the other end of the connection, as ``host:port``.
        forwarded: the values of all ``X-Forwarded-For`` headers, in their order.
        trusted: proxies whose word about who is behind them is taken. The header is read from its end, where the nearest
            proxy wrote; what stands left of the first address that is not trusted was written by a stranger.
    """
    address = _peer(peer)
    if address is None or address not in trusted:
        return address
    for hop in reversed([part.strip() for value in forwarded for part in value.split(",")]):
        address = _parsed(hop)
        if address is None or address not in trusted:
            return address
    return address


@lru_cache(4096)
def _peer(peer: str) -> Address | None:
    return _parsed(peer) or _parsed(peer.rpartition(":")[0])


def _parsed(text: str) -> Address | None:
    """An address, as proxies write them: plain, in brackets, with a port, or with a zone."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return _unmapped(address)


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no address or range such as 10.0.0.0/8 or 2001:db8::/32") from None
    if network.version == 6 and network.prefixlen >= _MAPPED_BITS and (mapped := network.network_address.ipv4_mapped):
        return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
