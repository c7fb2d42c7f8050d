"""The worker: claims due runs, advances them, commits what happened. It keeps nothing that a crash could lose.

A *turn* is one transaction: claim a batch, advance every run of it, commit all. The row locks are the lease, so a crash rolls
back and another worker takes over at once. What can't be done in a turn goes on *under a lease*, each commit on its own:

- a run that is not done when the turn has lasted long enough goes on in *slices*;
- a run that wants the outside world: its calls are committed as begun, made side by side, and *settled* in batches.

A run that waits for a timer is nobody's: it is in the queue, due when the timer ends. One that waits for others is not due
before they *poke* it: they put a signal into its inbox, and whoever claims or holds the run takes it into the journal.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from meshhook.counts import OTHER, Counts, Stopwatch
from meshhook.definition import parse_text
from meshhook.errors import DatabaseError, DefinitionError, JournalError
from meshhook.held import Held, call_headers, fold
from meshhook.hosts import Hosts
from meshhook.ids import shard_of
from meshhook.line import Line
from meshhook.lookback import Lookback
from meshhook.model import Call, CallError, Definition, Request, Response, Start, State
from meshhook.pace import Pace
from meshhook.patience import STEP_PROCESSOR_S_MAX, Patience
from meshhook.placing import overdue, place_all
from meshhook.portion import Portion
from meshhook.store import Claimed, InboxItem, Store, Turn, Written

_log = structlog.get_logger("meshhook.worker")

_CUT_MAX: Final = 100
"""Runs in slices at once; while there are so many, nothing more is claimed."""

_SETTLE_MAX: Final = 500
_DEFINITIONS_MAX: Final = 1_000
_NOTHING: Final = Written(set(), set(), set())
_NO_ROOM_S: Final = 0.2
"""Who finds no room on this worker comes again so much later: here when called, or, rather, elsewhere."""
_FINISH_SHARE: Final = 0.5
"""Of the time a shutdown may take, so much is for calls under way to come back."""

Send = Callable[[Request, dict[str, str]], Awaitable[Response | CallError]]
SendSecretly = Callable[[Call, int, dict[str, str]], Awaitable[Response | CallError]]


class Worker:
    """One worker process' work on every shard.

    Args:
        send: makes one outgoing request. send_secretly: makes one that uses secrets, of a run of this version of a workflow.
        hosts: says which hosts may be called now.
        name: unique among all workers, now and before; leases carry it.
        batch_max: runs a turn. hold_s: how long a turn may advance runs before it commits. lease_s: how long a lease lasts.
        calls_max: outgoing calls under way at once.
        poll_s: how long to wait at most when there is nothing to do.
        shutdown_s: how long ``run`` may take after ``stop``.
        step_processor_s: how long the processor may be at one step, see ``patience``.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        send: Send,
        *,
        name: str,
        shards: int,
        batch_max: int,
        hold_s: float,
        lease_s: float,
        poll_s: float,
        calls_max: int = 1_000,
        shutdown_s: float = 10.0,
        step_processor_s: float = STEP_PROCESSOR_S_MAX,
        clock: Callable[[], float] = time.monotonic,
        send_secretly: SendSecretly | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        self._store = store
        self._send = send
        self._send_secretly = send_secretly
        self._hosts = hosts or Hosts()
        self.name = name
        self._shards = shards
        self._hold_s = hold_s
        self._patience = Patience(hold_s, step_processor_s)
        self._lease = timedelta(seconds=lease_s)
        self._poll_s = poll_s
        self.calls_max = calls_max
        self._shutdown_s = shutdown_s
        self._clock = clock
        self._definitions: dict[int, Definition | str] = {}
        self._projects: dict[int, str] = {}
        self._held: dict[UUID, tuple[int, Held]] = {}
        self._cut: set[UUID] = set()
        self._signaled: set[UUID] = set()
        self._calling: set[asyncio.Task[None]] = set()
        self._line = Line(_NO_ROOM_S)
        self._ended: deque[tuple[Held, Start | None, Response | CallError | None]] = deque()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._portions = [Portion(batch_max, hold_s) for _ in range(shards)]
        self._lookbacks = [Lookback() for _ in range(shards)]
        self._pace = Pace()
        self.counts = Counts()

    @property
    def leases(self) -> int:
        """How many runs it holds under leases."""
        return len(self._held)

    @property
    def calls_in_flight(self) -> int:
        """How many outgoing calls are under way."""
        return len(self._calling)

    def wake(self) -> None:
        """There may be work: do not wait for the next poll."""
        self._wake.set()

    def look_at_all(self, shard: int) -> None:
        """Something became due that was so long ago: the next look into the queue of this shard must not begin behind it."""
        self._lookbacks[shard].look_at_all()
        self._wake.set()

    def note_signal(self, run_id: str) -> None:
        """Something lies in the inbox of a run, which may be one of ours."""
        if UUID(run_id) in self._held:
            self._signaled.add(UUID(run_id))
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
                    self.counts.rounds_failed += 1
                    await self._back_off(failures, error)
                    continue
                await self._pause(busy)
            await self._finish_calls()
            await self._hand_back()
        finally:
            renewing.cancel()

    async def _round(self) -> bool:
        """A turn on every shard, calls that ended, a slice of every run that was cut; false when there was nothing to do."""
        self._wake.clear()
        worked = await self._call_back()
        for shard in range(self._shards):
            if len(self._cut) < _CUT_MAX and not self._stopping.is_set():
                worked += await self.turn(shard)
        worked += await self.settle()
        worked += await self.read_inboxes()
        for run_id in list(self._cut):
            worked += await self._slice(run_id)
        return worked > 0

    async def _call_back(self) -> int:
        """Call the runs that waited for room, here or at a host, as far as there is some now. Returns how many."""
        if self._stopping.is_set():
            return 0
        run_ids = self._hosts.call() + self._line.call(self._room(), self._clock())
        free: dict[int, list[UUID]] = defaultdict(list)
        for run_id in run_ids:
            if run_id in self._held:
                self._note_end(self._held[run_id][1], None, None)
            else:
                free[shard_of(run_id)].append(run_id)
        for shard, waiting in free.items():
            await self._store.call_back(shard, waiting)
        return len(run_ids)

    async def turn(self, shard: int) -> int:
        """Claim, advance, commit: one transaction. Returns how many runs were claimed."""
        watch = Stopwatch(self.counts.stages)
        lookback, portion, at = self._lookbacks[shard], self._portions[shard], self._clock()
        async with self._store.turn(shard) as turn:
            trip_s = self._clock() - at
            claimed = await turn.claim(portion.runs, lookback.since())
            lookback.saw(turn.front, len(claimed))
            if not claimed:
                return 0
            watch.lap("claim")
            began = self._clock()
            signaled = [run for run in claimed if run.signaled]
            inbox = await turn.inbox(signaled) if signaled else {}
            held, not_begun, outlived = await self._begin_all(turn, claimed, inbox, began + self._hold_s)
            starting = self._place(held)
            told, silent = [run for run in held if run.pending], [run for run in held if not run.pending]
            watch.lap("advance")
            written = await turn.commit([run.append() for run in told]) if told else _NOTHING
            if signaled:
                await turn.took(_taken(held, written.refused))
            if not_begun or silent:
                later = [
                    dataclasses.replace(run.claimed, due_at=run.due or run.claimed.due_at, signaled=False)
                    for run in silent
                ]
                await turn.put_back([*not_begun, *later])
        watch.lap("commit")
        self.counts.claimed += len(claimed)
        if not_begun or silent or any(run.is_entering for run in claimed):
            lookback.again(min(run.due_at for run in claimed))
        portion.took(len(claimed), len(claimed) - len(not_begun), self._clock() - at, trip_s)
        self._note(told, written.refused)
        self._keep(shard, held, written.refused)
        self._start(starting, written.refused)
        await self._poke(shard, written.reached | outlived)
        return len(claimed)

    async def settle(self) -> int:
        """Commit what followed from calls that ended, in one batch a shard. Returns how many ended."""
        by_shard: dict[int, dict[UUID, Held]] = defaultdict(dict)
        ended = [self._ended.popleft() for _ in range(min(_SETTLE_MAX, len(self._ended)))]
        for held, start, result in ended:
            run_id = held.claimed.run_id
            if self._held.get(run_id, (0, None))[1] is held:  # else it was lost meanwhile
                by_shard[self._held[run_id][0]][run_id] = held
                if start is not None and result is not None:
                    held.end_call(start, result)
        for shard, runs in by_shard.items():
            await self._go_on(shard, sorted(runs.values(), key=lambda held: held.claimed.run_id))
        return len(ended)

    async def read_inboxes(self) -> int:
        """Take what lies in the inboxes of runs we hold into their journals. Returns how many runs that were."""
        by_shard: dict[int, list[Held]] = defaultdict(list)
        for run_id in self._signaled & self._held.keys():
            shard, held = self._held[run_id]
            by_shard[shard].append(held)
        self._signaled.clear()
        for shard, runs in by_shard.items():
            await self._go_on(shard, sorted(runs, key=lambda held: held.claimed.run_id), read_inboxes=True)
        return sum(map(len, by_shard.values()))

    async def _slice(self, run_id: UUID) -> int:
        """Go on with one run that was cut, for as long as a turn may last."""
        if run_id not in self._held:
            self._cut.discard(run_id)
            return 0
        shard, held = self._held[run_id]
        await self._go_on(shard, [held])
        return 1

    async def _go_on(self, shard: int, runs: list[Held], *, read_inboxes: bool = False) -> None:
        """Advance runs held under leases, and commit that."""
        async with self._store.holding(shard) as holding:
            if read_inboxes:
                inbox = await holding.inbox([held.claimed for held in runs])
                for held in runs:
                    held.receive(inbox.get(held.claimed.run_id, []))
            deadline = self._clock() + self._hold_s
            with self._patience:
                for held in runs:
                    self.counts.steps += held.advance(deadline)
            starting = self._place(runs)
            told = [held for held in runs if held.pending]
            written = await holding.commit([held.append() for held in told]) if told else _NOTHING
            if read_inboxes:
                await holding.took(_taken(runs, written.refused))
        self._note(told, written.refused)
        self._keep(shard, runs, written.refused)
        self._start(starting, written.refused)
        self._signaled |= written.signaled & self._held.keys()
        await self._poke(shard, written.reached)

    async def _poke(self, shard: int, reached: set[UUID]) -> None:
        await self._store.poke(shard, reached)
        self._signaled |= reached & self._held.keys()

    async def _begin_all(
        self, turn: Turn, claimed: list[Claimed], inbox: dict[UUID, list[InboxItem]], deadline: float
    ) -> tuple[list[Held], list[Claimed], set[UUID]]:
        """Place the runs that have just come in, and advance all others as far as the deadline allows.

        Returns the runs to write to, those there was no time for, and those that others took the place of. Placing is short, and
        done for all that were claimed: a run left behind would be overtaken by those that came after it.
        """
        folded = [(run, fold(run)) for run in claimed]
        await self._load_definitions(turn, {state.version_id for _, state in folded if isinstance(state, State)})
        entering = [self._begin(run, state, []) for run, state in folded if run.is_entering]
        held, outlived = await place_all(turn, entering) if entering else ([], set())
        working = [(run, state) for run, state in folded if not run.is_entering] if entering else folded
        with self._patience:
            for position, (run, state) in enumerate(working):
                if position and self._clock() >= deadline:
                    return held, [run for run, _ in working[position:]], outlived
                held.append(self._begin(run, state, inbox.get(run.run_id, [])))
                if run.is_without_slot:
                    held[-1].stand_in_line()
                else:
                    self.counts.steps += held[-1].advance(deadline)
        return held, [], outlived

    def _begin(self, run: Claimed, state: State | JournalError, inbox: list[InboxItem]) -> Held:
        """One claimed run that knows what lies in its inbox, to be advanced unless it has ended already."""
        if isinstance(state, JournalError):
            return Held.broken(run, str(state))
        definition = self._definitions[state.version_id]
        if isinstance(definition, str):
            return Held.broken(run, definition, state)
        held = Held.begin(run, state, definition, self.name, self._lease, self._clock)
        held.receive(inbox)
        self.counts.taken_over += run.expired_owner is not None
        if not (run.is_first or run.is_entering or run.signaled or run.expired_owner):
            self.counts.resume_delay.observe(run.waited_s)
        if (error := overdue(held)) is not None:
            held.give_up(error)
        return held

    def _place(self, runs: list[Held]) -> list[tuple[Held, Start]]:
        starting: list[tuple[Held, Start]] = []
        self._hosts.plan()
        for held in runs:
            room = self._room() - len(starting)
            starting += [
                (held, start) for start in held.place(room_s=partial(self._room_s, room), wait_s=self._hosts.wait_s)
            ]
        return starting

    def _room(self) -> int:
        return self.calls_max - len(self._calling)

    def _room_s(self, room: int, run_id: UUID) -> float:
        """0 when this worker may make calls of a run now, else in how many seconds it is to come again uncalled."""
        if self._stopping.is_set():
            return _NO_ROOM_S
        if room > 0 and self._line.is_next(run_id):
            self._line.leave(run_id)
            return 0.0
        return self._line.wait_s(run_id)

    def _keep(self, shard: int, runs: list[Held], refused: set[UUID]) -> None:
        """What is leased stays with us; everything else is let go."""
        for held in runs:
            run_id = held.claimed.run_id
            self._cut.discard(run_id)
            if not held.leased or held.finished or run_id in refused:
                self._held.pop(run_id, None)
                continue
            self._held[run_id] = (shard, held)
            if held.cut:
                self._cut.add(run_id)
            elif held.wants.wake_at is not None:
                seconds = (held.wants.wake_at - held.now()).total_seconds()
                asyncio.get_running_loop().call_later(max(0.0, seconds), self._note_end, held, None, None)

    def _start(self, starting: list[tuple[Held, Start]], refused: set[UUID]) -> None:
        for held, start in starting:
            if held.claimed.run_id not in refused:
                task = asyncio.create_task(self._make_call(held, start))
                self._calling.add(task)
                task.add_done_callback(self._calling.discard)

    async def _make_call(self, held: Held, start: Start) -> None:
        headers = call_headers(held.state, str(held.claimed.run_id), start)
        began = self._clock()
        try:
            result = await self._send_call(start.call, held.state.version_id, headers)
        except Exception as error:  # noqa: BLE001 whatever it is, the run must hear of it
            _log.error("a call failed in an unexpected way", run_id=str(held.claimed.run_id), exc_info=error)
            result = CallError("broken", f"{type(error).__name__}: {error}", "unknown")
        self.counts.note_call(result, self._clock() - began, start.attempt)
        self._note_end(held, start, result)

    async def _send_call(self, call: Call, version_id: int, headers: dict[str, str]) -> Response | CallError:
        if not call.secrets:
            return await self._send(call.request, headers)
        if self._send_secretly is None:
            return CallError("secret", "this worker has no access to secrets", "no")
        return await self._send_secretly(call, version_id, headers)

    def _note_end(self, held: Held, start: Start | None, result: Response | CallError | None) -> None:
        self._ended.append((held, start, result))
        self._wake.set()

    async def _finish_calls(self) -> None:
        """Let calls under way come back for a while: what is known need not be called unknown."""
        deadline = self._clock() + self._shutdown_s * _FINISH_SHARE
        while (self._calling or self._ended) and self._clock() < deadline:
            self._wake.clear()
            with suppress(DatabaseError):
                await self.settle()
            if self._calling:
                await self._sleep(min(0.1, self._poll_s))

    async def _hand_back(self) -> None:
        for task in self._calling:
            task.cancel()
        for run_id in list(self._held):
            shard, held = self._held.pop(run_id)
            held.release()
            held.due = held.claimed.claimed_at
            with suppress(DatabaseError):  # then the lease runs out by itself
                async with self._store.holding(shard) as holding:
                    written = await holding.commit([held.append()])
                self._note([held], written.refused)
                await self._poke(shard, written.reached)

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
                        held.until, signaled = still[run_id]
                        if signaled:
                            self._signaled.add(run_id)
                self._let_go({run_id: held for run_id, held in mine.items() if run_id not in still})

    def _let_go(self, lost: dict[UUID, Held]) -> None:
        """Let go of runs whose leases were not renewed.

        Where a lease had run out, that was a stale write that was refused, and counts as one. Else the run has just ended.
        """
        held = [
            run for run_id, run in lost.items() if self._held.pop(run_id, None) is not None and run.until <= run.now()
        ]
        if held:
            self.counts.refused += len(held)
            runs = [str(run.claimed.run_id) for run in held][:20]
            _log.warning("leases had run out and were not renewed", runs=runs, count=len(held))

    async def _load_definitions(self, turn: Turn, version_ids: Iterable[int]) -> None:
        missing = [id for id in version_ids if id not in self._definitions]
        if not missing:
            return
        if len(self._definitions) > _DEFINITIONS_MAX:
            self._definitions.clear()
            self._projects.clear()
            missing = list(version_ids)
        found = await turn.definitions(missing)
        for id in missing:
            text, self._projects[id] = found.get(id, (None, ""))
            self._definitions[id] = _parsed(text, id)

    def _note(self, held: list[Held], refused: set[UUID]) -> None:
        self.counts.turns += 1
        self.counts.refused += len(refused)
        if refused:
            _log.warning("stale writes refused", runs=[str(run_id) for run_id in refused][:20], count=len(refused))
        for run in held:
            if run.claimed.run_id not in refused:
                self.counts.committed += 1
                self._note_one(run)

    def _note_one(self, run: Held) -> None:
        """What this commit was to one run: its beginning, its end, or both."""
        if not (run.is_new or run.finished):
            return
        project = self._projects.get(run.state.version_id, OTHER)
        workflow = run.state.workflow or OTHER
        if run.is_new:
            run.is_new = False
            self.counts.of(project, workflow).started += 1
            self.counts.start_delay.observe(run.claimed.waited_s)
        if run.state.ended is not None:
            self.counts.note_end(project, workflow, run.state.ended, run.age_s())

    async def _pause(self, busy: bool) -> None:
        """Wait for work when there is none; under high load, wait for a batch worth its transaction."""
        if not busy:
            await self._sleep(self._poll_s)
        elif (ahead_s := self._pace.ahead_s(self.counts.committed, self._clock())) > 0 and not self._cut:
            await asyncio.sleep(ahead_s)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _back_off(self, failures: int, error: Exception) -> None:
        # Whether the last write happened is not known here. The journal knows, and the leases run out.
        self._held.clear()
        self._cut.clear()
        self._signaled.clear()
        pause_s = random.uniform(0.5, 1.0) * min(2.0, 0.1 * 2**failures)
        if isinstance(error, DatabaseError):
            _log.warning("database trouble, waiting", error=str(error), pause_s=round(pause_s, 2))
        else:
            _log.error("a round failed, waiting", exc_info=error, pause_s=round(pause_s, 2))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()


def _taken(runs: Iterable[Held], refused: Collection[UUID]) -> list[tuple[UUID, int]]:
    """The signals that are in the journal now, or came too late for it."""
    taken = [(run.claimed.run_id, number) for run in runs if run.claimed.run_id not in refused for number in run.taken]
    for run in runs:
        run.taken = []
    return taken


def _parsed(text: str | None, version_id: int) -> Definition | str:
    if text is None:
        return f"there is no version {version_id} of its workflow"
    try:
        return parse_text(text)
    except DefinitionError as error:
        return f"version {version_id} of its workflow is not valid any more: {error}"
