"""The wires of an engine of our own: between it and its Postgres, and between the senders and its API, each through a proxy."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Self

from meshproof.draw import Draw
from meshproof.faults.proxy import Proxy, to_port, to_unix_socket
from meshproof.target import Embedded, free_port

HOST = "127.0.0.1"


class Wires:
    """The proxies that the planned faults need. `async with` breaks them at the end."""

    def __init__(self, wanted: Collection[str], seed: int) -> None:
        """`wanted` are names of wires: `database`, `api`. A wire that nobody needs has no proxy in it."""
        self._wanted = set(wanted)
        self._seed = seed
        self.proxies: dict[str, Proxy] = {}

    async def fit(self, target: Embedded) -> None:
        """Put the proxies in, before the target is started: from then on it finds its database through one."""
        if "database" in self._wanted:
            proxy = await self._start(
                "database", Proxy(free_port(), to_unix_socket(str(target.socket)), self._draw("database"))
            )
            target.settings["database_url"] = f"postgresql://postgres@{HOST}:{proxy.port}/meshhook?sslmode=disable"
        if "api" in self._wanted:
            await self._start("api", Proxy(free_port(), to_port(target.host, target.port), self._draw("api")))

    @property
    def front(self) -> tuple[str, int] | None:
        """Where the senders send to, when a proxy stands before the API."""
        return (HOST, self.proxies["api"].port) if "api" in self.proxies else None

    def _draw(self, name: str) -> Draw:
        return Draw(self._seed, "wire", name)

    async def _start(self, name: str, proxy: Proxy) -> Proxy:
        await proxy.start()
        self.proxies[name] = proxy
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for proxy in self.proxies.values():
            await proxy.close()
