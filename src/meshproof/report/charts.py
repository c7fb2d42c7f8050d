"""The charts of a report as plain data: what happened over the time of the run. The page only draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Final

import duckdb
import msgspec

from meshproof.facts import load
from meshproof.report.gather import Gathered

POINTS_MAX: Final = 900
WIDTHS_S: Final = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
WAITS_MAX: Final = 6

ROLES: Final = {
    "api": "API",
    "worker": "workers",
    "postgres": "Postgres",
    "generator": "generator",
    "suite": "suite",
}


class Line(msgspec.Struct, frozen=True):
    """One line of a chart; a value of None is a gap."""

    label: str
    values: list[float | None]


class Chart(msgspec.Struct, frozen=True):
    """One chart. `x` is seconds since the start of the run."""

    title: str
    unit: str
    x: list[float]
    lines: list[Line]
    says: str = ""
    log: bool = False


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at one moment, drawn on every chart."""

    at: float
    kind: str
    label: str


class Band(msgspec.Struct, frozen=True):
    """A phase of the run, drawn behind every chart."""

    begin: float
    end: float
    label: str
    steady: bool


class Timeline(msgspec.Struct, frozen=True):
    """All charts of a run, on one axis of time."""

    charts: list[Chart]
    marks: list[Mark]
    bands: list[Band]


def timeline(gathered: Gathered) -> Timeline:
    """Everything that can be drawn of what was gathered."""
    start_us = _start_us(gathered)
    if start_us is None:
        return Timeline([], [], [])
    at = _seconds_since(start_us)
    charts = [*_ledger_charts(gathered, start_us), *_observed_charts(gathered.observations, at)]
    return Timeline([chart for chart in charts if chart.x and chart.lines], _marks(gathered, at), _bands(gathered, at))


def _start_us(gathered: Gathered) -> int | None:
    starts = [phase["from_us"] for phase in gathered.parts("phases") if isinstance(phase.get("from_us"), int)]
    starts += [line["at_us"] for line in gathered.observations[:1]]
    return min(starts, default=None)


def _seconds_since(start_us: int) -> Callable[[int], float]:
    return lambda at_us: round((at_us - start_us) / 1e6, 2)


# What the ledgers tell --------------------------------------------------------------------------------------------------

_PER_BUCKET: Final = """
    WITH moments AS (
        SELECT 'offered' AS what, intended_us AS at_us, NULL::BIGINT AS took_us FROM attempts
        UNION ALL
        SELECT CASE outcome WHEN 'ok' THEN 'accepted' WHEN 'fail' THEN 'refused' ELSE 'unknown' END, reply_us, NULL
        FROM attempts WHERE reply_us IS NOT NULL
        UNION ALL
        SELECT 'completed', finished_us, NULL FROM runs WHERE finished_us IS NOT NULL
        UNION ALL
        SELECT 'accept', intended_us, reply_us - intended_us FROM attempts WHERE outcome = 'ok'
        UNION ALL
        SELECT 'end to end', a.intended_us, r.finished_us - a.intended_us
        FROM attempts a JOIN runs r ON r.endpoint = a.endpoint AND r.delivery = a.delivery
        WHERE a.outcome = 'ok' AND NOT coalesce(a.duplicate, false) AND r.finished_us IS NOT NULL)
    SELECT what, ((at_us - $1) // $2)::BIGINT AS bucket, count(*),
           quantile_disc(took_us, [0.5, 0.9, 0.99]), max(took_us)
    FROM moments WHERE at_us >= $1 GROUP BY what, bucket ORDER BY what, bucket
"""

_SPAN: Final = (
    "SELECT greatest((SELECT max(coalesce(reply_us, intended_us)) FROM attempts), (SELECT max(finished_us) FROM runs))"
)


