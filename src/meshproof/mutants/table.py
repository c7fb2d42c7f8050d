"""What came of a hunt on a terminal: mutant → invariant → counterexample; and the list of all mutants, for terminal and page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshproof.mutants.hunt import Hunted, all_clean
from meshproof.mutants.mutant import Mutant
from meshproof.mutants.trials import TRIALS, Trial

WHY_MAX = 110


def show(console: Console, hunted: Sequence[Hunted]) -> None:
    """Print who was caught by what, what the engine as it is has passed, and the sum of it."""
    mutants = [one for one in hunted if one.mutant is not None]
    console.print(_table(mutants))
    console.print()
    for one in hunted:
        if one.mutant is None and not one.is_clean:
            console.print(Text("NOT CLEAN ", "bold red") + Text(f"{one.trial}: {shortcoming(one)} ({one.folder})"))
    caught = sum(one.catch is not None for one in mutants)
    trials = len(hunted) - len(mutants)
    clean = "passes" if all_clean(hunted) else "does NOT pass"
    passed = caught == len(mutants) and all_clean(hunted)
    label = Text(" pass ", "bold green reverse") if passed else Text(" FAIL ", "bold red reverse")
    console.print(
        label
        + Text(f" {caught} of {len(mutants)} mutants are caught; the engine as it is {clean} the same {trials} runs.")
    )
    if mutants:
        console.print(f"Whole stories: meshproof judge {mutants[0].folder}", highlight=False, soft_wrap=True)


def _table(mutants: Iterable[Hunted]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("mutant", "caught by", "counterexample"):
        table.add_column(column)
    for one in mutants:
        assert one.mutant is not None
        if one.catch is None:
            table.add_row(one.mutant.name, Text("NOT CAUGHT", "bold red"), shortcoming(one))
        else:
            table.add_row(one.mutant.name, one.catch.name, cut(one.catch.why or one.catch.sentence))
    return table


def line(one: Hunted) -> Text:
    """What came of one run, on one line."""
    if one.mutant is None:
        good, name, what = one.is_clean, f"the engine as it is, {one.trial}", shortcoming(one)
    else:
        good, name = one.catch is not None, one.mutant.name
        what = one.catch.name if one.catch else f"NOT CAUGHT: {shortcoming(one)}"
    return Text("✓ " if good else "✗ ", "bold green" if good else "bold red") + Text(f"{name}  ") + Text(what, "dim")


def shortcoming(one: Hunted) -> str:
    """Why a run is not what it should be: what else was found in it, or that it has no end; empty when nothing was."""
    if one.outcome.error:
        return one.outcome.error
    return ", ".join(f"{finding.name} {finding.verdict}" for finding in one.asked)


def cut(text: str) -> str:
    """At most as much of a text as a line holds."""
    return text if len(text) <= WHY_MAX else f"{text[:WHY_MAX]}…"


def listed(mutants: Iterable[Mutant]) -> Table:
    """Every mutant, what is wrong with it, and where it shows."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("mutant", "what is wrong", "trial", "to be caught by"):
        table.add_column(column)
    for mutant in mutants:
        table.add_row(mutant.name, mutant.bug, mutant.trial, " or ".join(mutant.caught_by))
    return table


def page(mutants: Iterable[Mutant]) -> str:
    """The generated part of docs/concurrency/mutants.md."""
    chosen = list(mutants)
    return "\n".join(
        [*_mutants(chosen), "", *_trials(TRIALS[name] for name in dict.fromkeys(m.trial for m in chosen)), ""]
    )


def _mutants(mutants: Iterable[Mutant]) -> Iterator[str]:
    yield "| mutant | what is wrong with the engine | planted in | trial | caught by |"
    yield "|---|---|---|---|---|"
    for mutant in mutants:
        files = ", ".join(f"`{name}`" for name in dict.fromkeys(patch.file for patch in mutant.patches))
        by = " or ".join(f"`{name}`" for name in mutant.caught_by)
        yield f"| `{mutant.name}` | {mutant.bug} | {files} | `{mutant.trial}` | {by} |"


def _trials(trials: Iterable[Trial]) -> Iterator[str]:
    yield "| trial | what it is | load | workers | fault |"
    yield "|---|---|---|---|---|"
    for trial in trials:
        load = f"`{trial.scenario}`, {trial.rate:g}/s for {trial.seconds:g} s"
        yield f"| `{trial.name}` | {trial.why} | {load} | {trial.workers} | {trial.fault.what if trial.fault else ''} |"
