"""Connections to where calls go: only to addresses that may be reached, and kept for a while when they can be used again.

An address is checked after name resolution, and the connection goes to exactly the addresses that were checked (so DNS rebinding
finds nothing to rebind). Who follows a redirect asks here anew.

Source: RFC 8305 (several addresses); RFC 9112, section 9.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import aiohappyeyeballs

from meshhook.http1 import Connection
from meshhook.reach import AllowList, is_literal, refusal

_KEPT_S: Final = 15.0
"""How long a connection waits for its next request; most servers wait longer."""
_RESOLVED_S: Final = 30.0
_NAMES_MAX: Final = 1_000
_HAPPY_EYEBALLS_S: Final = 0.25

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As ``socket.getaddrinfo`` gives it."""


LookUp = Callable[[str, int], Awaitable[Sequence[AddressInfo]]]


class Origin(NamedTuple):
    """What a connection is to."""

    secure: bool
    host: str
    port: int


class ConnectError(Exception):
    """There is no connection, so nothing was sent."""


async def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """The addresses of a name, as this machine resolves it."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Connections:
    """The connections of one process.

    Args:
        allow: what may be reached although it is not public. look_up: the addresses of a name, whatever they are; raises
            ``OSError``. clock: monotonic seconds.
    """

    def __init__(
        self, allow: AllowList, *, look_up: LookUp = look_up, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._allow = allow
        self._look_up = look_up
        self._clock = clock
        self._kept: dict[Origin, list[tuple[Connection, float]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._resolved: dict[tuple[str, int], tuple[list[AddressInfo], float]] = {}
        self._resolving: dict[tuple[str, int], asyncio.Task[list[AddressInfo]]] = {}
        self._written_out = lru_cache(maxsize=_NAMES_MAX)(self._check_written_out)
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def take(self, origin: Origin, timeout_s: float) -> Connection:
        """A connection to ``origin``, for one request: one that was kept, or a new one.

        Raises:
            AddressRefusedError: it leads to addresses that may not be reached. ConnectError: there is none.
        """
        kept = self._kept.get(origin)
        while kept:
            connection, until = kept.pop()
            if connection.is_reusable and until > self._clock():
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(timeout_s):
                addresses = self._written_out(origin.host, origin.port) or await self._resolve(origin.host, origin.port)
                return await self._connect(origin, addresses)
        except TimeoutError as error:
            raise ConnectError(f"no connection within {timeout_s:g} s") from error

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """The answer was read: another request may use the connection, if it can."""
        if not connection.is_reusable:
            connection.abort()
            return
        self._kept.setdefault(origin, []).append((connection, self._clock() + _KEPT_S))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_KEPT_S, self._drop_old)

    def close(self) -> None:
        """Close those that are kept, and look nothing up any more."""
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._resolving.values():
            task.cancel()
        for kept in self._kept.values():
            for connection, _ in kept:
                connection.abort()
        self._kept.clear()

    async def _connect(self, origin: Origin, addresses: list[AddressInfo]) -> Connection:
        loop = asyncio.get_running_loop()
        tls, name = (self._tls, origin.host.rstrip(".")) if origin.secure else (None, None)
        try:
            if len(addresses) == 1:
                # An address and no name, so this resolves nothing; it takes half of what a socket made first takes.
                family, address = addresses[0][0], addresses[0][4]
                _, connection = await loop.create_connection(
                    Connection, str(address[0]), int(address[1]), family=family, ssl=tls, server_hostname=name
                )
            else:
                opened = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1, loop=loop
                )
                _, connection = await loop.create_connection(Connection, sock=opened, ssl=tls, server_hostname=name)
        except (OSError, RuntimeError) as error:  # uvloop has either
            raise _no_connection(error) from error
        return connection

    async def _resolve(self, host: str, port: int) -> list[AddressInfo]:
        """The addresses of a name that may be reached. Many who ask at the same time ask once."""
        found = self._resolved.get((host, port))
        if found is None or found[1] <= self._clock():
            looking = self._resolving.get((host, port))
            if looking is None:
                looking = self._resolving[host, port] = asyncio.create_task(self._find(host, port))
                looking.add_done_callback(lambda ended: self._found(host, port, ended))
            addresses = await asyncio.shield(looking)
        else:
            addresses = found[0]
        addresses.append(addresses.pop(0))  # the next one begins with the next address
        return list(addresses)

    async def _find(self, host: str, port: int) -> list[AddressInfo]:
        try:
            found = await self._look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise _no_connection(error) from error
        allowed = [info for info in found if self._allow.may_reach(host, str(info[4][0]))]
        if not allowed:
            raise refusal(host)
        if len(self._resolved) >= _NAMES_MAX:
            self._resolved.clear()
        self._resolved[host, port] = allowed, self._clock() + _RESOLVED_S
        return allowed

    def _found(self, host: str, port: int, ended: asyncio.Task[list[AddressInfo]]) -> None:
        del self._resolving[host, port]
        if not ended.cancelled():
            ended.exception()  # who asked may have gone meanwhile

    def _check_written_out(self, host: str, port: int) -> list[AddressInfo] | None:
        """An address that is written out is never resolved, so it is checked here; ``None`` for a name."""
        if not is_literal(host):
            return None
        if not self._allow.may_reach(host, host):
            raise refusal(host)
        version = ipaddress.ip_address(host.partition("%")[0]).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]

    def _drop_old(self) -> None:
        self._sweep = None
        now = self._clock()
        for origin, kept in list(self._kept.items()):
            fresh = [(connection, until) for connection, until in kept if until > now and connection.is_reusable]
            for connection, until in kept:
                if until <= now:
                    connection.abort()
            if fresh:
                self._kept[origin] = fresh
            else:
                del self._kept[origin]
        if self._kept:
            self._sweep = asyncio.get_running_loop().call_later(_KEPT_S, self._drop_old)


def _no_connection(error: Exception) -> ConnectError:
    return ConnectError(f"no connection: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}")
