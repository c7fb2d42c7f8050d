"""The worker: claims due runs, advances them, commits what happened. It keeps nothing that a crash could lose.

A *turn* is one transaction: claim a batch, advance every run of it, commit all. The row locks are the lease, so a crash rolls
back and another worker takes over at once. A turn may hold its transaction only so long; a run that is not done by then goes on
*under a lease*, slice by slice, each slice its own commit.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from meshhook import machine
from meshhook.definition import parse_text
from meshhook.errors import DatabaseError, DefinitionError, JournalError
from meshhook.model import TERMINAL, Definition, State
from meshhook.store import Append, Claimed, Store, Turn

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("meshhook.worker")

_HELD_MAX: Final = 100
"""Runs held under a lease at once; while there are so many, nothing more is claimed."""

_DEFINITIONS_MAX: Final = 1_000

_BUSY_PER_S: Final = 2_000
_GATHER_RUNS: Final = 200
_GATHER_S_MAX: Final = 0.02
_PACE_MEMORY_S: Final = 0.25


@dataclass(slots=True)
class Held:
    """One run this worker holds: its folded state, and until when its lease lasts if it is not finished in its turn."""

    claimed: Claimed
    state: State
    definition: Definition
    until: datetime
    seq: int
    pending: list[bytes] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return self.state.status in TERMINAL


@dataclass(slots=True)
class Counts:
    """What this worker has done since it started."""

    turns: int = 0
    committed: int = 0
    completed: int = 0
    failed: int = 0
    refused: int = 0
    taken_over: int = 0
    steps: int = 0


@dataclass(slots=True)
class _Pace:
    """How long to let work gather between two turns, so that a busy worker does not spend itself on tiny transactions.

    Below ``_BUSY_PER_S`` runs a second nothing waits: latency is what counts there.
    """

    _per_s: float = 0.0
    _done: int = 0
    _at: float = 0.0

    def ahead_s(self, done: int, now: float) -> float:
        """Seconds to wait now, given that ``done`` runs have been written in all."""
        elapsed = max(now - self._at, 1e-6)
        self._per_s += (1 - math.exp(-elapsed / _PACE_MEMORY_S)) * ((done - self._done) / elapsed - self._per_s)
        self._done, self._at = done, now
        if self._per_s < _BUSY_PER_S:
            return 0.0
        return max(0.0, min(_GATHER_S_MAX, _GATHER_RUNS / self._per_s) - elapsed)


class Worker:
    """One worker process' work on every shard.

    Args:
        name: unique among all workers, now and before; leases carry it.
        batch_max: runs a turn. hold_s: how long a turn may advance runs before it commits. lease_s: how long a lease lasts.
        poll_s: how long to wait at most when there is nothing to do.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        shards: int,
        batch_max: int,
        hold_s: float,
        lease_s: float,
        poll_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self.name = name
        self._shards = shards
        self._batch_max = batch_max
        self._hold_s = hold_s
        self._lease = timedelta(seconds=lease_s)
        self._poll_s = poll_s
        self._clock = clock
        self._definitions: dict[int, Definition | str] = {}
        self._held: dict[UUID, tuple[int, Held]] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._limits = dict.fromkeys(range(shards), batch_max)
        self._pace = _Pace()
        self.counts = Counts()

    def wake(self) -> None:
        """There may be work: do not wait for the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more; ``run`` hands back what is held and returns."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until ``stop`` is called. A database that is gone is waited for, with jittered backoff."""
        renewing = asyncio.create_task(self._renew_leases())
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    busy = await self._round()
                    failures = 0
                except Exception as error:  # noqa: BLE001 a worker that ends helps nobody: it says what is wrong and tries again
                    failures += 1
                    await self._back_off(failures, error)
                    continue
                await self._pause(busy)
            await self._hand_back()
        finally:
            renewing.cancel()

    async def _round(self) -> bool:
        """One turn on every shard and one slice of every held run; false when there was nothing to do."""
        self._wake.clear()
        worked = 0
        for shard in range(self._shards):
            if len(self._held) < _HELD_MAX and not self._stopping.is_set():
                worked += await self.turn(shard)
        for run_id in list(self._held):
            await self._slice(run_id)
            worked += 1
        return worked > 0

    async def turn(self, shard: int) -> int:
        """Claim, advance, commit: one transaction. Returns how many runs were claimed."""
        async with self._store.turn(shard) as turn:
            claimed = await turn.claim(self._limits[shard])
            if not claimed:
                return 0
            began = self._clock()
            held, not_begun = await self._advance_all(turn, claimed, began + self._hold_s)
            appends = [self._append(run) for run in held]
            refused = await turn.commit(appends)
            if not_begun:
                await turn.put_back(not_begun)
        self._adapt_limit(shard, len(held), not_begun, self._clock() - began)
        self._note(held, refused)
        self._held |= {run.claimed.run_id: (shard, run) for run in held if not run.finished}
        for run_id in refused:
            self._held.pop(run_id, None)
        return len(claimed)

    async def _advance_all(
        self, turn: Turn, claimed: list[Claimed], deadline: float
    ) -> tuple[list[Held], list[Claimed]]:
        folded = [(run, _fold(run)) for run in claimed]
        await self._load_definitions(turn, {state.version_id for _, state in folded if isinstance(state, State)})
        held: list[Held] = []
        for position, (run, state) in enumerate(folded):
            if held and self._clock() >= deadline:
                return held, claimed[position:]
            held.append(self._begin(run, state, deadline))
        return held, []

    def _begin(self, run: Claimed, state: State | JournalError, deadline: float) -> Held:
        """Advance one claimed run as far as the deadline allows."""
        if isinstance(state, JournalError):
            return _broken(run, str(state))
        definition = self._definitions[state.version_id]
        if isinstance(definition, str):
            return _broken(run, definition, state)
        held = Held(run, state, definition, until=run.claimed_at + self._lease, seq=state.events + 1)
        if run.expired_owner is not None:
            self.counts.taken_over += 1
            expired = {"type": "lease.expired", "owner": run.expired_owner, "until": run.due_at.isoformat()}
            _take(held, expired)
        self._advance(held, deadline)
        if not held.finished:
            _take(held, {"type": "lease.taken", "owner": self.name, "until": held.until.isoformat()})
        return held

    def _advance(self, held: Held, deadline: float) -> None:
        try:
            for events in machine.advance(held.definition, held.state, str(held.claimed.run_id)):
                held.pending += [event.json for event in events]
                self.counts.steps += 1
                if self._clock() >= deadline:
                    return
        except Exception as error:  # noqa: BLE001 one run must not stop the others, nor be retried without end
            _log.error("run can't be advanced", run_id=str(held.claimed.run_id), exc_info=error)
            _take(held, _engine_failure(f"{type(error).__name__}: {error}"))

    async def _slice(self, run_id: UUID) -> None:
        """Go on with one held run for as long as a turn may last, and commit that under its lease."""
        shard, held = self._held[run_id]
        self._advance(held, self._clock() + self._hold_s)
        refused = await self._store.commit_held(shard, [self._append(held)])
        self._note([held], refused)
        if refused or held.finished:
            self._held.pop(run_id, None)

    async def _hand_back(self) -> None:
        for run_id in list(self._held):
            shard, held = self._held.pop(run_id)
            _take(held, {"type": "lease.released", "owner": self.name})
            append = self._append(held)._replace(due_at=held.claimed.claimed_at, owner=None)
            self._note([held], await self._store.commit_held(shard, [append]))

    def _append(self, held: Held) -> Append:
        """What is pending of a run, as one journal row."""
        seq, events = held.seq, held.pending
        held.seq, held.pending = seq + len(events), []
        run = held.claimed
        text = (b"[" + b",".join(events) + b"]").decode()
        if held.finished:
            return Append(run.run_id, run.claimed_at, run.epoch, seq, text, held.state.status)
        return Append(run.run_id, run.claimed_at, run.epoch, seq, text, "running", held.until, self.name)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await self.renew()
            except DatabaseError as error:
                _log.warning("leases not renewed", error=str(error))

    async def renew(self) -> None:
        """Push out the end of every lease; a run whose lease is lost is let go."""
        for shard in range(self._shards):
            mine = {run_id: held for run_id, (of, held) in self._held.items() if of == shard}
            if mine:
                epochs = [held.claimed.epoch for held in mine.values()]
                still = await self._store.renew(shard, self.name, list(mine), epochs, self._lease)
                for run_id, held in mine.items():
                    if run_id in still:
                        held.until = still[run_id]
                    else:
                        self._held.pop(run_id, None)

    async def _load_definitions(self, turn: Turn, version_ids: Iterable[int]) -> None:
        missing = [id for id in version_ids if id not in self._definitions]
        if not missing:
            return
        if len(self._definitions) > _DEFINITIONS_MAX:
            self._definitions.clear()
            missing = list(version_ids)
        texts = await turn.definitions(missing)
        for id in missing:
            self._definitions[id] = _parsed(texts.get(id), id)

    def _adapt_limit(self, shard: int, begun: int, not_begun: list[Claimed], seconds: float) -> None:
        """Claim about as many runs as fit into the time a turn may last: what is put back was locked for nothing."""
        if not_begun:
            self._limits[shard] = max(1, begun)
        elif seconds < self._hold_s / 2:
            self._limits[shard] = min(self._batch_max, self._limits[shard] * 2)

    def _note(self, held: list[Held], refused: set[UUID]) -> None:
        self.counts.turns += 1
        self.counts.refused += len(refused)
        if refused:
            _log.warning("stale writes refused", runs=[str(run_id) for run_id in refused][:20], count=len(refused))
        for run in held:
            if run.claimed.run_id not in refused:
                self.counts.committed += 1
                self.counts.completed += run.state.status == "completed"
                self.counts.failed += run.state.status == "failed"

    async def _pause(self, busy: bool) -> None:
        """Wait for work when there is none; under high load, wait for a batch worth its transaction."""
        if not busy:
            await self._sleep(self._poll_s)
        elif (ahead_s := self._pace.ahead_s(self.counts.committed, self._clock())) > 0 and not self._held:
            await asyncio.sleep(ahead_s)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _back_off(self, failures: int, error: Exception) -> None:
        self._held.clear()  # whether the last write happened is not known here; the journal knows, and the lease runs out
        pause_s = random.uniform(0.5, 1.0) * min(2.0, 0.1 * 2**failures)
        if isinstance(error, DatabaseError):
            _log.warning("database trouble, waiting", error=str(error), pause_s=round(pause_s, 2))
        else:
            _log.error("a round failed, waiting", exc_info=error, pause_s=round(pause_s, 2))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()


def _fold(run: Claimed) -> State | JournalError:
    try:
        return machine.fold(event for events in run.journal for event in _decode(events))
    except JournalError as error:
        return error


def _parsed(text: str | None, version_id: int) -> Definition | str:
    if text is None:
        return f"there is no version {version_id} of its workflow"
    try:
        return parse_text(text)
    except DefinitionError as error:
        return f"version {version_id} of its workflow is not valid any more: {error}"


def _broken(run: Claimed, reason: str, state: State | None = None) -> Held:
    """A run that can't go on through no fault of its workflow's author: it ends as failed, and says why."""
    _log.error("run can't be advanced", run_id=str(run.run_id), reason=reason)
    events = sum(len(_decode(row)) for row in run.journal)
    state = state or State("", 0, 0, None, events=events)
    held = Held(run, state, Definition({}, {}, {}), until=run.due_at, seq=events + 1)
    state.status = "running"
    _take(held, _engine_failure(reason))
    return held


def _engine_failure(reason: str) -> dict[str, Any]:
    return {"type": "run.failed", "error": {"type": "engine", "reason": reason}}


def _take(held: Held, body: dict[str, Any]) -> None:
    machine.apply(held.state, body)
    held.pending.append(_encode(body))
