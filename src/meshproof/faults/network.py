"""Bad weather on the line between the engine and its database, or between the senders and the API."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from meshproof.faults.fault import Evidence, Fault
from meshproof.faults.proxy import Proxy, Weather
from meshproof.faults.scene import Scene, until

DUE_S_MAX = 3.0


class Network(Fault):
    """Something happens to the connections of one wire. What it hits is counted by the proxy, in `counted`."""

    counted: ClassVar[str]
    says: ClassVar[str]

    async def aim(self, scene: Scene) -> str:
        assert self.wire is not None
        self.proxy = scene.wires[self.wire]
        self.counts_before = self.proxy.counts[self.counted]
        await until(self._is_at_work, DUE_S_MAX)
        return {"database": "engine ↔ Postgres", "api": "senders ↔ API"}[self.wire]

    async def begin(self, scene: Scene) -> None:
        self.weather = self.strike(self.proxy)
        self.proxy.begin(self.weather)

    async def end(self, scene: Scene) -> None:
        self.proxy.end(self.weather)
        self.hits = self.proxy.counts[self.counted] - self.counts_before

    async def evidence(self, scene: Scene) -> Evidence:
        return Evidence(self.hits > 0, f"{self.hits} {self.says}", {self.counted: self.hits})

    def strike(self, proxy: Proxy) -> Weather:
        """Do it; returns the weather from now on."""
        raise NotImplementedError

    async def _is_at_work(self) -> bool:
        # The proxy lives in this very loop: between this look and what follows nothing can happen.
        return self.proxy.due > 0


class Slow(Network):
    """Every piece takes longer, and not always as long; the line is narrow."""

    lasts_s = (4.0, 6.0)
    leaves_room = True
    counted = "delayed"
    says = "pieces were delayed"

    def strike(self, proxy: Proxy) -> Weather:
        return Weather(
            latency_s=0.002 + 0.013 * self.draw.unit(),
            jitter_s=0.03 * self.draw.unit(),
            bytes_per_s=2_000_000.0,
        )


class Reset(Network):
    """Every connection is reset, those in the middle of something too."""

    counted = "reset"
    says = "connections were reset while a reply was due"

    def strike(self, proxy: Proxy) -> Weather:
        proxy.reset_all()
        return Weather()


class Silent(Network):
    """A black hole: what is sent neither arrives nor comes back, and nobody is told."""

    lasts_s = (2.0, 3.0)
    counted = "held"
    says = "pieces or due replies were held back"

    def strike(self, proxy: Proxy) -> Weather:
        return Weather(silent=True)


class HalfOpen(Network):
    """The far side is gone, and the near one is not told."""

    lasts_s = (2.0, 3.0)
    counted = "half_open"
    says = "connections were left half open while a reply was due"

    def strike(self, proxy: Proxy) -> Weather:
        proxy.leave_half_open()
        return Weather()

    async def end(self, scene: Scene) -> None:
        self.proxy.reset_half_open()
        await super().end(scene)


class Cut(Network):
    """Replies are cut in their middle, one after the other."""

    lasts_s = (1.0, 2.0)
    counted = "cut"
    says = "replies were cut in their middle"

    def strike(self, proxy: Proxy) -> Weather:
        return Weather(cut_replies=self.draw.between(2, 5))

    async def end(self, scene: Scene) -> None:
        # Where there is little traffic, the last of them may still be to come.
        async def all_cut() -> bool:
            return self.proxy.counts[self.counted] > self.counts_before

        await asyncio.shield(until(all_cut, DUE_S_MAX))
        await super().end(scene)


def on_wire(kind: type[Network], name: str) -> type[Network]:
    """This weather on one wire."""
    return type(f"{kind.__name__}{name.title()}", (kind,), {"wire": name, "__doc__": kind.__doc__})
