"""Weighs the output of every finished run against its own journal, and against the reference model of what was sent.

    weighing       how many runs were weighed
    output_faults  one row for each run and invariant broken: journal.fold, completion.status, completion.output, intake.body

Under one delivery id several bodies may have been sent (a conflict). Which of them the engine stored first is its own affair;
but the run must be what the reference model makes of exactly that one, and it must be the one that was acknowledged.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final, NamedTuple

import msgspec

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.exact import canonical, difference
from meshproof.judge.invariant import CannotTell
from meshproof.judge.shapes import replay_shapes

ALONE_BYTES: Final = 32 * 1024 * 1024
"""Up to so much work one process is faster than starting others."""

_decode: Final = msgspec.json.decode


class Body(msgspec.Struct, array_like=True):
    """One body that was sent under a delivery id: the payload `number` of its scenario."""

    scenario: str
    number: int
    hash: str
    acknowledged: bool
    possible: bool
    """Whether it can have been stored: some attempt with it was acknowledged, or of unknown fate."""


class Run(msgspec.Struct):
    """One finished run, as it is weighed."""

    run_id: str
    status: str
    end: str
    """Its last event, as JSON."""
    folds_to: str
    several: bool
    leaves: list[str]
    outputs: list[str]
    """The step.completed events of the leaves, as JSON."""
    bodies: list[Body]


class Weighed(NamedTuple):
    """One thing that is wrong with a run."""

    run_id: str
    invariant: str
    why: str


class Answer(msgspec.Struct, omit_defaults=True):
    """What a helper process says of its part."""

    faults: list[Weighed] = []
    cannot_tell: str | None = None
    crashed: str | None = None


def weigh_outputs(facts: Facts) -> None:
    """Derive the tables of this module."""
    facts.require("attempts", "runs", "journals", "plan")
    facts.once(replay_shapes)
    # The work goes through a file, not through pipes: helpers read their part of it faster than they could be told.
    work = facts.scratch / "finished.ndjson"
    runs = facts.one(f"COPY ({_FINISHED}) TO '{work}' (FORMAT json)")
    facts.con.execute("CREATE TABLE weighing AS SELECT $1::BIGINT AS runs", [runs])
    wrong = _weigh_all(int(facts.plan["seed"]), work)
    work.unlink()
    facts.con.execute("CREATE TABLE output_faults (run_id UUID, invariant VARCHAR, why VARCHAR)")
    facts.con.execute(
        "INSERT INTO output_faults SELECT unnest($1::VARCHAR[])::UUID, unnest($2::VARCHAR[]), unnest($3::VARCHAR[])",
        [[fault[part] for fault in wrong] for part in range(3)],
    )


def weighed(facts: Facts) -> int:
    """How many runs are weighed: the finished ones with a terminal event and a sender."""
    facts.once(weigh_outputs)
    runs: int = facts.one("SELECT runs FROM weighing")
    return runs


_FINISHED: Final = """
    WITH bodies AS (
        SELECT endpoint, delivery, scenario, index, hash,
               bool_or(outcome = 'ok') AS acknowledged, bool_or(outcome <> 'fail') AS possible
        FROM attempts GROUP BY endpoint, delivery, scenario, index, hash),
    sent AS (
        SELECT endpoint, delivery,
               list(json_array(scenario, index, hash, acknowledged, possible) ORDER BY scenario, index, hash) AS bodies
        FROM bodies GROUP BY endpoint, delivery),
    outputs AS (
        SELECT e.run_id,
               list(e.node ORDER BY e.seq, e.row_seq) AS nodes,
               list(e.event ORDER BY e.seq, e.row_seq) AS events
        FROM events e JOIN shaped USING (run_id) JOIN leaves l ON l.id = shaped.id AND l.node = e.node
        WHERE e.type = 'step.completed' GROUP BY e.run_id),
    ends AS (
        SELECT run_id, max_by(event, seq) AS event
        FROM events WHERE type IN ('run.completed', 'run.failed') GROUP BY run_id)
    SELECT r.run_id, r.status, ends.event AS "end", shapes.status AS folds_to, shapes.several,
           coalesce(o.nodes, []) AS leaves, coalesce(o.events, []) AS outputs, s.bodies
    FROM runs r
    JOIN ends USING (run_id)
    JOIN shaped USING (run_id)
    JOIN shapes ON shapes.id = shaped.id
    JOIN sent s ON s.endpoint = r.endpoint AND s.delivery = r.delivery
    LEFT JOIN outputs o USING (run_id)
    WHERE r.finished
