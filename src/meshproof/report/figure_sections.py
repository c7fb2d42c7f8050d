"""The sections about the figures and the making of the run: latencies, cost, levels, plan, versions, command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from meshproof.report.gather import Gathered
from meshproof.report.markup import Child, Markup, el, table

PERCENTILES: Final = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "max": "max"}
STAGES: Final = {
    "accept_ms": ("accept", "{sending} → reply"),
    "queue_ms": ("queue", "accepted → first claim"),
    "end_to_end_ms": ("end to end", "{sending} → finished"),
}
UNKNOWN: Final = "–"


def heading(gathered: Gathered) -> Markup:
    """What was run, and when."""
    plan, summary = gathered.part("plan"), gathered.part("summary")
    title = f"{plan.get('profile', 'run')} · {plan.get('scenario', 'unknown scenario')}"
    facts = [
        _load(plan),
        f"seed {plan['seed']}" if "seed" in plan else None,
        f"commit {str(summary['commit'])[:12]}" if summary.get("commit") else None,
        _when(gathered),
    ]
    return el("header", el("h1", title), el("p", " · ".join(fact for fact in facts if fact), class_="about"))


def _load(plan: dict[str, Any]) -> str | None:
    levels = [level.get("in_flight") for level in plan.get("levels") or [] if isinstance(level, dict)]
    if levels:
        return "exactly " + ", ".join(f"{level:,}" for level in levels if isinstance(level, int)) + " in flight"
    rate, duration = plan.get("rate"), plan.get("duration_s")
    if isinstance(rate, int | float) and isinstance(duration, int | float):
        return f"{rate:,.0f}/s planned for {duration + (plan.get('warmup_s') or 0):,.0f} s"
    return None


def _when(gathered: Gathered) -> str | None:
    starts = [phase["from_us"] for phase in gathered.parts("phases") if isinstance(phase.get("from_us"), int)]
    starts += [line["at_us"] for line in gathered.observations[:1]]
    if not starts:
        return None
    return datetime.fromtimestamp(min(starts) // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def figures(gathered: Gathered) -> Markup | None:
    """Rates, latencies and cost of the steady phase."""
    summary = gathered.part("summary")
    if not summary:
        return None
    tiles = [
        _tile("accepted a second", summary.get("accepted_per_s"), "{:,.0f}"),
        _tile("completed a second", summary.get("completed_per_s"), "{:,.0f}"),
        _tile("of the floor", summary.get("floor_ratio"), "{:.1%}"),
        _tile("ms of processor a run", summary.get("cpu_ms_per_run"), "{:.2f}"),
        _tile("bytes of WAL a run", summary.get("wal_bytes_per_run"), "{:,.0f}"),
        _tile("transactions a run", summary.get("transactions_per_run"), "{:.3f}"),
    ]
    # The closed model has no schedule, so nothing is planned to be sent at a time.
    sending = "sending" if gathered.part("plan").get("levels") else "planned sending"
    memory = summary.get("rss_bytes_max")
    return el(
        "section",
        el("h2", "Figures of the steady phase"),
        el("div", tiles, class_="tiles"),
        table(
            ("latency, ms", *PERCENTILES.values()),
            (_stage(summary, key, label, span.format(sending=sending)) for key, (label, span) in STAGES.items()),
        ),
        _costs(summary.get("cost_per_run")),
        _flames(gathered),
        _levels(gathered),
        el("p", "Most memory: ", _listed(memory, _megabytes), class_="note") if isinstance(memory, dict) else None,
        el(
            "p",
            "Percentiles come from one histogram of all values of the steady phase, never from other percentiles. "
            "The floor is what the same server takes of the same rows from batches made by hand.",
            class_="note",
        ),
    )


def _flames(gathered: Gathered) -> Markup | None:
    """The flame graphs beside the report."""
    found = sorted(path.name for path in (gathered.folder / "flames").glob("*.*"))
    links = [[el("a", name, href=f"flames/{name}"), " "] for name in found]
    return el("p", "Flame graphs: ", links) if links else None


def _costs(cost: Any) -> list[Markup] | None:
    """What a run costs, by stage; nothing where Postgres has not counted."""
    if not isinstance(cost, dict) or not isinstance(cost.get("stages"), dict):
        return None
    rows = [(name, stage) for name, stage in cost["stages"].items() if any(stage.values())]
    in_all = {name: sum(stage[name] for _, stage in rows) for name in ("cpu_ms", "database_ms", "round_trips")}
    cells = [
        [name, f"{stage['cpu_ms']:.3f}", f"{stage['database_ms']:.3f}", f"{stage['round_trips']:.3f}"]
        for name, stage in (*rows, ("in all", in_all))
    ]
    roles = ", ".join(f"{role} {spent:.3f} ms" for role, spent in cost["cpu_ms"].items())
    return [
        table(("cost of a run", "processor, ms", "in the database, ms", "round trips"), cells),
        el("p", f"Processor time by role: {roles}.", class_="note"),
    ]


def _tile(label: str, value: Any, shape: str) -> Markup:
    number = shape.format(value) if isinstance(value, int | float) else UNKNOWN
    return el("div", el("span", number, class_="number"), el("span", label), class_="tile")


def _stage(summary: dict[str, Any], key: str, label: str, span: str) -> Iterable[Child]:
    values = summary.get(key)
    known = values if isinstance(values, dict) else {}
    return [[label, el("small", " ", span)], *(_milliseconds(known.get(name)) for name in PERCENTILES)]


def _milliseconds(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, int | float) else UNKNOWN


def _megabytes(value: Any) -> str:
    return f"{value / 1e6:,.0f} MB" if isinstance(value, int | float) else UNKNOWN


def _levels(gathered: Gathered) -> Markup | None:
    levels = gathered.parts("levels")
    if not levels:
        return None

    def percentile(level: dict[str, Any], key: str, name: str) -> str:
        values = level.get(key)
        return _milliseconds(values.get(name)) if isinstance(values, dict) else UNKNOWN

    def rate(level: dict[str, Any], key: str) -> str:
        value = level.get(key)
        return f"{value:,.0f}" if isinstance(value, int | float) else UNKNOWN

    return table(
        ("in flight", "accepted/s", "completed/s", "accept p50", "accept p99", "end to end p50", "end to end p99"),
        (
            [
                level.get("in_flight"),
                rate(level, "accepted_per_s"),
                rate(level, "completed_per_s"),
                percentile(level, "accept_ms", "p50"),
                percentile(level, "accept_ms", "p99"),
                percentile(level, "end_to_end_ms", "p50"),
                percentile(level, "end_to_end_ms", "p99"),
            ]
            for level in levels
        ),
    )


def incidents(gathered: Gathered) -> Markup | None:
    """What died and was started again during the run."""
    if not gathered.incidents:
        return None
    start = min([line["at_us"] for line in gathered.observations[:1]] or [gathered.incidents[0]["at_us"]])
    return el(
        "section",
        el("h2", "Incidents"),
        table(
            ("at", "role", "process", "what"),
            (
                [f"{(line['at_us'] - start) / 1e6:,.1f} s", line.get("role"), line.get("pid"), line.get("what")]
                for line in gathered.incidents
            ),
        ),
    )


def faults(gathered: Gathered) -> Markup | None:
    """What was done to the engine on purpose, and what it hit."""
    if not gathered.faults:
        return None
    start = min((line["at_us"] for line in gathered.observations[:1]), default=None)

    def moment(value: Any) -> str:
        return f"{(value - start) / 1e6:,.1f} s" if isinstance(value, int) and start is not None else UNKNOWN

    def became(line: dict[str, Any]) -> str:
        if line.get("skipped"):
            return f"skipped: {line['skipped']}"
        return f"not made: {line['failed']}" if line.get("failed") else str(line.get("evidence", UNKNOWN))

    return el(
        "section",
        el("h2", "Faults"),
        table(
            ("fault", "of what", "from", "until", "hit", "evidence"),
            (
                [
                    str(line.get("kind", UNKNOWN)),
                    str(line.get("target") or UNKNOWN),
                    moment(line.get("began_us")),
                    moment(line.get("ended_us")),
                    "yes" if line.get("hit") is True else "no",
                    became(line),
                ]
                for line in gathered.faults
            ),
        ),
    )


def repeat(gathered: Gathered) -> Markup:
    """The exact command that repeats the run, and the one that judges it again."""
    command = gathered.part("plan").get("command")
    return el(
        "section",
        el("h2", "Repeat it"),
        el("p", "The same plan again, byte for byte:"),
        el("pre", el("code", command)) if command else el("p", "plan.json names no command.", class_="note"),
        el("p", "Judge and report this evidence again:"),
        el("pre", el("code", f"meshproof judge {gathered.folder.name}")),
    )


def making(gathered: Gathered) -> Markup:
    """Plan, bounds, settings, the generator's certificate, versions and machine."""
    plan, versions = gathered.part("plan"), gathered.part("versions")
    floor = gathered.part("floor")
    certificate = {name: value for name, value in gathered.part("generator").items() if name != "levels"}
    rest = {
        name: value
        for name, value in plan.items()
        if name not in ("scenarios", "command", "settings", "bounds", "levels", "course", "stress")
    }
    return el(
        "section",
        el("h2", "How it was made"),
        el(
            "div",
            _block("Plan", rest),
            _block("Bounds, in seconds", plan.get("bounds")),
            _block("Settings", plan.get("settings")),
            _block("Generator", certificate),
            _block("Floor", floor),
            [_block(str(name).replace("_", " ").capitalize(), value) for name, value in versions.items()],
            class_="blocks",
        ),
    )


def _block(title: str, value: Any) -> Markup | None:
    if value in (None, {}, []):
        return None
    if not isinstance(value, dict):
        return el("div", el("h3", title), el("p", el("code", _plain(value))), class_="block")
    return el(
        "div",
        el("h3", title),
        el(
            "dl",
            [(el("dt", str(name).replace("_", " ")), el("dd", _value(each))) for name, each in value.items()],
            class_="pairs",
        ),
        class_="block",
    )


def _value(value: Any) -> Child:
    if isinstance(value, dict):
        return _listed(value, _plain)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return [el("div", _listed(each, _plain)) for each in value]
    return el("code", _plain(value))


def _listed(values: dict[str, Any], shown: Callable[[Any], str]) -> Markup:
    return el(
        "span",
        [
            el("span", str(name).replace("_", " "), " ", el("code", shown(value)), class_="pair")
            for name, value in values.items()
        ],
    )


def _plain(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def missing(gathered: Gathered) -> Markup | None:
    """What could not be read, so that nobody takes a gap for a zero."""
    if not gathered.missing:
        return None
    return el(
        "section",
        el("h2", "Not in this report"),
        el("ul", [el("li", el("code", name), " ", why) for name, why in sorted(gathered.missing.items())]),
        class_="missing",
    )
