"""`http_call`: calls to a sink that answers at once; how many steps a second, with one call a run and with five in a row?"""

from __future__ import annotations

from statistics import median
from typing import Any

from meshproof.bench.engine import CONNECTIONS, Bench, Span, light_job, publish, span

CALLS = {"call": 1, "calls": 5}
"""The scenarios, and how many calls a run of them makes."""


async def http_call(bench: Bench) -> dict[str, Any]:
    """Both in turn, as often as everything else is measured."""
    spans: dict[str, list[Span]] = {name: [] for name in CALLS}
    for name in CALLS:
        await publish(bench, name)
    for number in range(bench.scale.rounds):
        bench.display.step(f"Calls to a sink that answers at once, round {number + 1} of {bench.scale.rounds}")
        for name in CALLS:
            spans[name].append(await span(bench, light_job(bench, name)))
        rates = [f"{_rates(spans[name], steps)[-1]:,.0f}/s with {steps}" for name, steps in CALLS.items()]
        bench.display.note(f"{', '.join(rates)} a run")
    rows = {name: _row(spans[name], steps) for name, steps in CALLS.items()}
    return {
        "settings": {"connections": CONNECTIONS, "rounds": bench.scale.rounds},
        **rows["call"],
        "in_a_row": rows["calls"],
    }


def _row(spans: list[Span], steps: int) -> dict[str, Any]:
    rates = _rates(spans, steps)
    calls = steps * sum(one.accepted for one in spans)
    return {
        "calls_per_run": steps,
        "steps_per_s": median(rates),
        "steps_per_s_rounds": rates,
        **{f"{name}_per_step": sum(one.spent[name] for one in spans) / calls for name in spans[0].spent if calls},
    }


def _rates(spans: list[Span], steps: int) -> list[float]:
    """From the first webhook to the end of the last run: what is begun side by side is done side by side, and ends together."""
    return [steps * one.accepted / ((one.drained_us - one.report.from_us) / 1e6) for one in spans]
