"""Commands about load from elsewhere: a slice of a plan, another driver, and ledgers that are judged together."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from meshproof import evidence, namespace
from meshproof.agreement import AgreementError, agree, apart
from meshproof.command import (
    PASS,
    USAGE,
    VIOLATED,
    AsJson,
    Database,
    Out,
    Owned,
    Scenario,
    Seed,
    Target,
    Workers,
    checked,
    console,
    fail,
    finish,
    tell,
)
from meshproof.load.k6 import K6Error
from meshproof.load.slicing import Slice, parse
from meshproof.merge import MergeError
from meshproof.plan_file import PlanError
from meshproof.profiles import driven, joined, slices
from meshproof.profiles.session import conclude
from meshproof.profiles.settings import EMBEDDED, RunSettings

SliceOption = Annotated[
    str | None,
    typer.Option(
        "--slice",
        metavar="i/N",
        help="Send only this share of the plan, from 0/N on; `meshproof judge --sent` judges them together.",
    ),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="The same for every slice: mp and 8 to 16 hexadecimal digits.")
]
StartAt = Annotated[
    str | None, typer.Option(help="When every slice begins, such as 2026-11-23T18:00:00Z; else each as soon as it can.")
]


def slice_named(text: str | None, settings_embedded: bool, given: str | None) -> Slice:
    """The slice that was asked for."""
    try:
        chosen = parse(text) if text is not None else Slice()
    except ValueError as error:
        fail(USAGE, f"--slice {error}")
    if chosen.is_part and (settings_embedded or given is None):
        fail(
            USAGE,
            f"--slice needs --target, --database and --namespace, the same for every slice, such as {namespace.new()}.",
        )
    return chosen


def namespace_named(text: str | None) -> str:
    """The namespace that was asked for, or a new one."""
    if text is not None and not namespace.is_valid(text):
        fail(USAGE, f"--namespace {text} is none. They look like {namespace.new()}.")
    return text or namespace.new()


def moment_named(text: str | None) -> int:
    """A moment, in microseconds of Unix time; 0 when none was asked for."""
    if text is None:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(USAGE, f"--start-at {text} is no moment. Write it like 2026-11-23T18:00:00Z.")
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def finish_slice(settings: RunSettings) -> None:
    """Send a slice, and say what comes next. It proves nothing by itself."""
    sent = tell(lambda display, reaper: slices.run(settings, display, reaper), as_json=False)
    index, of = settings.slice
    console().print(
        f"Slice {index}/{of} has sent {sent:,} requests. When all have: meshproof judge FOLDER --database DSN"
        f" --sent {settings.out} --sent …",
        highlight=False,
        soft_wrap=True,
    )


def run_driven(
    command: Annotated[list[str], typer.Argument(help="What sends, behind --, such as: k6 run deploy/k6/meshhook.ts")],
    scenario: Scenario = "mixed",
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Requests a second, on average.")] = 50.0,
    duration: Annotated[float, typer.Option(min=1, help="Seconds of the plan, after the warm-up.")] = 20.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before it.")] = 2.0,
    seed: Seed = 1,
    target: Target = EMBEDDED,
    database: Database = None,
    owned: Owned = None,
    workers: Workers = 1,
    out: Out = Path("build/driven"),
    as_json: AsJson = False,
) -> None:
    """Let k6, Locust or another driver send a plan, and prove what became of it."""
    if shutil.which(command[0]) is None:
        fail(USAGE, f"There is no command {command[0]} here. Is it installed, and is its folder in PATH?")
    settings = checked(
        RunSettings(
            profile="load",
            scenario=scenario,
            seed=seed,
            out=out,
            target=target,
            database=database,
            api_key=os.environ.get("MESHPROOF_API_KEY"),
            owned=owned,
            workers=workers,
            rate=rate,
            duration_s=duration,
            warmup_s=warmup,
            calibrated=False,
        )
    )
    try:
        finish(lambda display, reaper: driven.run(settings, command, display, reaper), as_json=as_json)
    except PlanError as error:
        fail(USAGE, str(error))


def judge_again(
    folder: Annotated[Path, typer.Argument(help="Folder with the evidence of a run.", metavar="DIR")],
    sent: Annotated[
        list[Path] | None,
        typer.Option(
            help="What a sender of the plan left: the folder of a slice or of Locust's workers, or a file of k6."
            " May be given several times; DIR then gets them all."
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="With --sent: where the runs are stored; it is only read.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge saved evidence again, or what several senders have sent; write summary and report anew."""
    try:
        if sent:
            finish(lambda display, _: joined.run(folder, sent, database, display), as_json=as_json)
        evidence.require(folder)
    except (evidence.EvidenceError, MergeError, K6Error, PlanError) as error:
        fail(USAGE, str(error))
    finish(lambda display, _: conclude(folder, display), as_json=as_json)


def agree_on(
    first: Annotated[Path, typer.Argument(help="Folder with the evidence of one driver.", metavar="DIR")],
    second: Annotated[Path, typer.Argument(help="That of another, of the same plan.", metavar="DIR")],
    p50: Annotated[float, typer.Option(min=1, help="How many times the other a median may be.")] = 2.0,
    p99: Annotated[float, typer.Option(min=1, help="How many times the other a p99 may be.")] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was compared, and nothing else.")] = False,
) -> None:
    """Compare two drivers of one plan: the outcome of every attempt, and accept latencies within a bound."""
    try:
        found = agree(evidence.require(first), evidence.require(second))
    except (evidence.EvidenceError, AgreementError) as error:
        fail(USAGE, str(error))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        said = [
            f"{found.attempts:,} attempts, {len(found.different) or 'none'} with different outcomes",
            *found.different,
        ]
        for name, pair, bound in (("p50", found.p50_ms, p50), ("p99", found.p99_ms, p99)):
            said.append(f"{name} {pair[0]:.1f} and {pair[1]:.1f} ms: a factor of {apart(pair):.2f}, {bound:g} allowed")
        console().print("\n".join(said), highlight=False, soft_wrap=True)
    raise SystemExit(PASS if found.within(p50, p99) else VIOLATED)
