"""Whose machine a target is: load is a weapon, so it goes to this machine, or to one that somebody says is theirs.

What decides is where a name leads, not how it looks: a name that resolves to any address beyond loopback is another machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final

FLAG: Final = "--i-own-this-target"
MADE_HERE: Final = "It sends load there, and makes workflows and endpoints."

Resolve = Callable[[str], list[str]]


class NotOwnedError(RuntimeError):
    """The target is not on this machine, and nobody said whose it is; the message says what to do."""


def addresses(host: str) -> list[str]:
    """Every address a host name leads to. Raises NotOwnedError when there is none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotOwnedError(f"{host} leads nowhere: {error}. Is the address right?") from error
    return sorted({str(entry[4][0]) for entry in found})


def check(host: str, owned: str | None, resolve: Resolve = addresses) -> str | None:
    """Refuse a host beyond this machine unless `owned` names exactly it. Raises NotOwnedError.

    Returns the address to connect to when the host is on this machine, so that its name cannot lead elsewhere by then; None
    when the host is somebody's word.
    """
    found = resolve(host)
    if all(is_loopback(address) for address in found):
        return found[0]
    if owned is not None and owned.lower() == host.lower():
        return None
    said = f"{FLAG} names {owned}, not {host}" if owned is not None else f"if it is yours, say so: {FLAG} {host}"
    raise NotOwnedError(f"{host} is another machine ({', '.join(found)}). {MADE_HERE} Nothing was sent; {said}.")


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