def _ledger_charts(gathered: Gathered, start_us: int) -> list[Chart]:
    try:
        with load(gathered.folder, only={"attempt_lines", "outcome_lines", "run_lines"}) as facts:
            for name in ("attempts", "runs"):
                if name in facts.absent:
                    gathered.missing.setdefault(facts.absent[name].partition(" ")[0], "leaves charts without lines")
            end_us = facts.one(_SPAN)
            if end_us is None or end_us <= start_us:
                return []
            width_us = _width_us(end_us - start_us)
            rows = facts.rows(_PER_BUCKET, start_us, width_us)
    except (duckdb.Error, KeyError, TypeError, AttributeError) as error:
        gathered.missing["sent/"] = f"cannot be drawn: {str(error).partition(chr(10))[0]}"
        return []
    buckets = range(int((end_us - start_us) // width_us) + 1)
    x = [round((bucket + 0.5) * width_us / 1e6, 2) for bucket in buckets]
    found = {(what, bucket): (count, quantiles, most) for what, bucket, count, quantiles, most in rows}

    def rate(what: str) -> Line:
        # The last bucket is not a whole one: it would look like a fall.
        per_s = [found[what, bucket][0] * 1e6 / width_us if (what, bucket) in found else 0.0 for bucket in buckets]
        return Line(what, [*(round(value, 1) for value in per_s[:-1]), None])

    def latency(what: str) -> list[Line]:
        picked: list[tuple[str, Callable[[Any], int]]] = [
            ("p50", lambda row: row[1][0]),
            ("p90", lambda row: row[1][1]),
            ("p99", lambda row: row[1][2]),
            ("max", lambda row: row[2]),
        ]
        return [
            Line(
                label,
                [max(pick(found[what, bucket]), 1) / 1_000 if (what, bucket) in found else None for bucket in buckets],
            )
            for label, pick in picked
        ]

    rates = [rate(what) for what in ("offered", "accepted", "completed", "refused", "unknown")]
    seconds = f"{width_us / 1e6:g} s"
    sending = "sending" if gathered.part("plan").get("levels") else "the planned sending"
    return [
        Chart(
            "Throughput",
            "per second",
            x,
            [line for line in rates if line.label in ("offered", "accepted", "completed") or any(line.values)],
            f"Requests by {sending} and by reply, runs by the commit that finished them; over {seconds} each.",
        ),
        Chart(
            "Latency of accepting",
            "ms",
            x,
            latency("accept"),
            f"From {sending} to the reply, of acknowledged requests of the same {seconds}.",
            log=True,
        ),
        Chart(
            "Latency end to end",
            "ms",
            x,
            latency("end to end"),
            f"From {sending} to the commit that finished the run, of requests of the same {seconds}.",
            log=True,
        ),
    ]


def _width_us(span_us: int) -> int:
    return int(next((w for w in WIDTHS_S if span_us / (w * 1e6) <= POINTS_MAX / 3), WIDTHS_S[-1]) * 1_000_000)


# What was observed ------------------------------------------------------------------------------------------------------


def _observed_charts(lines: list[dict[str, Any]], at: Callable[[int], float]) -> list[Chart]:
    x = [at(line["at_us"]) for line in lines]
    charts = [
        Chart(
            "Backlog",
            "runs",
            x,
            _drop_empty(
                [
                    Line("accepted, not finished", [_live(line) for line in lines]),
                    Line("under a lease", [_number(line, "leased") for line in lines]),
                    Line("requests in flight", [_number(line, "in_flight") for line in lines]),
                ],
                keep=1,
            ),
            "Runs that are stored and not finished, and what the generator has under way.",
        ),
        Chart(
            "Processor time",
            "cores",
            x,
            [Line(ROLES.get(role, role), _rates(lines, "roles", role, "cpu_s")) for role in _roles(lines)],
            "All processes of a role together, with those that died.",
        ),
        Chart(
            "Memory",
            "MB",
            x,
            [
                Line(
                    ROLES.get(role, role), [_scaled(_number(line, "roles", role, "rss_bytes"), 1e-6) for line in lines]
                )
                for role in _roles(lines)
            ],
            "Resident memory; of Postgres, each process's share of what they share.",
        ),
        Chart(
            "Transactions",
            "per second",
            x,
            [Line("transactions", _rates(lines, "database", "transactions"))],
            "Commits and rollbacks in the database of the engine.",
        ),
        Chart(
            "Write-ahead log",
            "MB per second",
            x,
            [Line("WAL", [_scaled(value, 1e-6) for value in _rates(lines, "database", "wal_bytes")])],
            "What the server writes to make commits last.",
        ),
        Chart(
            "Dead tuples",
            "rows",
            x,
            _drop_empty(
                (
                    Line(name, [_number(line, "database", "tables", name, "dead_tuples") for line in lines])
                    for name in _tables(lines)
                ),
                keep=0,
            ),
            "Rows that are no longer visible and not yet vacuumed, as Postgres estimates them.",
        ),
        Chart(
            "What sessions wait for",
            "active sessions",
            x,
            [Line(wait, [_wait(line, wait) for line in lines]) for wait in _waits(lines)],
            "Active sessions at the moment of each look; CPU is none of these waits.",
        ),
    ]
    return [chart for chart in charts if any(value is not None for line in chart.lines for value in line.values)]


def _number(line: dict[str, Any], *path: str) -> float | None:
    value: Any = line
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)


def _live(line: dict[str, Any]) -> float | None:
    accepted, terminal = _number(line, "accepted"), _number(line, "terminal")
    return None if accepted is None or terminal is None else accepted - terminal


def _rates(lines: list[dict[str, Any]], *path: str) -> list[float | None]:
    """Growth per second of a counter; a gap where it was not read, or began again."""
    rates: list[float | None] = [None] * min(len(lines), 1)
    for before, after in pairwise(lines):
        first, last = _number(before, *path), _number(after, *path)
        seconds = (after["at_us"] - before["at_us"]) / 1e6
        grown = None if first is None or last is None or seconds <= 0 or last < first else (last - first) / seconds
        rates.append(None if grown is None else round(grown, 3))
    return rates


def _roles(lines: list[dict[str, Any]]) -> list[str]:
    seen = {role for line in lines if isinstance(line.get("roles"), dict) for role in line["roles"]}
    return [*(role for role in ROLES if role in seen), *sorted(seen - ROLES.keys())]


def _tables(lines: list[dict[str, Any]]) -> list[str]:
    tables = [_at(line, "database", "tables") for line in lines]
    return sorted({name for names in tables if isinstance(names, dict) for name in names})


def _waits(lines: list[dict[str, Any]]) -> list[str]:
    seen: Counter[str] = Counter()
    for line in lines:
        waits = _at(line, "database", "waits")
        if isinstance(waits, dict):
            seen.update({wait: count for wait, count in waits.items() if isinstance(count, int)})
    return [wait for wait, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:WAITS_MAX]]


