"""The trends of a soak out of its evidence: what each part holds on to, what tables take, and how long things take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from meshproof.analysis.drift import Bound, Point, Trend, trend
from meshproof.figures import Evidence, open_evidence
from meshproof.ledger import read_document
from meshproof.phases import Phase, read, steady

MB: Final = 1e6
BEGINNING: Final = 0.2
"""The first part of the steady phase is left out: pools fill, caches warm, and that is growth which ends."""
LATENCY_SPANS: Final = 60

MEMORY: Final = {
    "api": Bound(16.0, 8.0),
    "worker": Bound(16.0, 8.0),
    # Its shared buffers (256 MB) fill up once, at 100 runs a second within twenty minutes, and a backend caches what it has seen.
    "postgres": Bound(320.0, 8.0),
    "generator": Bound(24.0, 8.0),
    "suite": Bound(24.0, 8.0),
    "sink": Bound(16.0, 8.0),
}
FILES: Final = {
    "api": Bound(24.0, 4.0),
    "worker": Bound(24.0, 4.0),
}
FILES_OF_BACKEND: Final = Bound(80.0, 4.0)
"""Of the backend that has most. Each keeps the files of what it has seen open, some 130 for ordinary work, and some fifty more when
it comes to do rarer things. The sum of all rises until all have seen everything."""
CONNECTIONS: Final = Bound(6.0, 1.0)
DEAD: Final = Bound(60_000.0, 0.0, of_median=1.0)
"""Autovacuum comes after some ten thousand changes; what it does not keep up with grows by far more than that."""
TURNING: Final = Bound(24.0, 4.0, of_median=0.5)
"""Tables whose rows come and go: they have room for their largest number, and no more."""
PER_RUN: Final = Bound(0.05, 0.0, of_median=0.08)
"""Tables whose rows stay: kB a run, not kB, must be flat."""
LATENCY: Final = Bound(20.0, 0.0, of_median=0.5)


def analyse(folder: Path) -> dict[str, Any] | None:
    """Every trend; None when there was no steady phase."""
    phases = steady(read(folder))
    if not phases:
        return None
    plan = read_document(folder / "plan.json")
    forget_s = float((plan["settings"].get("engine") or {}).get("dedupe_hours", 24.0)) * 3_600
    with open_evidence(folder) as evidence:
        if evidence is None:
            return None
        return {"trends": [_document(each) for each in _trends(evidence, phases[0], forget_s)]}


def _trends(evidence: Evidence, phase: Phase, forget_s: float) -> Iterator[Trend]:
    from_us = phase.from_us + round((phase.to_us - phase.from_us) * BEGINNING)
    lines = [line for line in evidence.observations if from_us <= line["at_us"] <= phase.to_us]

    def series(value: Callable[[dict[str, Any]], float], after_us: int = from_us) -> list[Point]:
        found = []
        for line in lines:
            try:
                found.append(Point((line["at_us"] - from_us) / 1e6, value(line)))
            except (KeyError, TypeError, ZeroDivisionError):
                continue  # what could not be read at that moment is no point
        return [point for point in found if point.at_s * 1e6 + from_us >= after_us]

    for role, bound in MEMORY.items():
        memory = series(lambda line, role=role: line["roles"][role]["rss_bytes"] / MB)  # type: ignore[misc]
        if memory and memory[0].value:
            yield trend(f"memory of {role}", "MB", memory, bound)
    for role, bound in FILES.items():
        files = series(lambda line, role=role: line["roles"][role]["fds"])  # type: ignore[misc]
        if files and files[0].value:
            yield trend(f"open files of {role}", "files", files, bound)
    files = series(lambda line: line["roles"]["postgres"]["fds_most"])
    if files and files[0].value:
        yield trend("open files of a backend of postgres", "files", files, FILES_OF_BACKEND)
    yield trend(
        "connections to the database", "connections", series(lambda line: line["database"]["connections"]), CONNECTIONS
    )
    yield from _tables(series, phase, forget_s)
    for name, column in (("accept p99", "accept_ms"), ("end to end p99", "end_to_end_ms")):
        points = [
            Point((at_us - from_us) / 1e6, p99 / 1e3)
            for at_us, p99 in evidence.p99_over_time(column, from_us, phase.to_us, LATENCY_SPANS)
        ]
        yield trend(name, "ms", points, LATENCY)


def _tables(series: Callable[..., list[Point]], phase: Phase, forget_s: float) -> Iterator[Trend]:
    def table(line: dict[str, Any], name: str) -> dict[str, float]:
        found: dict[str, float] = line["database"]["tables"][name]
        return found

    def size(line: dict[str, Any], name: str) -> float:
        return table(line, name)["table_bytes"] + table(line, name)["index_bytes"]

    for name in ("tasks", "runs", "journal", "dedupe"):
        yield trend(
            f"dead rows of {name}", "rows", series(lambda line, name=name: table(line, name)["dead_tuples"]), DEAD
        )
    yield trend("size of tasks", "MB", series(lambda line: size(line, "tasks") / MB), TURNING)
    # Keys are forgotten after a while; before that their table can only grow.
    forgotten_us = phase.from_us + round(forget_s * 1.2e6)
    if forgotten_us < phase.to_us - (phase.to_us - phase.from_us) // 3:
        yield trend("size of dedupe", "MB", series(lambda line: size(line, "dedupe") / MB, forgotten_us), TURNING)
    for name in ("runs", "journal"):
        yield trend(
            f"size of {name} a run",
            "kB",
            series(lambda line, name=name: size(line, name) / 1e3 / line["accepted"]),
            PER_RUN,
        )


def _document(found: Trend) -> dict[str, Any]:
    return {**asdict(found), "points": [[round(point.at_s, 1), point.value] for point in found.points]}
