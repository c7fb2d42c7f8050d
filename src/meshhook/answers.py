"""Callers who wait at the door for what their run answers.

Workers say by NOTIFY (channel ``meshhook_answers``, the id of the run) that there is something to read. That is an optimisation:
behind a transaction pooler nothing is heard, so all runs that are waited for are also looked at together, a few times a second,
in one statement a shard. However many wait, it is one connection and one loop; more than may wait are not taken.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec
import structlog

from meshhook.errors import DatabaseError
from meshhook.ids import shard_of

CHANNEL: Final = "meshhook_answers"
_REMEMBERED_MAX: Final = 10_000
_ACCEPTED_SEQ: Final = 1
_log = structlog.get_logger("meshhook.answers")


class Answered(NamedTuple):
    """How far the journal of a run was read, and the event (JSON text) that answers its caller, when there is one."""

    run_id: str
    last_seq: int
    event: str | None


class Outcome(msgspec.Struct, frozen=True):
    """The event that answers a caller: what the run said, or how it ended."""

    type: Literal["run.responded", "run.completed", "run.failed", "run.cancelled"]
    status: int = 200
    headers: dict[str, str] = {}
    body: Any = None
    output: msgspec.Raw = msgspec.Raw(b"null")


Read = Callable[[int, Sequence[str], Sequence[int]], Awaitable[list[Answered]]]
_decode: Final = msgspec.json.Decoder(Outcome).decode


@dataclass(slots=True)
class _Waiter:
    """Everybody who waits for one run."""

    outcome: asyncio.Future[Outcome | None]
    seq: int = _ACCEPTED_SEQ
    callers: int = 0


class Answers:
    """Waits for runs, for one API process; ``run`` must be running.

    Args:
        read: what came of runs of one shard, behind these sequence numbers (``Store.answers``).
        waiting_max: callers that may wait at once. poll_s: how often is looked without having heard anything.
    """

    def __init__(
        self, read: Read, *, waiting_max: int, poll_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._waiting_max = waiting_max
        self._poll_s = poll_s
        self._clock = clock
        self._waiters: dict[str, _Waiter] = {}
        self._callers = 0
        self._heard: set[str] = set()
        self._recently: deque[str] = deque(maxlen=_REMEMBERED_MAX)
        self._anybody = asyncio.Event()
        self._something = asyncio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Callers that wait."""
        return self._callers

    async def wait(self, run_id: str, seconds: float, *, is_old: bool = False) -> Outcome | None:
        """What a run answers; ``None`` when it does not in time, when too many wait, or when the process stops.

        ``is_old``: it was accepted before, so its answer may have been there for long.
        """
        if self._closed or self._callers >= self._waiting_max:
            return None
        waiter = self._waiters.get(run_id)
        if waiter is None:
            waiter = self._waiters[run_id] = _Waiter(asyncio.get_running_loop().create_future())
        waiter.callers += 1
        self._callers += 1
        self._anybody.set()
        if is_old or run_id in self._recently:  # the run was faster than we are
            self.hear(run_id)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waiter.outcome)
        except TimeoutError:
            return None
        finally:
            self._leave(run_id, waiter)

    def hear(self, run_id: str) -> None:
        """There is something to read of a run, perhaps of one nobody here waits for (yet)."""
        if run_id in self._waiters:
            self._heard.add(run_id)
            self._something.set()
        else:
            self._recently.append(run_id)

    async def run(self) -> None:
        """Look, for ever: at what was heard of at once, at everything every ``poll_s``."""
        all_at = 0.0
        while True:
            await self._anybody.wait()
            if not self._heard:
                await self._listen(all_at - self._clock())
            now = self._clock()
            wanted, self._heard = self._heard, set()
            self._something.clear()
            if now >= all_at:
                wanted, all_at = set(self._waiters), now + self._poll_s
            try:
                await self._look(wanted)
            except DatabaseError:
                all_at = self._clock() + self._poll_s  # those who wait do so until their time is over
            except Exception as error:  # noqa: BLE001 nobody else looks for those who wait
                _log.error("could not look for answers", exc_info=error)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        for waiter in self._waiters.values():
            if not waiter.outcome.done():
                waiter.outcome.set_result(None)

    async def _listen(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            pass

    async def _look(self, run_ids: set[str]) -> None:
        by_shard: dict[int, list[str]] = {}
        for run_id in run_ids & self._waiters.keys():
            by_shard.setdefault(shard_of(run_id), []).append(run_id)
        for shard, ids in by_shard.items():
            found = await self._read(shard, ids, [self._waiters[id].seq if id in self._waiters else 0 for id in ids])
            for run_id, last_seq, event in found:
                waiter = self._waiters.get(run_id)
                if waiter is not None:
                    waiter.seq = last_seq
                    if event is not None and not waiter.outcome.done():
                        waiter.outcome.set_result(_decode(event))

    def _leave(self, run_id: str, waiter: _Waiter) -> None:
        self._callers -= 1
        waiter.callers -= 1
        if not waiter.callers and self._waiters.get(run_id) is waiter:
            del self._waiters[run_id]
            self._heard.discard(run_id)
        if not self._waiters:
            self._anybody.clear()
