"""The history: every run that was recorded, in one DuckDB file, and the series its figures make.

Runs that can be compared make a series: the same profile, scenario and plan on the same machine. A run is in the history once,
however often it is added.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from meshproof.measure import metrics, rounds
from meshproof.measure.changes import Change, changes

OPEN_S_MAX: Final = 30.0
"""How long a file that another process has open is waited for: runs of one machine may end at the same time."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS runs (
    id          VARCHAR PRIMARY KEY,    -- SHA-256 of the document: the same run is there once
    started_us  BIGINT NOT NULL,        -- when it began, Unix time
    commit      VARCHAR,
    profile     VARCHAR NOT NULL,
    scenario    VARCHAR NOT NULL,
    machine     VARCHAR NOT NULL,
    plan        VARCHAR NOT NULL,       -- runs with the same one can be compared
    verdict     VARCHAR,
    valid       BOOLEAN,
    document    VARCHAR NOT NULL);      -- its summary.json or bench.json
CREATE TABLE IF NOT EXISTS figures (
    id          VARCHAR NOT NULL,
    metric      VARCHAR NOT NULL,
    value       DOUBLE NOT NULL,
    PRIMARY KEY (id, metric));
"""


class HistoryError(RuntimeError):
    """The file of the history can't be used; the message says why and what to do."""


@dataclass(frozen=True)
class Run:
    """One run of a series."""

    started_us: int
    commit: str | None
    verdict: str | None
    valid: bool | None
    figures: dict[str, float]


@dataclass(frozen=True)
class Series:
    """The runs that can be compared, oldest first."""

    profile: str
    scenario: str
    machine: str
    plan: str
    runs: list[Run]

    @property
    def name(self) -> str:
        """What it is called: the profile and the scenario."""
        return f"{self.profile}/{self.scenario}"

    def metrics(self) -> list[str]:
        """The figures it has, those that have a good direction first."""
        names = {name for run in self.runs for name in run.figures}
        return sorted(names, key=lambda name: (metrics.better(name) is metrics.Better.NEITHER, name))

    def line(self, metric: str) -> tuple[list[Run], list[float]]:
        """The runs that tell a figure, and what they tell; runs that were no fair test are left out."""
        telling = [run for run in self.runs if metric in run.figures and run.valid is not False]
        return telling, [run.figures[metric] for run in telling]

    def changes(self, metric: str) -> list[tuple[Run, Change]]:
        """Where a figure changed, and the first run after it."""
        telling, values = self.line(metric)
        return [(telling[change.index], change) for change in changes(values)]


class Store:
    """An open history."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def add(self, document: dict[str, Any]) -> bool:
        """Add a run by its `summary.json` or `bench.json`; False when it was there already."""
        data = msgspec.json.encode(document)
        id, about = sha256(data).hexdigest(), rounds.about(document)
        if self._connection.execute("SELECT 1 FROM runs WHERE id = $1", [id]).fetchone():
            return False
        self._connection.begin()
        self._connection.execute(
            "INSERT INTO runs VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                id, about.started_us, document.get("commit"), about.profile, about.scenario, about.machine, about.plan,
                document.get("verdict"), document.get("valid"), data.decode(),
            ],
        )  # fmt: skip
        figures = metrics.figures(document)
        if figures:
            self._connection.executemany(
                "INSERT INTO figures VALUES ($1, $2, $3)", [[id, *one] for one in figures.items()]
            )
        self._connection.commit()
        return True

    def series(self) -> list[Series]:
        """Every series, by name; of each the runs in the order they were made."""
        figures: dict[str, dict[str, float]] = {}
        for id, metric, value in self._connection.execute("SELECT id, metric, value FROM figures").fetchall():
            figures.setdefault(id, {})[metric] = value
        found: dict[tuple[str, str, str, str], list[Run]] = {}
        for id, started_us, commit, verdict, valid, profile, scenario, machine, plan in self._connection.execute(
            """SELECT id, started_us, commit, verdict, valid, profile, scenario, machine, plan FROM runs
               ORDER BY profile, scenario, machine, plan, started_us, id"""
        ).fetchall():
            found.setdefault((profile, scenario, machine, plan), []).append(
                Run(started_us, commit, verdict, valid, figures.get(id, {}))
            )
        return [
            Series(profile, scenario, machine, plan, runs) for (profile, scenario, machine, plan), runs in found.items()
        ]


@contextmanager
def opened(path: Path, *, create: bool = True) -> Iterator[Store]:
    """Open a history, and make it where there is none; raises HistoryError."""
    if not create and not path.exists():
        raise HistoryError(f"There is no history {path}. Record one: meshproof run … --history {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connected(path) as connection:
        try:
            connection.execute(SCHEMA)
            connection.execute("SELECT started_us, plan, document FROM runs LIMIT 0")
        except duckdb.Error as error:
            raise HistoryError(f"{path} is no history of runs: {_first_line(error)}") from None
        yield Store(connection)


def _connected(path: Path) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + OPEN_S_MAX
    while True:
        try:
            return duckdb.connect(path)
        except duckdb.Error as error:
            if not re.search("lock", str(error), re.IGNORECASE):
                raise HistoryError(f"{path} is no DuckDB file, or can't be opened: {_first_line(error)}") from None
            if time.monotonic() > deadline:
                raise HistoryError(f"{path} is in use by another process: {_first_line(error)}") from None
        time.sleep(0.1)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
