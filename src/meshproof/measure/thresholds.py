"""Thresholds: bounds of figures, in a TOML file, held against a summary.

    "lost" = "== 0"                             # every run

    [load]                                      # of this profile
    "end_to_end_ms.p99" = "<= 250"
    "completed_per_s" = [">= 200", "<= 400"]

    ["load/mixed"]                              # of this profile and scenario; * stands for any
    "cpu_ms_per_run" = "<= 5"

Every bound that applies has to be kept; none takes the place of another. A figure that the run does not tell is `unknown`,
never kept.
"""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from meshproof.judge.verdicts import Verdict
from meshproof.measure import metrics

OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
BOUND: Final = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*(-?[0-9][0-9_]*(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*", re.IGNORECASE)
STYLES: Final = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}
EVERY: Final = "*"
BENCH: Final = "bench"


class ThresholdError(ValueError):
    """The file of thresholds can't be used; the message says where, why, and what was perhaps meant."""


@dataclass(frozen=True)
class Threshold:
    """One bound of one figure."""

    where: str
    """`PROFILE`, `PROFILE/SCENARIO`, or `*` for every run."""
    metric: str
    op: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.bound:g}"

    def applies_to(self, profile: str, scenario: str) -> bool:
        """Whether it is a bound of such a run."""
        pattern = self.where if "/" in self.where else f"{self.where}/*"
        return fnmatchcase(f"{profile}/{scenario}", pattern)


@dataclass(frozen=True)
class Held:
    """A threshold, and what became of it."""

    threshold: Threshold
    value: float | None
    verdict: Verdict


def read(path: Path) -> list[Threshold]:
    """The thresholds of a file; raises ThresholdError."""
    try:
        found = parse(path.read_text(encoding="utf-8"))
        # A name that no run will ever tell is better found now than after half an hour.
        require_known(
            [one for one in found if one.where != BENCH and not metrics.may_be(one.metric)], metrics.expected()
        )
        return found
    except OSError as error:
        raise ThresholdError(f"{path} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise ThresholdError(f"{path}: {error}") from None


def parse(text: str) -> list[Threshold]:
    """The thresholds in a TOML document; raises ValueError."""
    found: list[Threshold] = []
    for key, value in tomllib.loads(text).items():
        if isinstance(value, dict):
            found += [one for metric, bounds in value.items() for one in _bounds(key, metric, bounds)]
        else:
            found += _bounds(EVERY, key, value)
    return found


def require_known(thresholds: Iterable[Threshold], names: Iterable[str]) -> None:
    """Raise ThresholdError for the first one whose figure is none of these."""
    known = set(names)
    for one in thresholds:
        if one.metric not in known:
            likely = metrics.close_to(one.metric, known)
            meant = f" Did you mean {' or '.join(likely)}?" if likely else ""
            raise ThresholdError(f"there is no figure {one.metric!r}.{meant}")


def of_run(thresholds: Iterable[Threshold], document: dict[str, Any]) -> list[Threshold]:
    """Those that apply to a run, by its `summary.json` or `bench.json`."""
    profile, scenario = (BENCH, EVERY) if "rows" in document else (document["profile"], document["scenario"])
    return [one for one in thresholds if one.applies_to(profile, scenario)]


def hold(thresholds: Iterable[Threshold], document: dict[str, Any]) -> list[Held]:
    """Hold those that apply against a `summary.json` or `bench.json`; raises ThresholdError for a figure that no such run has."""
    applying = of_run(thresholds, document)
    found = metrics.figures(document)
    empty = [] if "rows" in document else metrics.expected()
    require_known(applying, [*found, *empty])
    return [_hold(one, found.get(one.metric)) for one in applying]


def verdict(held: Iterable[Held]) -> Verdict:
    """That of all of them: a broken one outweighs one that could not be told."""
    verdicts = {one.verdict for one in held}
    return next((worst for worst in (Verdict.FAIL, Verdict.UNKNOWN) if worst in verdicts), Verdict.PASS)


def table(held: Iterable[Held]) -> Table:
    """What became of each, for people."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("threshold", "verdict", "measured", "of"):
        grid.add_column(column)
    for one in held:
        word = "broken" if one.verdict is Verdict.FAIL else "kept" if one.verdict is Verdict.PASS else "unknown"
        value = "the run does not tell" if one.value is None else metrics.shown(one.threshold.metric, one.value)
        where = "every run" if one.threshold.where == EVERY else one.threshold.where
        grid.add_row(Text(str(one.threshold)), Text(word, STYLES[one.verdict]), value, Text(where, "dim"))
    return grid


def _hold(one: Threshold, value: float | None) -> Held:
    if value is None:
        return Held(one, None, Verdict.UNKNOWN)
    return Held(one, value, Verdict.PASS if OPERATORS[one.op](value, one.bound) else Verdict.FAIL)


def _bounds(where: str, metric: str, value: Any) -> list[Threshold]:
    found = []
    for text in value if isinstance(value, list) else [value]:
        match = BOUND.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f'{metric} = {text!r} is no bound. Write one as "<= 250", with one of {" ".join(OPERATORS)}.'
            )
        found.append(Threshold(where, metric, match[1], float(match[2])))
    return found
