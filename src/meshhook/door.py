"""The door: when to refuse deliveries, so that what was accepted is also worked off.

Unbounded, the door wins every race for the CPU: accepting is cheaper than running, so workers starve while the backlog grows
(measured: completion fell to a third). So when runs wait longer than ``lag_max_s`` although workers are busy, the door lets
in only a little less than what they complete. Only the projects whose runs wait so long are held back: workers share
themselves evenly between projects, so the others are served in time, and what they send comes off what those get.

When no worker makes progress (they are stopped, or being deployed) there is nobody to starve: deliveries are stored until
``backlog_max``.

Pure: the clock is an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from meshhook.store import Pressure

_DRAIN_SHARE: Final = 0.85
"""Of what workers complete, so much is let in while they are behind: the rest of their pace drains the backlog."""

_RATE_MIN: Final = 50.0
"""Even when workers crawl, some deliveries a second come in, or nobody would notice that they have recovered."""

_AT_WORK_PER_S: Final = 1.0
"""Below this pace nobody is at work: a smoothed pace never reaches zero."""

_BURST_S: Final = 0.05
_DEBT_S: Final = 1.0
"""What projects that are not behind bring in is counted as well, but never held against the others for longer than that."""


@dataclass(slots=True)
class Door:
    """Admission control of one API process; ``doors`` of them share what the workers can do."""

    lag_max_s: float
    backlog_max: int
    doors: int = 1
    rate: float | None = None
    full: bool = False
    behind: Container[int] = ()
    _tokens: float = 0.0
    _at: float = 0.0
    _seen: tuple[float, Pressure] | None = field(default=None)
    _completed_per_s: float = 0.0

    def observe(self, pressure: Pressure, now: float) -> None:
        """Take note of how far behind the workers are."""
        self._completed_per_s = self._pace(pressure, now)
        self._seen = (now, pressure)
        self.full = pressure.queued >= self.backlog_max
        self.behind = {project for project, lag_s in pressure.lags_s.items() if lag_s > self.lag_max_s}
        behind = pressure.lag_s > self.lag_max_s and self._completed_per_s >= _AT_WORK_PER_S
        if not behind:
            self.rate = None
        else:
            if self.rate is None:
                self._at, self._tokens = now, 0.0
            self.rate = max(_RATE_MIN, self._completed_per_s * _DRAIN_SHARE / self.doors)

    def refusal(self, now: float, project_id: int) -> int | None:
        """``None`` lets one delivery in; else it is refused, and this is how many seconds the sender should wait."""
        if self.full:
            return 5
        if self.rate is None:
            return None
        self._tokens = min(self.rate * _BURST_S + 1, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if project_id not in self.behind:
            self._tokens = max(-self.rate * _DEBT_S, self._tokens - 1)
            return None
        if self._tokens >= 1:
            self._tokens -= 1
            return None
        return 1

    def charge(self, count: int) -> None:
        """Count what came in beside one delivery that was let in: the further events of a batch."""
        if self.rate is not None:
            self._tokens = max(-self.rate * _DEBT_S, self._tokens - count)

    def _pace(self, pressure: Pressure, now: float) -> float:
        """Runs the workers complete a second, smoothed; a worker that left takes its count with it, which is no pace."""
        if self._seen is None or pressure.workers == 0:
            return 0.0
        then, before = self._seen
        if now <= then or pressure.committed < before.committed or pressure.workers != before.workers:
            return self._completed_per_s
        pace = (pressure.committed - before.committed) / (now - then)
        return pace if self._completed_per_s == 0 else 0.6 * self._completed_per_s + 0.4 * pace
