"""The story of a stress run out of its evidence: its steps with all that was seen in each, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from meshproof.analysis import breaking
from meshproof.analysis.breaking import Machine, Step
from meshproof.figures import Evidence, open_evidence
from meshproof.ledger import read_document, read_lines
from meshproof.phases import Phase, read

SETTLE_SHARE: Final = 0.25
"""The first part of a step, which is left out: what waited from the step before is not its own."""
BASELINE_SLACK: Final = 1.5
FEW: Final = 100


def analyse(folder: Path) -> dict[str, Any] | None:
    """What is to be said; None when the run did not come to its end."""
    plan = read_document(folder / "plan.json")
    begins_us = next((phase.from_us for phase in read(folder) if phase.kind == "warm-up"), None)
    if begins_us is None or "stress" not in plan:
        return None
    with open_evidence(folder) as evidence:
        if evidence is None:
            return None
        windows = _windows(plan, begins_us)
        certificate = read_document(folder / "generator.json")
        waits = list(read_lines(folder / "samples" / "waits.ndjson"))
        steps = [
            _step(number, rate, span, plan["stress"]["steps_up"], evidence, waits, certificate)
            for number, (rate, span) in enumerate(windows)
        ]
        machine = Machine(certificate["cores"], plan["settings"].get("apis") or 1, plan["settings"]["workers"] or 1)
        incidents = len(list(read_lines(folder / "incidents.ndjson")))
        return {**_story(steps, machine, plan, incidents), **_way_back(steps, windows, evidence, begins_us)}


def _story(steps: list[Step], machine: Machine, plan: dict[str, Any], incidents: int) -> dict[str, Any]:
    broke, knee = breaking.broke_at(steps), breaking.knee(steps)
    generator, full = breaking.generator_broke_at(steps), breaking.full_first(steps, machine)
    best = max(steps, key=lambda step: step.goodput_per_s)
    return {
        "machine": asdict(machine),
        "turned": plan["stress"]["turned"],
        "steps": [
            {**asdict(step), "share": step.share, "follows": step.follows, "busy": breaking.busy(step, machine)}
            for step in steps
        ],
        "knee_per_s": None if knee is None else knee.rate,
        "broke_at_per_s": None if broke is None else broke.rate,
        "goodput_max_per_s": best.goodput_per_s,
        "generator_broke_at_per_s": None if generator is None else generator.rate,
        "full_first": None if full is None else {"at_per_s": full[0].rate, "what": full[1]},
        "full_when_broke": {} if broke is None else breaking.busy(broke, machine),
        "hysteresis": breaking.hysteresis(steps),
        "recovered": breaking.recovered(steps, incidents),
    }


def _windows(plan: dict[str, Any], begins_us: int) -> list[tuple[float, tuple[int, int]]]:
    """The steps behind the warm-up: rate, and when."""
    windows, at_us = [], begins_us + round(plan["warmup_s"] * 1e6)
    pieces = plan["course"][1:] if plan["warmup_s"] else plan["course"]
    for piece in pieces:
        end_us = at_us + round(piece["seconds"] * 1e6)
        windows.append((piece["from_per_s"], (at_us, end_us)))
        at_us = end_us
    return windows


def _step(
    number: int,
    rate: float,
    span: tuple[int, int],
    steps_up: int,
    evidence: Evidence,
    waits: list[dict[str, Any]],
    certificate: dict[str, Any],
) -> Step:
    settled = (span[0] + round((span[1] - span[0]) * SETTLE_SHARE), span[1])
    phase = Phase("steady", *settled)
    figures = evidence.figures([phase])
    # The first step of the meter is the warm-up.
    own = [
        process["steps"][number + 1] for process in certificate["processes"] if len(process["steps"] or ()) > number + 1
    ]
    return Step(
        number=number,
        way="up" if number < steps_up else "down",
        rate=rate,
        offered_per_s=evidence.offered(phase) / phase.seconds,
        accepted_per_s=figures.accepted_per_s or 0.0,
        goodput_per_s=figures.completed_per_s or 0.0,
        end_to_end_p99_ms=(figures.end_to_end_ms or {}).get("p99"),
        cores=_cores(evidence.observations, settled),
        waits=_shares(line["waiting"] for line in waits if settled[0] <= line["at_us"] < settled[1]),
        lag_p99_ms=max((each["lag_p99_ms"] for each in own), default=0.0),
        generator_cpu=max((each["cpu_share"] for each in own), default=0.0),
        unsent=sum(each["unsent"] for each in own),
    )


def _cores(observations: list[dict[str, Any]], span: tuple[int, int]) -> dict[str, float]:
    """Processor time of each role over the looks that cover a span."""
    before = [line for line in observations if line["at_us"] <= span[0]][-1:]
    within = [line for line in observations if span[0] < line["at_us"] <= span[1]]
    looks = within if len(within) > 1 else before + within
    if len(looks) < 2:
        return {}
    first, last = looks[0], looks[-1]
    seconds = (last["at_us"] - first["at_us"]) / 1e6
    cores = {
        role: round((usage["cpu_s"] - first["roles"][role]["cpu_s"]) / seconds, 3)
        for role, usage in last["roles"].items()
        if role in first["roles"]
    }
    # Whatever else ran on this machine.
    all_of_it = (last["machine_busy_s"] - first["machine_busy_s"]) / seconds
    return {**cores, "others": round(max(0.0, all_of_it - sum(cores.values())), 3)}


def _shares(samples: Iterable[dict[str, int]]) -> dict[str, float]:
    """In which part of the samples somebody waited for what."""
    seen: dict[str, int] = {}
    count = 0
    for sample in samples:
        count += 1
        for what in sample:
            seen[what] = seen.get(what, 0) + 1
    return {what: round(times / count, 3) for what, times in sorted(seen.items(), key=lambda item: (-item[1], item[0]))}


def _way_back(
    steps: list[Step], windows: list[tuple[float, tuple[int, int]]], evidence: Evidence, begins_us: int
) -> dict[str, Any]:
    """How long the overload was felt: until the backlog was as before, from when the load had fallen below where it broke."""
    broke = breaking.broke_at(steps)
    backlog = [
        (line["at_us"], line["accepted"] - line["terminal"]) for line in evidence.observations if "accepted" in line
    ]
    end_us = windows[-1][1][1]
    drained = next((at for at, left in backlog if at >= end_us and left == 0), None)
    found: dict[str, Any] = {
        "backlog_max": max((left for _, left in backlog), default=None),
        "drain_s": None if drained is None else (drained - end_us) / 1e6,
        "relieved_s": None,
    }
    if broke is None:
        return found
    falling = (
        span[0] for step, (_, span) in zip(steps, windows, strict=True) if step.way == "down" and step.rate < broke.rate
    )
    calm_us = next(falling, None)
    first_us = windows[0][1][0]
    before = max((left for at, left in backlog if first_us <= at <= windows[broke.number][1][0]), default=0)
    if calm_us is not None:
        usual = max(before * BASELINE_SLACK, before + FEW)
        again = next((at for at, left in backlog if at >= calm_us and left <= usual), None)
        found["relieved_s"] = None if again is None else (again - calm_us) / 1e6
    return found
