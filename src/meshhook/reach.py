"""What may be reached from here: the open internet, and what a setting opens beside it.

Private, loopback, link-local, metadata and reserved addresses are refused unless a setting opens them: a workflow is written
by people whom the network behind this machine should not trust. Pure: addresses are arguments, names are resolved elsewhere.

Source: OWASP, "Server-Side Request Forgery Prevention"; RFC 6890; RFC 4291, section 2.5.5.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from meshhook.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class AddressRefusedError(OSError):
    """A host leads to addresses that may not be reached."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached although it is not public: host names, ``*.suffix`` names, and address ranges."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]

    @staticmethod
    def parse(text: str) -> AllowList:
        """Read a list separated by commas.

        Raises:
            ConfigError: an entry is neither a name nor a range.
        """
        names, suffixes, networks = set(), [], []
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if "/" in entry or ":" in entry:
                    raise ConfigError(
                        f"outbound_allow: {entry!r} is neither a host name nor a range such as 10.0.0.0/8"
                    ) from None
                if entry.startswith("*."):
                    suffixes.append(entry[1:])
                else:
                    names.add(entry)
        return AllowList(frozenset(names), tuple(suffixes), tuple(networks))

    def opens(self, host: str, address: Address) -> bool:
        """Whether ``address``, found under the name ``host``, is opened."""
        name = host.lower().rstrip(".")
        return (
            name in self.names
            or name.endswith(self.suffixes or "\0")
            or any(address in network for network in self.networks if network.version == address.version)
        )

    def may_reach(self, host: str, text: str) -> bool:
        """Whether the address written as ``text``, found under the name ``host``, is public or opened."""
        address = ipaddress.ip_address(text.partition("%")[0])
        return is_public(address) or self.opens(host, address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, whatever form it is dressed in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_literal(host: str) -> bool:
    """Whether a host is an address that is written out."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def refusal(host: str) -> AddressRefusedError:
    """Why ``host`` may not be reached, and what to do if it should be."""
    return AddressRefusedError(f"{host} is no public address; the setting outbound_allow can open it")
