"""When a schedule ticks: cron expressions in a time zone, and plain intervals. Pure: every moment is an argument.

A tick is a moment in UTC. What happens when clocks are changed follows Debian's cron:

- an expression with a *fixed* minute and hour (``30 2 * * *``) ticks once a day: in the night that has no 02:30, right after the
  gap; in the night that has two, at the first;
- one with a *star* in either (``*/15 * * * *``, ``* 3 * * *``), or with seconds, goes as the clock on the wall does: what the wall
  clock leaves out does not happen, what it shows twice happens twice.

Source: cron(8) of Debian, "daylight saving time"; https://github.com/cuu508/cronsim
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from meshhook.errors import CronError

EXPRESSION_LENGTH_MAX: Final = 200
_SECOND: Final = timedelta(seconds=1)
_SHIFT_MAX: Final = timedelta(hours=3)
"""No clock is ever put back by more."""

BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
END: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Nothing ticks before and after: the calendar of Python ends soon after, and reckoning with zones needs some room."""

_LOOKED_AT_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Every:
    """A tick each ``seconds``, counted from ``anchor``."""

    seconds: int
    anchor: datetime = BEGIN

    def after(self, moment: datetime) -> datetime | None:
        """The first tick after a moment; none before the anchor."""
        if moment >= END:
            return None
        if moment < self.anchor:
            return self.anchor
        step = timedelta(seconds=self.seconds)
        return self.anchor + ((moment - self.anchor) // step + 1) * step


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields (six: with seconds first) on the wall clock of a time zone."""

    expression: str
    zone: tzinfo

    @staticmethod
    def parse(expression: str, timezone: str) -> Cron:
        """A checked expression.

        Raises:
            CronError: it is none, it never ticks, or there is no such time zone.
        """
        cron = Cron(expression, zone_of(timezone))
        if len(expression) > EXPRESSION_LENGTH_MAX:
            raise CronError(f"a cron expression has at most {EXPRESSION_LENGTH_MAX} characters")
        try:
            first = next(cron._on_the_wall(datetime(2026, 1, 1)), None)  # noqa: DTZ001 - a wall clock has no zone
        except CronSimError as error:
            raise CronError(f"{expression!r} is no cron expression: {str(error).lower()}") from None
        if first is None:
            raise CronError(f"{expression!r} never ticks: no day matches in fifty years")
        return cron

    def after(self, moment: datetime) -> datetime | None:
        """The first tick after a moment; ``None`` when there is none in fifty years."""
        if moment >= END:
            return None
        moment = max(moment, BEGIN)
        wall = self._wall(moment)
        tick = self._first(self._on_the_wall(wall), moment)
        if not self._goes_by_the_wall:
            return tick
        # Where clocks are put back soon, what the wall clock has shown already comes again, and may come before the tick found.
        soon = moment + _SHIFT_MAX if tick is None else min(tick, moment + _SHIFT_MAX)
        if self._wall(soon) - wall < soon - moment:
            put_back = self._change(moment, soon)
            again = self._first(self._on_the_wall(self._wall(put_back) - _SECOND), max(moment, put_back - _SECOND))
            return min(filter(None, (tick, again)), default=None)
        return tick

    @property
    def _goes_by_the_wall(self) -> bool:
        fields = self.expression.split()
        return len(fields) == 6 or fields[0].startswith("*") or fields[1].startswith("*")

    def _first(self, walls: Iterator[datetime], moment: datetime) -> datetime | None:
        """The first of these times of the wall clock that comes after a moment."""
        return next((tick for wall in walls for tick in self._ticks_at(wall) if tick > moment), None)

    def _ticks_at(self, wall: datetime) -> list[datetime]:
        """The moments at which the wall clock shows a time, as far as they count."""
        both = [wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        shown = [tick for tick in dict.fromkeys(both) if self._wall(tick) == wall]
        if self._goes_by_the_wall:
            return shown
        return shown[:1] or [self._change(min(both) - _SHIFT_MAX, max(both))]

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The moment, to the second, at which the clock is changed between two moments that show it so."""
        offset = self._wall(before) - before.replace(tzinfo=None)
        while after - before > _SECOND:
            middle = (before + (after - before) / 2).replace(microsecond=0)
            middle = middle if middle > before else before + _SECOND
            if self._wall(middle) - middle.replace(tzinfo=None) == offset:
                before = middle
            else:
                after = middle
        return after

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _on_the_wall(self, after: datetime) -> Iterator[datetime]:
        return CronSim(self.expression, after)


Rule = Cron | Every


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        CronError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CronError(f"there is no time zone {name[:60]!r}: use a name like Europe/Zurich, or UTC") from None


def ticks(rule: Rule, after: datetime) -> Iterator[datetime]:
    """Every tick after a moment, in order."""
    tick = rule.after(after)
    while tick is not None:
        yield tick
        tick = rule.after(tick)


def newest(rule: Rule, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The newest ticks after ``after`` and not after ``until``, oldest first, at most ``limit``.

    Looked for from ``until`` backwards in windows that double, so that years without a look cost little.
    """
    window = timedelta(minutes=1)
    while True:
        start = max(after, until - window)
        upto = itertools.takewhile(lambda tick: tick <= until, ticks(rule, start))
        found = deque(itertools.islice(upto, _LOOKED_AT_MAX), maxlen=limit)
        if len(found) == limit or start == after:
            return list(found)
        window *= 2