"""


def _weigh_all(seed: int, work: Path) -> list[Weighed]:
    size = work.stat().st_size
    if size <= ALONE_BYTES:
        return weigh_part(seed, work, 0, size)
    cores = _cores()
    ends = [size * part // cores for part in range(cores + 1)]
    helpers: list[Popen[bytes]] = []
    try:
        for part in pairwise(ends):
            command = [sys.executable, "-m", "meshproof.judge.helper", str(seed), str(work), *map(str, part)]
            helpers.append(Popen(command, stdout=PIPE))
        return [fault for helper in helpers for fault in _faults(helper)]
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
            assert helper.stdout is not None
            helper.stdout.close()


def _faults(helper: Popen[bytes]) -> list[Weighed]:
    said, _ = helper.communicate()
    if helper.returncode:
        raise HelperDied(f"a helper of the judge ended with exit code {helper.returncode}")
    answer = msgspec.json.decode(said, type=Answer)
    if answer.cannot_tell:
        raise CannotTell(answer.cannot_tell)
    if answer.crashed:
        raise HelperDied(answer.crashed)
    return answer.faults


class HelperDied(RuntimeError):
    """A helper process could not do its part."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def weigh_part(seed: int, work: Path, begin: int, end: int) -> list[Weighed]:
    """Everything that is wrong with the runs whose lines begin in this part of the file."""
    decode = msgspec.json.Decoder(Run).decode
    faults: list[Weighed] = []
    with work.open("rb") as file:
        if begin:
            file.seek(begin - 1)
            file.readline()
        while file.tell() < end and (line := file.readline()):
            faults += weigh(seed, decode(line))
    return faults


def weigh(seed: int, run: Run) -> Iterator[Weighed]:
    """Everything that is wrong with the output of one run."""
    try:
        end = _decode(run.end)
        output = end.get("output")
    except (msgspec.MsgspecError, AttributeError) as error:
        yield Weighed(run.run_id, "journal.fold", f"its last event is no JSON object: {error}")
        return
    if why := _fold_difference(run, end, output):
        yield Weighed(run.run_id, "journal.fold", why)
    yield from _weigh_against_model(seed, run, output)


def _fold_difference(run: Run, end: dict[str, Any], output: Any) -> str | None:
    """Whether the output in the last event is what the outputs of its steps add up to."""
    if run.folds_to == "completed" and "output" not in end:
        return "run.completed has no output"
    if not run.leaves:
        return None if "output" not in end else "the run failed without terminate, and yet has an output"
    try:
        steps = [_decode(event).get("output") for event in run.outputs]
    except (msgspec.MsgspecError, AttributeError) as error:
        return f"a step event is no JSON object: {error}"
    folded = dict(zip(run.leaves, steps, strict=True)) if run.several else steps[0]
    return difference(output, folded)


def _weigh_against_model(seed: int, run: Run, output: Any) -> Iterator[Weighed]:
    stored = canonical(output)
    explained = [body for body in run.bodies if _expected(seed, body) == (run.status, stored)]
    if not explained:
        yield _contradiction(seed, run, output)
    elif any(body.acknowledged and body not in explained for body in run.bodies):
        yield Weighed(run.run_id, "intake.body", "one body was acknowledged, and the run is made of another")
    elif not any(body.possible for body in explained):
        yield Weighed(run.run_id, "intake.body", "the run is made of a body that was refused")


def _contradiction(seed: int, run: Run, output: Any) -> Weighed:
    """Say what is wrong with a run that no body explains, measured by the body it should be made of."""
    body = min(run.bodies, key=lambda body: (not body.acknowledged, not body.possible))
    status, expected = _model(seed, body)
    if status != run.status:
        return Weighed(run.run_id, "completion.status", f"ended as {run.status}, must be {status}")
    return Weighed(run.run_id, "completion.output", difference(output, expected) or "differs from every body sent")


def _expected(seed: int, body: Body) -> tuple[str, bytes]:
    status, output = _model(seed, body)
    return status, canonical(output)


def _model(seed: int, body: Body) -> tuple[str, Any]:
    """What a run of this body must end with. The hash proves that it is the body that was sent, not another of that number."""
    scenario = scenarios.load(body.scenario)
    payload = scenario.payload(seed, body.number)
    if sha256(payload).hexdigest() != body.hash:
        raise CannotTell(
            f"payload {body.number} of {body.scenario} is not what was sent: the scenario has changed since"
        )
    return scenario.model(payload)
