"""What must hold after every commit: of what is stored, held against what was stored before and what the actors were told."""

from __future__ import annotations

from uuid import UUID

from meshproof.explore.machine import Event, fold
from meshproof.explore.moves import Violation, require
from meshproof.explore.seen import Row, Seen, Told, Wait
from meshproof.explore.world import Known, World

TERMINAL = ("run.completed", "run.cancelled", "run.failed")


def check(world: World, before: Seen, after: Seen) -> None:
    """Raise Violation if what is stored now can't be."""
    _every_run_is_stored(world, after)
    for run, known in world.runs.items():
        rows = after.journal.get(run, [])
        _journal_is_sound(known, rows, before.journal.get(run, []))
        _run_is_in_the_queue(known, run, after)
    _no_signal_is_lost(world, before, after)
    _no_poke_is_lost(world, after)
    _events_arrive_once(world, after)
    _ends_of_children_are_told(world, after)


def check_end(world: World) -> None:
    """Raise Violation unless every run has ended, and as it was told to."""
    for known in world.runs.values():
        require(known.ended is not None, "ends", f"{known.name} never ended, though nothing held it back any more")


def _every_run_is_stored(world: World, after: Seen) -> None:
    for run in world.runs.keys() - after.runs.keys():
        raise Violation("accepted-once", f"{world.name(run)} was accepted, and is not stored")
    for run in after.runs.keys() - world.runs.keys():
        raise Violation("accepted-once", f"{world.name(run)} is stored, and nobody was told so")


def _journal_is_sound(known: Known, rows: list[Row], before: list[Row]) -> None:
    require(rows[: len(before)] == before, "append-only", f"rows of the journal of {known.name} have changed")
    written: list[Event] = []
    epoch = 0
    for row in rows:
        require(
            row.seq == len(written) + 1,
            "gapless",
            f"the journal of {known.name} has {len(written)} events, and the next has the number {row.seq}",
        )
        require(
            row.epoch >= epoch, "epoch-grows", f"{known.name} was written at epoch {epoch}, and then at {row.epoch}"
        )
        epoch = row.epoch
        written += row.events
    ends = [number for number, event in enumerate(written) if event["type"] in TERMINAL]
    require(ends in ([], [len(written) - 1]), "terminal-immutable", f"{known.name} goes on after its end")
    require(
        [event["type"] for event in written] == [event["type"] for event in known.journal],
        "journal-exact",
        f"of {known.name} is stored what no writer was told of, or not what one was told of: "
        f"{_types(written)} instead of {_types(known.journal)}",
    )


def _run_is_in_the_queue(known: Known, run: UUID, after: Seen) -> None:
    row, task = after.runs[run], after.tasks.get(run)
    require(
        row.finished == (known.ended is not None), "terminal-immutable", f"{known.name} is {row.status}: {known.ended=}"
    )
    if row.finished:
        require(task is None, "never-lost", f"{known.name} has ended, and is in the queue again")
        return
    require(task is not None, "never-lost", f"{known.name} lives, and is in the queue no more")
    assert task is not None
    require(
        task.epoch == known.epoch, "epoch-grows", f"{known.name} waits at epoch {task.epoch}, written at {known.epoch}"
    )


def _no_signal_is_lost(world: World, before: Seen, after: Seen) -> None:
    left = {told.number for told in after.signals}
    for told in before.signals:
        run = world.runs.get(told.run)
        require(
            told.number in left or told.number in world.read or run is None or run.ended is not None,
            "signal-not-lost",
            f"a {told.kind} is gone from the inbox of {world.name(told.run)}, and in no journal",
        )


def _no_poke_is_lost(world: World, after: Seen) -> None:
    for told in after.signals:
        task = after.tasks.get(told.run)
        require(
            told.number not in world.poked or task is None or task.signaled,
            "poke-not-lost",
            f"a {told.kind} lies in the inbox of {world.name(told.run)}, the run was poked since, and nobody will look",
        )


def _events_arrive_once(world: World, after: Seen) -> None:
    inboxes: dict[UUID, list[Told]] = {}
    for told in after.signals:
        if told.kind == "event":
            inboxes.setdefault(told.run, []).append(told)
    for run, known in world.runs.items():
        if known.delivery.kind != "waits":
            continue
        received = [event["id"] for event in known.journal if event["type"] == "event.received"]
        require(len(set(received)) == len(received), "event-once", f"{known.name} received an event twice: {received}")
        machine = fold(known.journal)
        wait = Wait(run, machine.node)
        if not machine.waiting or machine.ended is not None:
            require(
                not any(left.run == run for left in after.waits),
                "event-once",
                f"{known.name} waits no more, and its wait is left",
            )
            continue
        told_ids = [told.body["id"] for told in inboxes.get(run, []) if told.body["node"] == wait.node]
        wanted = world.wanted_event(run, received)
        if wanted is None:
            require(
                told_ids == [] and wait in after.waits,
                "event-once",
                f"{known.name} waits, and no event was sent: its inbox has {told_ids}, its wait is {_kept(wait, after)}",
            )
        else:
            require(
                told_ids == [wanted.id] and wait not in after.waits,
                "event-once",
                f"{known.name} waits, and {wanted.id} was sent: its inbox has {told_ids}, its wait is {_kept(wait, after)}",
            )


def _ends_of_children_are_told(world: World, after: Seen) -> None:
    for run, known in world.runs.items():
        machine = fold(known.journal)
        if machine.child is None or known.ended is not None:
            continue
        child = world.runs.get(UUID(machine.child))
        require(child is not None, "child-started", f"{known.name} has started a run, which nobody was told of")
        assert child is not None
        told = [told for told in after.signals if told.run == run and told.kind == "child"]
        require(
            len(told) == (child.ended is not None),
            "child-told",
            f"{known.name} waits for {child.name}, which {child.ended or 'goes on'}; its inbox has that {len(told)} times",
        )


def _kept(wait: Wait, after: Seen) -> str:
    return "kept" if wait in after.waits else "gone"


def _types(events: list[Event]) -> str:
    return ", ".join(event["type"] for event in events)