def _wait(line: dict[str, Any], wait: str) -> float | None:
    """Waits nobody was in are not written down, so what is absent from a look that was made is zero."""
    if not isinstance(_at(line, "database", "waits"), dict):
        return None
    return _number(line, "database", "waits", wait) or 0


def _at(line: dict[str, Any], *path: str) -> Any:
    value: Any = line
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _drop_empty(lines: Iterable[Line], keep: int) -> list[Line]:
    """Without the lines that are zero all the time, but for the first few."""
    return [line for number, line in enumerate(lines) if number < keep or any(line.values)]


# What happened ----------------------------------------------------------------------------------------------------------


def _marks(gathered: Gathered, at: Callable[[int], float]) -> list[Mark]:
    marks = [
        Mark(at(line["at_us"]), "incident", f"{line.get('role', '?')} {line.get('what', '?')}")
        for line in gathered.incidents
    ]
    for before, after in pairwise(gathered.observations):
        first, last = _number(before, "database", "checkpoints"), _number(after, "database", "checkpoints")
        if first is not None and last is not None and last > first:
            marks.append(Mark(at(after["at_us"]), "checkpoint", "checkpoint"))
    return marks


def _bands(gathered: Gathered, at: Callable[[int], float]) -> list[Band]:
    bands = []
    for phase in gathered.parts("phases"):
        if isinstance(phase.get("from_us"), int) and isinstance(phase.get("to_us"), int):
            level, kind = phase.get("level"), str(phase.get("kind", "?"))
            # Beside a level there is no room for more than its number, and its edges tell the rest.
            label = kind if not isinstance(level, int) else f"{level:,} in flight" if kind == "steady" else ""
            bands.append(Band(at(phase["from_us"]), at(phase["to_us"]), label, kind == "steady"))
    for line in gathered.incidents:
        if isinstance(line.get("since_us"), int):
            label = str(line.get("what", "?")).partition(" is over")[0]
            bands.append(Band(at(line["since_us"]), at(line["at_us"]), label, False))
    return bands
