"""Weighs one finished run: does its output follow from its own journal, and is it what must come of what was sent?

Pure. Under one delivery id several bodies may have been sent (a conflict). Which of them the engine stored first is its own
affair; but the run must be what the reference model makes of exactly that one, and it must be the one that was acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from meshproof import scenarios
from meshproof.judge.exact import canonical, difference
from meshproof.judge.invariant import CannotTell

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
    version: int | None
    end: str
    """Its last event, as JSON."""
    folds_to: str
    several: bool
    leaves: list[str]
    outputs: list[str]
    """The step.completed events of the leaves, as JSON."""
    bodies: list[Body]
    gathered: list[Body] = []
    """The bodies of all its deliveries in order, when it has several."""
    accepted: str | None = None
    """Its first event, as JSON, where no model says what must come of it."""


class Weighed(NamedTuple):
    """One thing that is wrong with a run."""

    run_id: str
    invariant: str
    why: str


def weigh_file(seed: int, path: Path) -> list[Weighed]:
    """Everything that is wrong with the runs of a file, a line each."""
    decode = msgspec.json.Decoder(Run).decode
    with path.open("rb") as lines:
        return [fault for line in lines for fault in weigh(seed, decode(line))]


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
    if (failure := end.get("error")) and failure.get("type") == "engine":
        why = f"failed through a fault of the engine itself: {failure.get('reason')}"
        yield Weighed(run.run_id, "completion.status", why)
    elif run.accepted is not None:
        yield from _weigh_input(seed, run, run.accepted)
    else:
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
    if run.gathered:
        yield from _weigh_gathered(seed, run, output)
        return
    explained = [body for body in run.bodies if _explains(seed, body, run, stored)]
    if not explained:
        yield _contradiction(seed, run, output)
    elif any(body.acknowledged and body not in explained for body in run.bodies):
        yield Weighed(run.run_id, "intake.body", "one body was acknowledged, and the run is made of another")
    elif not any(body.possible for body in explained):
        yield Weighed(run.run_id, "intake.body", "the run is made of a body that was refused")


def _weigh_gathered(seed: int, run: Run, output: Any) -> Iterator[Weighed]:
    """Of a run that has gathered several deliveries: it is made of all of them, or of the last."""
    scenario = scenarios.load(run.gathered[0].scenario)
    payloads = [_payload(seed, body) for body in run.gathered]
    is_batch = scenario.gather is not None and scenario.gather.kind == "batch"
    status, expected = scenario.model(b"[" + b",".join(payloads) + b"]" if is_batch else payloads[-1])
    if status != run.status:
        yield Weighed(run.run_id, "completion.status", f"ended as {run.status}, must be {status}")
    elif why := difference(output, expected):
        yield Weighed(run.run_id, "completion.output", why)


def _weigh_input(seed: int, run: Run, accepted: str) -> Iterator[Weighed]:
    """Of a run nobody has a model of: the journal begins with exactly a body that was sent."""
    try:
        stored = canonical(_decode(accepted)["trigger"]["body"])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        yield Weighed(run.run_id, "intake.body", f"its first event holds no body: {type(error).__name__}: {error}")
        return
    made_of = [body for body in run.bodies if canonical(_decode(_payload(seed, body))) == stored]
    if not made_of:
        yield Weighed(run.run_id, "intake.body", "the run is made of a body that was not sent under its id")
    elif any(body.acknowledged and body not in made_of for body in run.bodies):
        yield Weighed(run.run_id, "intake.body", "one body was acknowledged, and the run is made of another")
    elif not any(body.possible for body in made_of):
        yield Weighed(run.run_id, "intake.body", "the run is made of a body that was refused")


def _contradiction(seed: int, run: Run, output: Any) -> Weighed:
    """Say what is wrong with a run that no body explains, measured by the body it should be made of."""
    body = min(run.bodies, key=lambda body: (not body.acknowledged, not body.possible))
    status, expected = _model(seed, body, run.version)
    if status != run.status:
        return Weighed(run.run_id, "completion.status", f"ended as {run.status}, must be {status}")
    return Weighed(run.run_id, "completion.output", difference(output, expected) or "differs from every body sent")


def _explains(seed: int, body: Body, run: Run, stored: bytes) -> bool:
    """Whether a run of this body may end like that."""
    if run.status == "cancelled" and stored == b"null" and scenarios.load(body.scenario).cancellable:
        return True  # whether it was cancelled by right is judged by operations
    status, output = _model(seed, body, run.version)
    return (status, canonical(output)) == (run.status, stored)


def _model(seed: int, body: Body, version: int | None) -> tuple[str, Any]:
    """What a run of this body must end with. The hash proves that it is the body that was sent, not another of that number."""
    scenario, payload = scenarios.load(body.scenario), _payload(seed, body)
    if scenario.model_of is not None and version is not None:
        return scenario.model_of(payload, version)
    return scenario.model(payload)


def _payload(seed: int, body: Body) -> bytes:
    payload = scenarios.load(body.scenario).payload(seed, body.number)
    if sha256(payload).hexdigest() != body.hash:
        raise CannotTell(
            f"payload {body.number} of {body.scenario} is not what was sent: the scenario has changed since"
        )
    return payload
