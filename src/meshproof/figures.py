"""Figures out of the evidence: rates, latencies and costs, over given phases.

Latencies are stages of one delivery, each from the clock that knows it:

    intended send ──────────────► reply                           accept_ms       the generator
                    accept row ─────────► first claim             queue_ms        the database
    intended send ─────────────────────────────► finished         end_to_end_ms   both, on one machine
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from meshproof import costs
from meshproof.ledger import read_lines
from meshproof.phases import Phase
from meshproof.stats import Histogram

LINE_MAX_BYTES = 64 * 1024 * 1024
ENGINE_ROLES = ("api", "worker", "postgres")

SENT = """
CREATE TABLE sent AS
SELECT a.d, a.k, a.s, a.intended_us, o.outcome, o.duplicate, o.reply_us
FROM read_json('{folder}/sent/*.attempts.ndjson', format = 'newline_delimited', ignore_errors = true,
               columns = {{n: 'BIGINT', d: 'VARCHAR', k: 'VARCHAR', s: 'VARCHAR', intended_us: 'BIGINT'}}) a
LEFT JOIN read_json('{folder}/sent/*.outcomes.ndjson', format = 'newline_delimited', ignore_errors = true,
               columns = {{n: 'BIGINT', outcome: 'VARCHAR', duplicate: 'BOOLEAN', reply_us: 'BIGINT'}}) o USING (n)
-- What was put in beside the load was not sent by anybody.
WHERE a.k <> 'prepared'
"""
STORED = """
CREATE TABLE stored AS
WITH events AS (
    SELECT run_id, min(at_us) FILTER (WHERE seq = 1) AS accepted_us, min(claimed_us) AS claimed_us
    FROM read_csv('{folder}/stored/events.csv', header = true, max_line_size = {line}, parallel = true,
                  columns = {{run_id: 'UUID', seq: 'INTEGER', row_seq: 'INTEGER', epoch: 'INTEGER',
                             claimed_us: 'BIGINT', at_us: 'BIGINT', type: 'VARCHAR', event: 'VARCHAR'}})
    GROUP BY run_id)
SELECT r.delivery_key, e.accepted_us, e.claimed_us, r.finished_us
FROM read_csv('{folder}/stored/runs.csv', header = true,
              columns = {{run_id: 'UUID', shard: 'INTEGER', workflow: 'VARCHAR', version: 'INTEGER',
                         endpoint: 'VARCHAR', delivery_key: 'VARCHAR', status: 'VARCHAR', epoch: 'INTEGER',
                         finished_us: 'BIGINT'}}) r
