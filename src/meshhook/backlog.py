"""How many live runs a project may have before its deliveries are refused.

Live runs are counted in Postgres now and then, for all projects that have a limit in one statement, and every process adds what
it let in since. So a limit is overshot by no more than what *other* API processes let in between two counts, and what is on its
way into a commit while one is made. A count is made every quarter of a second, or at twenty times what the last one took: with a
long queue it is made more rarely, and never costs more than a twentieth of one connection.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from meshhook.errors import Refusal

PERIOD_S: Final = 0.25
_SHARE: Final = 20
_RETRY_AFTER_S: Final = 5


class Backlog(NamedTuple):
    """Live runs of one project that has a limit."""

    project_id: int
    most: int
    live: int


class Backlogs:
    """The backlogs of projects with a limit, as one API process knows them.

    Args:
        count: reads them. clock: monotonic seconds.
    """

    def __init__(
        self, count: Callable[[], Awaitable[Iterable[Backlog]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._clock = clock
        self._next_at = 0.0
        self._room: dict[int, int] = {}
        self._admitted: dict[int, int] = {}

    def admit(self, project_id: int, count: int = 1) -> None:
        """Let deliveries of a project in; costs a look into an empty dictionary when no project has a limit.

        Raises:
            Refusal: 429 ``backlog-full``.
        """
        room = self._room.get(project_id)
        if room is None:
            return
        if room <= 0:
            raise _full()
        self._room[project_id] = room - count
        self._admitted[project_id] = self._admitted.get(project_id, 0) + count

    async def look(self) -> None:
        """Count anew when it is time; to be called every ``PERIOD_S``."""
        began = self._clock()
        if began < self._next_at:
            return
        self._admitted = {}
        found = await self._count()
        self._room = {project: most - live - self._admitted.get(project, 0) for project, most, live in found}
        self._next_at = began + _SHARE * (self._clock() - began)


def _full() -> Refusal:
    return Refusal(
        429,
        "backlog-full",
        "Too many runs of this project wait",
        "The project has as many live runs as it may have. Nothing was stored; send again later.",
        headers={"retry-after": str(_RETRY_AFTER_S)},
    )
