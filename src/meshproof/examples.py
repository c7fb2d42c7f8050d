"""What the help of each command ends with: lines to copy, and what its exit code says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer
from typer.models import CommandInfo

RUN: Final = "Exit codes: 0 pass, 1 violated, 2 wrong usage, 3 unknown or invalid. Only 0 proves anything."
DONE: Final = "Exit codes: 0 done, 2 wrong usage."
ON_A_TARGET: Final = "--target http://127.0.0.1:8080 --database postgresql://reader@127.0.0.1/meshhook"

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run load": (
        "run load --rate 300 --duration 35",
        "run load --scenario http_call --rate 100 --shape spike --seed 7",
        "run load --trace build/load/sent/0.attempts.ndjson --speed 2 --out build/replay",
        f"run load {ON_A_TARGET}",
        RUN,
    ),
    "run concurrency": ("run concurrency --levels 5,50,500,5000", RUN),
    "run faults": (
        "run faults --quick",
        "run faults --faults kill-worker,stop-postgres --duration 60 --seed 7",
        RUN,
    ),
    "run stress": ("run stress --quick", "run stress --start 1000 --factor 1.2 --step 30 --top 20000", RUN),
    "run soak": ("run soak --duration 4h --rate 300 --scenario http_call", RUN),
    "run scale": ("run scale --quick", "run scale --of apis --sizes 1,2,3,4", RUN),
    "run smoke": ("run smoke --junit build/smoke.xml", RUN),
    "run all": ("run all --quick", RUN),
    "run driven": (
        "run driven --rate 100 --duration 30 -- k6 run deploy/k6/meshhook.ts",
        "run driven --rate 100 -- locust -f deploy/locust/locustfile.py --headless --processes 2",
        RUN,
    ),
    "judge": (
        "judge build/load",
        "judge build/together --sent slice-0 --sent slice-1 --database postgresql://reader@127.0.0.1/meshhook",
        "judge build/driven --sent k6.json --database postgresql://reader@127.0.0.1/meshhook",
        RUN,
    ),
    "agree": (
        "agree build/native build/locust --p99 3",
        "Exit codes: 0 the same outcomes and within the bounds, 1 not so, 2 wrong usage.",
    ),
    "bench": (
        "bench --quick",
        "bench --rows pipeline,timers --thresholds thresholds.toml",
        "Exit codes: 0 measured, and every bound kept; 1 runs were lost or a bound is broken; 2 wrong usage; 3 unknown.",
    ),
    "mutants": (
        "mutants --list",
        "mutants --only ignore-dedupe --only acknowledge-before-commit",
        "Exit codes: 0 all were caught and the engine passed as it is, 1 not so, 2 wrong usage, 3 unknown.",
    ),
    "explore": (
        "explore --schedules 10000 --seed 1",
        "explore --schedules 1 --seed 4711 --json",
        "Exit codes: 0 no schedule violates an invariant, 1 one does, 2 wrong usage, 3 unknown.",
    ),
    "clean": (
        "clean --target http://127.0.0.1:8080",
        "clean --target http://127.0.0.1:8080 --database postgresql://owner@127.0.0.1/meshhook --yes",
        "Exit codes: 0 done, 2 wrong usage, 3 it could not be done.",
    ),
    "compare": (
        "compare baselines/simple.json build/baseline",
        "compare --run '../old/.venv/bin/meshproof run load --duration 20' '.venv/bin/meshproof run load --duration 20'",
    ),
    "baseline save": ("baseline save baselines/simple.json build/baseline", DONE),
    "history add": ("history add build/load build/soak", DONE),
    "history list": ("history list --file build/history.duckdb", DONE),
    "history show": ("history show --series load/mixed --page build/history.html", DONE),
    "scenarios": ("scenarios", "scenarios --json", DONE),
    "offers": ("offers", DONE),
}
"""By command. What begins with a capital letter is a sentence, everything else a command line without `meshproof`."""


def add_examples(app: typer.Typer) -> None:
    """End the help of every command that is registered by now with its examples."""
    for path, command in commands(app):
        lines = (line if line[0].isupper() else f"$ meshproof {line}" for line in EXAMPLES.get(path, ()))
        command.epilog = "\n\n".join(lines)


def commands(app: typer.Typer, before: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Every command of an app, with the words that lead to it."""
    for command in app.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__), command
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{before}{group.name} ")
