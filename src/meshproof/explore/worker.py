"""A worker: claims runs, moves them, commits; some it holds on to under leases, and goes on with them later."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from uuid import UUID

from meshproof.explore.actor import Actor
from meshproof.explore.caller import SIGNAL
from meshproof.explore.hands import Taken
from meshproof.explore.machine import EVENT_KEY, EVENT_NAME, Choice, Event, fold
from meshproof.explore.moves import Option, require
from meshproof.explore.plan import Delivery, Theme
from meshproof.explore.poking import poke
from meshproof.explore.session import Session
from meshproof.explore.stage import PLAIN
from meshproof.explore.times import LEASE_S, at, seconds_at
from meshproof.explore.world import CHILD, Lease, World

CLAIM = "SELECT * FROM meshhook.claim($1, $2)"
INBOX = "SELECT * FROM meshhook.inbox($1, $2, $3)"
COMMIT = "SELECT * FROM meshhook.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
PUT_BACK = "SELECT meshhook.put_back($1, $2, $3, $4, $5, $6, $7)"
AWAIT = "SELECT * FROM meshhook.await_events($1, $2, $3, $4, $5, $6)"
STOP_WAITING = "SELECT meshhook.stop_waiting($1, $2, $3)"
START = "SELECT * FROM meshhook.start_children($1, $2, $3, $4, $5, $6, $7)"
PLACE = "SELECT * FROM meshhook.place($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
TOOK = "SELECT meshhook.took($1, $2, $3)"
CLAIM_MAX = 3
READ_ONE_IN = 3


@dataclass
class Turn:
    """One transaction: what is in it, and what is still to be done."""

    held: bool
    runs: list[Taken]
    steps: list[str]
    entries: list[Taken] = field(default_factory=list)
    """Runs that get in line."""
    started: dict[UUID, tuple[int, Event]] = field(default_factory=dict)
    """Runs that others start: when, and what their journals begin with."""
    refused: set[UUID] = field(default_factory=set)
    signaled: set[UUID] = field(default_factory=set)
    reached: set[UUID] = field(default_factory=set)

    @property
    def told(self) -> list[Taken]:
        """The runs something is written to."""
        return [taken for taken in self.runs if taken.pending and not taken.put_back]

    @property
    def written(self) -> list[Taken]:
        """The runs something was written to."""
        return [taken for taken in self.told if taken.run not in self.refused]


class Worker(Actor):
    """One worker. ``owner`` is its name in this life, ``holds`` the runs it thinks it holds under leases."""

    def __init__(self, name: str, session: Session, world: World) -> None:
        super().__init__(name, session, world)
        self._life = 1
        self._turn: Turn | None = None
        self.holds: dict[UUID, Taken] = {}
        self.told: set[UUID] = set()
        self._to_poke: set[UUID] = set()
        self.is_by_chance = True
        """False: it does all there is to do with every run."""

    @property
    def owner(self) -> str:
        """Its name: another after each crash."""
        return f"{self.name}.{self._life}"

    def options(self) -> list[Option]:
        if self._turn is not None:
            return [Option(self._turn.steps[0], 8), Option("crash", 1)]
        if self._to_poke:
            return [Option("poke", 8), Option("crash", 1)]
        found = [Option("claim", 6)] if self._something_is_due() else []
        return found + ([Option("go on", 6), Option("crash", 1)] if self.holds else [])

    async def do(self, kind: str, arg: int) -> str:
        match kind:
            case "claim":
                in_lanes = self.world.plan.theme is Theme.LANES  # of what may be claimed, lanes get half
                return await self.claim((1 + arg % CLAIM_MAX) * (1 + in_lanes))
            case "go on":
                return await self._go_on(read=bool(self.told) or arg % READ_ONE_IN == 0)
            case "place":
                return await self._place()
            case "read":
                return await self._read()
            case "write":
                return await self._write(arg)
            case "start":
                return await self._start()
            case "tell":
                return await self._tell()
            case "announce":
                return await self._announce()
            case "take":
                return await self._take()
            case "commit":
                return await self._commit()
            case "poke":
                said = await poke(self.session, self.world, self._to_poke)
                self.told |= self._to_poke & self.holds.keys()
                self._to_poke = set()
                return said
            case _:
                return await self.crash(arg)

    def forget(self) -> None:
        self._untake()
        self._life += 1
        self._turn, self.holds, self.told, self._to_poke = None, {}, set(), set()

    async def claim(self, limit: int) -> str:
        """Claim, in a transaction that is left open; with nothing to claim it ends at once."""
        world = self.world
        rows = await self.session.fetch(world.now, CLAIM, world.shard, limit)
        journals: dict[UUID, list[Event]] = {}
        heads = {}
        for row in rows:
            run, *head, _, events, lane = row
            journals.setdefault(run, []).extend(events)
            heads[run] = *head, lane
        runs = []
        for run, (epoch, owner, due_at, signaled, claimed_at, lane) in heads.items():
            world.check_claim(self.name, run, epoch=epoch, signaled=signaled, events=len(journals[run]))
            if lane is not None and lane > 0:
                world.check_lane(self.name, run)
            claimed_s = seconds_at(claimed_at)
            runs.append(
                Taken(
                    run,
                    epoch + 1,
                    fold(journals[run]),
                    owner,
                    claimed_s,
                    seconds_at(due_at),
                    signaled,
                    lane,
                    claimed_s + LEASE_S,
                )
            )
        if not runs:
            await self.session.roll_back()
            return "claims nothing"
        for taken in runs:
            taken.begin()
            if taken.owner is not None:
                taken.note({"type": "lease.expired", "owner": taken.owner})
        entries = [taken for taken in runs if taken.is_entry]
        work = [taken for taken in runs if not taken.is_entry]
        steps = ["place"] if entries else []
        steps += ["read"] if any(taken.signaled for taken in work) else []
        self._turn = Turn(held=False, runs=work, steps=[*steps, "write" if work else "commit"], entries=entries)
        return "claims " + ", ".join(
            world.name(taken.run)
            + (" (at the entry)" if taken.is_entry else "")
            + (f" (lease of {taken.owner} ran out)" if taken.owner else "")
            + (" (signaled)" if taken.signaled else "")
            for taken in runs
        )

    async def _go_on(self, *, read: bool) -> str:
        runs = sorted(self.holds.values(), key=lambda taken: taken.run)
        for taken in runs:
            taken.begin()
        self._turn = Turn(held=True, runs=runs, steps=["read", "write"] if read else ["write"])
        return "goes on with " + self._names(runs)

    async def _place(self) -> str:
        turn, world = self._the_turn(), self.world
        count, keys = len(turn.entries), [world.runs[taken.run].delivery.key for taken in turn.entries]
        await self.session.fetch(
            world.now,
            PLACE,
            world.shard,
            [taken.run for taken in turn.entries],
            [at(taken.due_s) for taken in turn.entries],
            keys,
            [world.plan.slots] * count,
            ["queue"] * count,
            *[[None] * count] * 3,
            [1] * count,
            [None] * count,
        )
        turn.steps.pop(0)
        return f"has {self._names(turn.entries)} get in line"

    async def _read(self) -> str:
        turn = self._the_turn()
        asked = [taken for taken in turn.runs if turn.held or taken.signaled]
        epochs = [taken.epoch for taken in asked]
        rows = await self.session.fetch(self.world.now, INBOX, self.world.shard, [taken.run for taken in asked], epochs)
        by_run = {taken.run: taken for taken in asked}
        for run, number, kind, body in rows:
            by_run[run].receive(number, kind, body)
        self.told -= by_run.keys()
        turn.steps.pop(0)
        found = ", ".join(f"{kind} for {self.world.name(run)}" for run, _, kind, _ in rows)
        return f"reads the inbox of {self._names(asked)}: {found or 'nothing'}"

    async def _write(self, arg: int) -> str:
        turn, said = self._the_turn(), []
        choices = self.world.plan.choices if self.is_by_chance else (Choice.FINISH,)
        for taken in turn.runs:
            arg, digit = divmod(arg, len(choices))
            choice = choices[digit]
            taken.put_back = choice is Choice.PUT_BACK and not turn.held
            if not taken.put_back:
                taken.advance(choice, self.owner, self.world.now_s, self.world.new_id)
            said.append(f"{self.world.name(taken.run)} {_told(taken)}")
        await self._write_told(turn)
        await self._put_back(turn)
        turn.steps = [*_starts(turn), *self._tells(turn), *_announces(turn), *self._takes(turn), "commit"]
        refused = f"; refused: {', '.join(map(self.world.name, turn.refused))}" if turn.refused else ""
        return "writes " + "; ".join(said) + refused

    async def _write_told(self, turn: Turn) -> None:
        told, world = turn.told, self.world
        if not told:
            return
        rows = await self.session.fetch(
            world.now,
            COMMIT,
            world.shard,
            [at(taken.claimed_s) for taken in told],
            turn.held,
            [taken.run for taken in told],
            [taken.epoch for taken in told],
            [taken.seq for taken in told],
            [json.dumps(taken.pending) for taken in told],
            [_status(taken) for taken in told],
            [None if taken.due is None else at(taken.due) for taken in told],
            [self.owner if taken.leased and taken.due is not None else None for taken in told],
        )
        turn.refused = {run for run, outcome in rows if outcome == "refused"}
        turn.signaled = {run for run, outcome in rows if outcome == "signaled"}
        for taken in told:
            fits = world.may_write(taken.run, taken.epoch if turn.held else taken.epoch - 1)
            name = world.name(taken.run)
            require(
                fits or taken.run in turn.refused,
                "stale-write-refused",
                f"{self.name} wrote to {name} at epoch {taken.epoch}, though it is at {world.runs[taken.run].epoch}",
            )
            lease = world.leases.get(taken.run)
            ran_out = turn.held and lease is not None and lease.until <= world.now_s
            require(  # of a lease that ran out somebody may just have made sure, and put the run back
                not fits or ran_out or taken.run not in turn.refused,
                "rightful-write",
                f"{self.name} was refused, though nobody has written to {name} since it was claimed",
            )

    async def _put_back(self, turn: Turn) -> None:
        """What was not begun goes back as it was; what there was nothing to write of, without its flag: its inbox was empty."""
        back = [taken for taken in turn.runs if taken.put_back or not (taken.pending or turn.held)]
        if back:
            await self.session.fetch(
                self.world.now,
                PUT_BACK,
                self.world.shard,
                [taken.run for taken in back],
                [taken.epoch - 1 for taken in back],
                [taken.owner for taken in back],
                [at(taken.due_s if taken.put_back or taken.due is None else taken.due) for taken in back],
                [taken.put_back and taken.signaled for taken in back],
                [taken.lane for taken in back],
            )

    def _tells(self, turn: Turn) -> list[str]:
        changed = [taken for taken in turn.written if taken.was_waiting or taken.machine.waiting]
        return ["tell"] if any(_begins_to_wait(taken) or _stops_waiting(taken) for taken in changed) else []

    def _takes(self, turn: Turn) -> list[str]:
        return ["take"] if any(taken.numbers for taken in turn.written) else []

    async def _tell(self) -> str:
        turn, world = self._the_turn(), self.world
        stopped = [taken for taken in turn.written if _stops_waiting(taken)]
        begun = [taken for taken in turn.written if _begins_to_wait(taken)]
        if stopped:
            nodes = [taken.machine.node for taken in stopped]
            await self.session.fetch(world.now, STOP_WAITING, world.shard, [taken.run for taken in stopped], nodes)
        if begun:
            rows = await self.session.fetch(
                world.now,
                AWAIT,
                world.shard,
                [taken.run for taken in begun],
                [taken.machine.node for taken in begun],
                [EVENT_NAME] * len(begun),
                [EVENT_KEY] * len(begun),
                [taken.machine.behind for taken in begun],
            )
            turn.reached |= {run for (run,) in rows}
        turn.steps.pop(0)
        return f"has {self._names(begun) or 'nobody'} wait for events, and {self._names(stopped) or 'nobody'} no more"

    async def _start(self) -> str:
        turn, world = self._the_turn(), self.world
        begun = [(taken.run, event["node"], UUID(event["run_id"])) for taken, event in _children(turn)]
        rows = await self.session.fetch(
            world.now,
            START,
            world.shard,
            [parent for parent, _, _ in begun],
            [node for _, node, _ in begun],
            [child for _, _, child in begun],
            [PLAIN] * len(begun),
            [json.dumps(CHILD)] * len(begun),
            [json.dumps({"parent": [str(parent), node]}) for parent, node, _ in begun],
        )
        require(
            not rows,
            "child-started",
            f"the start of {', '.join(world.name(child) for _, _, child in begun)} was refused",
        )
        turn.started = {child: (world.now_s, world.started(parent, node)) for parent, node, child in begun}
        turn.steps.pop(0)
        return "starts " + ", ".join(f"{world.name(child)} for {world.name(parent)}" for parent, _, child in begun)

    async def _announce(self) -> str:
        turn, world = self._the_turn(), self.world
        ended = [(taken.run, taken.machine.parent) for taken in turn.written if _ends_for_a_parent(taken)]
        told = [(UUID(parent[0]), parent[1], str(run)) for run, parent in ended if parent is not None]
        rows = await self.session.fetch(
            world.now,
            SIGNAL,
            world.shard,
            [parent for parent, _, _ in told],
            ["child"] * len(told),
            [json.dumps({"node": node, "run_id": run}) for _, node, run in told],
        )
        turn.reached |= {run for (run,) in rows}
        turn.steps.pop(0)
        return "tells " + ", ".join(
            f"{world.name(parent)} of the end of {world.name(UUID(run))}" for parent, _, run in told
        )

    async def _take(self) -> str:
        turn = self._the_turn()
        taken = [(one.run, number) for one in turn.written for number in one.numbers]
        runs, numbers = map(list, zip(*taken, strict=True))
        await self.session.fetch(self.world.now, TOOK, self.world.shard, runs, numbers)
        turn.steps.pop(0)
        return "has taken what was in the inbox of " + ", ".join(map(self.world.name, sorted(set(runs))))

    async def _commit(self) -> str:
        turn, world = self._the_turn(), self.world
        await self.session.commit()
        written = turn.written
        for taken in turn.runs:
            if taken.run in turn.refused:
                self.holds.pop(taken.run, None)
            elif taken in written:
                world.wrote(taken.run, taken.epoch, taken.pending, taken.due)
                world.leases.pop(taken.run, None)
                if taken.leased and taken.due is not None:
                    world.leases[taken.run] = Lease(self.owner, taken.epoch, taken.due)
                    self.holds[taken.run] = taken
                else:
                    self.holds.pop(taken.run, None)
            elif not taken.put_back and not turn.held:
                world.runs[taken.run].due = taken.due or 0
        for child, (accepted_at, accepted) in turn.started.items():
            world.store(child, Delivery("steps", 1, None, "x"), accepted_at, accepted)
        for taken in turn.entries:
            world.runs[taken.run].is_in_line = True
        world.read.update(number for taken in written for number in taken.numbers)
        self._untake()
        self.told |= turn.signaled & self.holds.keys()
        self._to_poke, self._turn = turn.reached, None
        return "commits"

    def _untake(self) -> None:
        if self._turn is not None and not self._turn.held:
            for taken in (*self._turn.runs, *self._turn.entries):
                self.world.taken.pop(taken.run, None)

    def _the_turn(self) -> Turn:
        assert self._turn is not None
        return self._turn

    def _something_is_due(self) -> bool:
        tasks = self.world.seen.tasks.values()
        return any(task.due <= self.world.now_s and task.run not in self.world.taken for task in tasks)

    def _names(self, runs: list[Taken]) -> str:
        return ", ".join(self.world.name(taken.run) for taken in runs)


def _children(turn: Turn) -> list[tuple[Taken, Event]]:
    return [(taken, event) for taken in turn.written for event in taken.pending if event["type"] == "child.started"]


def _starts(turn: Turn) -> list[str]:
    return ["start"] if _children(turn) else []


def _ends_for_a_parent(taken: Taken) -> bool:
    return taken.machine.ended is not None and taken.machine.parent is not None


def _announces(turn: Turn) -> list[str]:
    return ["announce"] if any(map(_ends_for_a_parent, turn.written)) else []


def _status(taken: Taken) -> str:
    if taken.machine.ended is not None:
        return taken.machine.ended
    if taken.machine.paused:
        return "paused"
    return "running" if taken.leased else "waiting"


def _begins_to_wait(taken: Taken) -> bool:
    return taken.machine.waiting and taken.machine.ended is None and any(e["type"] == "wait.set" for e in taken.pending)


def _stops_waiting(taken: Taken) -> bool:
    return taken.was_waiting and taken.machine.ended is not None


def _told(taken: Taken) -> str:
    if taken.put_back:
        return "goes back unbegun"
    types = ", ".join(event["type"] for event in taken.pending) or "nothing"
    if taken.due is None:
        return f"{types}: ended"
    return f"{types}: " + (f"leased until {taken.due} s" if taken.leased else f"due at {taken.due} s")