LEFT JOIN events e USING (run_id)
"""


class Stage(NamedTuple):
    """A part of the way of a delivery: what its length is in SQL, and of which deliveries."""

    table: str
    value: str
    when: str
    condition: str


STAGES = {
    "accept_ms": Stage("sent", "reply_us - intended_us", "intended_us", "outcome = 'ok'"),
    "queue_ms": Stage("stored", "claimed_us - accepted_us", "accepted_us", "claimed_us > 0"),
    "end_to_end_ms": Stage(
        "sent JOIN stored ON delivery_key = d",
        "finished_us - intended_us",
        "intended_us",
        # Of the attempts of one delivery, the one that made the run.
        "outcome = 'ok' AND NOT duplicate AND finished_us > 0",
    ),
}


@dataclass(frozen=True)
class Figures:
    """What was measured over some phases; None where the evidence does not say."""

    accepted_per_s: float | None
    completed_per_s: float | None
    accept_ms: dict[str, float] | None
    queue_ms: dict[str, float] | None
    end_to_end_ms: dict[str, float] | None
    cpu_ms_per_run: float | None
    wal_bytes_per_run: float | None
    transactions_per_run: float | None
    cost_per_run: dict[str, Any] | None = None
    """By role and by stage; see meshproof.costs."""


class Evidence:
    """The timings of one run, in a private DuckDB database."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        observe = folder / "samples" / "observe.ndjson"
        self.observations = list(read_lines(observe)) if observe.exists() else []

    def figures(self, phases: list[Phase]) -> Figures:
        """Everything over these phases together."""
        seconds = sum(phase.seconds for phase in phases)
        cost = self._cost(phases)
        return Figures(
            accepted_per_s=_rate(self._count("accepted_us", phases), seconds),
            completed_per_s=_rate(self._count("finished_us", phases), seconds),
            accept_ms=self._latency(STAGES["accept_ms"], phases).milliseconds(),
            queue_ms=self._latency(STAGES["queue_ms"], phases).milliseconds(),
            end_to_end_ms=self._latency(STAGES["end_to_end_ms"], phases).milliseconds(),
            cpu_ms_per_run=cost.get("cpu_ms"),
            wal_bytes_per_run=cost.get("wal_bytes"),
            transactions_per_run=cost.get("transactions"),
            cost_per_run=costs.per_run(cost),
        )

    def offered(self, phase: Phase) -> int:
        """How many runs there should have been of what was due in a phase: redeliveries and conflicts make none."""
        return int(self._one(f"SELECT count(*) FROM sent WHERE k = 'first' AND {_within('intended_us', [phase])}"))  # noqa: S608

    def histograms(self, phases: list[Phase]) -> dict[str, Any]:
        """The latencies of these phases together, encoded, for others to add to theirs."""
        return {name: self._latency(stage, phases).encode() for name, stage in STAGES.items()}

    def p99_over_time(self, stage: str, from_us: int, to_us: int, spans: int) -> list[tuple[int, float]]:
        """The p99 of a stage, of what was due in each of so many spans of time: its middle, and microseconds."""
        table, value, when, condition = STAGES[stage]
        width_us = max(1, (to_us - from_us) // spans)
        query = f"""
            SELECT ({when} - $1) // $3 AS span, quantile_cont({value}, 0.99) FROM {table}
            WHERE {condition} AND {when} >= $1 AND {when} < $2 GROUP BY span ORDER BY span"""  # noqa: S608 - our own names
        rows = self._connection.execute(query, [from_us, to_us, width_us]).fetchall()
        return [(from_us + round((span + 0.5) * width_us), float(p99)) for span, p99 in rows]

    def rss_bytes_max(self) -> dict[str, int]:
        """The most memory each role was seen with."""
        most: dict[str, int] = {}
        for line in self.observations:
            for role, usage in line["roles"].items():
                most[role] = max(most.get(role, 0), usage["rss_bytes"])
        return most

    def _count(self, column: str, phases: list[Phase]) -> int:
        return int(self._one(f"SELECT count(*) FROM stored WHERE {_within(column, phases)}"))  # noqa: S608 - our own names

    def _latency(self, stage: Stage, phases: list[Phase]) -> Histogram:
        within = _within(stage.when, phases)
        query = f"SELECT {stage.value} AS value FROM {stage.table} WHERE {stage.condition} AND {within}"  # noqa: S608 - our own names
        values = self._connection.execute(query).fetchnumpy()["value"]
        return Histogram.of(values.tolist())

    def _cost(self, phases: list[Phase]) -> dict[str, float]:
        """Cost per completed run, between the first and the last look within each phase."""
        spent: dict[str, float] = {}
        runs = 0
        for phase in phases:
            within = [line for line in self.observations if phase.from_us <= line["at_us"] <= phase.to_us]
            within = [line for line in within if "database" in line]
            if len(within) < 2:
                continue
            first, last = within[0], within[-1]
            runs += self._count("finished_us", [Phase("steady", first["at_us"], last["at_us"])])
            for name, amount in _spent(first, last).items():
                spent[name] = spent.get(name, 0.0) + amount
        return {name: amount / runs for name, amount in spent.items()} if runs else {}

    def _one(self, query: str) -> Any:
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def open_evidence(folder: Path) -> Iterator[Evidence | None]:
    """The timings of an evidence folder; None when a ledger is missing."""
    if not (folder / "stored" / "events.csv").exists() or not list(folder.glob("sent/*.outcomes.ndjson")):
        yield None
        return
    with duckdb.connect(":memory:") as connection:
        where = str(folder.absolute()).replace("'", "''")
        connection.execute(SENT.format(folder=where))
        connection.execute(STORED.format(folder=where, line=LINE_MAX_BYTES))
        yield Evidence(folder, connection)


def _spent(first: dict[str, Any], last: dict[str, Any]) -> dict[str, float]:
    spent: dict[str, float] = {}
    engine = [role for role in ENGINE_ROLES if role in first["roles"] and role in last["roles"]]
    if engine:
        spent["cpu_ms"] = 1_000 * sum(last["roles"][role]["cpu_s"] - first["roles"][role]["cpu_s"] for role in engine)
    before, after = first["database"], last["database"]
    spent["wal_bytes"] = after["wal_bytes"] - before["wal_bytes"]
    own = after["own_transactions"] - before["own_transactions"]
    spent["transactions"] = after["transactions"] - before["transactions"] - own
    return {**spent, **costs.spent(first, last)}


def _within(column: str, phases: list[Phase]) -> str:
    spans = [f"({column} BETWEEN {phase.from_us} AND {phase.to_us})" for phase in phases]
    return f"({' OR '.join(spans) or 'false'})"


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 else None
