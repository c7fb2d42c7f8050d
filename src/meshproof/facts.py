"""The evidence of one run as tables: who sent what, what was stored, and what was seen on the way.

`load` reads an evidence folder (docs/concurrency/evidence.md) into a private DuckDB database and names the facts the judge
speaks of; they are described in facts.sql. Types are given, never guessed, and what is larger than memory goes to disk. A file
that is missing or cannot be read makes its table *absent*, with the reason: whoever needs it asks by `require` and gets
`Absent`, which the judge turns into "unknown".
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import msgspec

T = TypeVar("T")

LINE_MAX_BYTES: Final = 64 * 1024 * 1024
"""The longest line of a file: an event holds a whole payload, and quotes are doubled in CSV."""


ONE_THREAD_BYTES: Final = 4 * 1024 * 1024


class Absent(Exception):
    """A part of the evidence is not there or not readable; the message says which and why."""


@dataclass(frozen=True)
class Source:
    """One kind of file of the evidence folder, and the table it becomes."""

    table: str
    pattern: str
    columns: dict[str, str]
    kept: str = "*"
    """What of a line is kept, as SQL: all columns as they are, and what is made of them."""


# Only what a definition says how to judge is opened: a payload may be large, and the two that hold one have no such members.
_EVENT: Final = """
    * EXCLUDE (members), members[1] AS node, members[2] AS port, members[3] AS owner, members[4] AS error_type,
    epoch_us(TRY_CAST(members[5] AS TIMESTAMPTZ)) AS until_us, TRY_CAST(members[6] AS INTEGER) AS attempt,
    members[7] AS sent, epoch_us(TRY_CAST(members[8] AS TIMESTAMPTZ)) AS retry_us,
    TRY_CAST(members[9] AS INTEGER) AS error_status, TRY_CAST(members[10] AS INTEGER) AS count
    FROM (SELECT *, CASE WHEN type NOT IN ('run.accepted', 'delivery.added', 'run.completed')
                         THEN TRY(json_extract_string(event, ['$.node', '$.port', '$.owner', '$.error.type', '$.until',
                                                              '$.attempt', '$.sent', '$.retry_at', '$.error.status',
                                                              '$.count']))
                    END AS members FROM lines)"""


SOURCES: Final = (
    Source(
        "attempt_lines",
        "sent/*.attempts.ndjson",
        {
            "n": "BIGINT",
            "d": "VARCHAR",
            "k": "VARCHAR",
            "s": "VARCHAR",
            "i": "BIGINT",
            "intended_us": "BIGINT",
            "hash": "VARCHAR",
        },
    ),
    Source(
        "outcome_lines",
        "sent/*.outcomes.ndjson",
        {
            "n": "BIGINT",
            "d": "VARCHAR",
            "outcome": "VARCHAR",
            "status": "INTEGER",
            "problem": "VARCHAR",
            "run_id": "VARCHAR",
            "duplicate": "BOOLEAN",
            "error": "VARCHAR",
            "sent_us": "BIGINT",
            "reply_us": "BIGINT",
            "reply": "VARCHAR",
        },
    ),
    Source(
        "acts",
        "sent/acts.ndjson",
        {
            "name": "VARCHAR",
            "scenario": "VARCHAR",
            "began_us": "BIGINT",
            "ended_us": "BIGINT",
            "status": "INTEGER",
            "reply": "VARCHAR",
        },
    ),
    Source(
        "status_pages",
        "samples/status_pages.ndjson",
        {"at_us": "BIGINT", "run_id": "UUID", "status": "INTEGER", "reply": "VARCHAR"},
    ),
    Source(
        "run_lines",
        "stored/runs.csv",
        {
            "run_id": "UUID",
            "shard": "INTEGER",
            "workflow": "VARCHAR",
            "version": "INTEGER",
            "endpoint": "VARCHAR",
            "delivery_key": "VARCHAR",
            "status": "VARCHAR",
            "epoch": "INTEGER",
            "finished_us": "BIGINT",
        },
    ),
    Source(
        "events",
        "stored/events.csv",
        {
            "run_id": "UUID",
            "seq": "INTEGER",
            "row_seq": "INTEGER",
            "epoch": "INTEGER",
            "claimed_us": "BIGINT",
            "at_us": "BIGINT",
            "type": "VARCHAR",
            "event": "VARCHAR",
        },
        kept=_EVENT,
    ),
    Source(
        "tasks",
        "stored/tasks.csv",
        {"run_id": "UUID", "due_us": "BIGINT", "epoch": "INTEGER", "owner": "VARCHAR"},
    ),
    Source(
        "seen",
        "samples/seen.ndjson",
        {
            "at_us": "BIGINT",
            "run_id": "UUID",
            "status": "VARCHAR",
            "epoch": "INTEGER",
            "seq": "INTEGER",
            "digest": "VARCHAR",
        },
    ),
    Source(
        "counts",
        "samples/counts.ndjson",
        {
            "at_us": "BIGINT",
            "accepted": "BIGINT",
            "queued": "BIGINT",
            "leased": "BIGINT",
            "waiting": "BIGINT",
            "terminal": "BIGINT",
        },
    ),
    Source(
        "receipts",
        "effects/*.ndjson",
        {
            "at_us": "BIGINT",
            "key": "VARCHAR",
            "attempt": "INTEGER",
            "hash": "VARCHAR",
            "path": "VARCHAR",
            "connection": "BIGINT",
            "answer": "VARCHAR",
            "wait_ms": "INTEGER",
        },
    ),
    Source(
        "incidents",
        "incidents.ndjson",
        {"at_us": "BIGINT", "role": "VARCHAR", "pid": "BIGINT", "what": "VARCHAR", "since_us": "BIGINT"},
        # What happened in one moment began in it.
        kept="* REPLACE (coalesce(since_us, at_us) AS since_us)",
    ),
    Source(
        "faults",
        "faults.ndjson",
        {
            "number": "INTEGER",
            "kind": "VARCHAR",
            "target": "VARCHAR",
            "began_us": "BIGINT",
            "ended_us": "BIGINT",
            "hit": "BOOLEAN",
            "evidence": "VARCHAR",
            "figures": "MAP(VARCHAR, BIGINT)",
            "skipped": "VARCHAR",
            "failed": "VARCHAR",
        },
    ),
    Source(
        "roll_calls",
        "samples/workers.ndjson",
        {"at_us": "BIGINT", "worker": "VARCHAR", "alive": "BOOLEAN", "committed": "BIGINT", "refused": "BIGINT"},
    ),
    Source(
        "told",
        "samples/told.ndjson",
        {
            "w": "INTEGER",
            "run_id": "UUID",
            "seq": "INTEGER",
            "n": "BIGINT",
            "at_us": "BIGINT",
            "seen_us": "BIGINT",
            "live": "BOOLEAN",
            "marks": "VARCHAR[]",
        },
    ),
    Source(
        "subscribers",
        "samples/subscribers.ndjson",
        {
            "w": "INTEGER",
            "scenario": "VARCHAR",
            "kind": "VARCHAR",
            "ended": "VARCHAR[]",
            "quits": "BOOLEAN",
            "slow": "BOOLEAN",
            "connections": "INTEGER",
        },
    ),
    Source(
        "replies",
        "samples/replies.ndjson",
        {"at_us": "BIGINT", "asker": "VARCHAR", "path": "VARCHAR", "status": "INTEGER", "marks": "VARCHAR[]"},
    ),
)


@dataclass
class Facts:
    """What is known of one run. Tables and views are reached by `rows` and `one`; documents are plain data."""

    con: duckdb.DuckDBPyConnection
    scratch: Path
    """A folder for whatever does not fit into memory; it goes when the facts go."""
    plan: dict[str, Any]
    documents: dict[str, Any]
    absent: dict[str, str] = field(default_factory=dict)
    _once: dict[str, Exception | None] = field(default_factory=dict)

    def require(self, *names: str) -> None:
        """Raise `Absent` unless every table or document of these names could be read."""
        for name in names:
            if name in self.absent:
                raise Absent(self.absent[name])

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        return self.con.execute(sql, list(values)).fetchall()

    def one(self, sql: str, *values: object) -> Any:
        """The only value of a query that gives one row with one column."""
        row = self.con.execute(sql, list(values)).fetchone()
        assert row is not None
        return row[0]

    def once(self, derive: Callable[[Facts], None]) -> None:
        """Derive further facts, one time only. When that fails, everybody who needs them gets the same exception."""
        if derive.__name__ not in self._once:
            try:
                derive(self)
            except Exception as error:  # noqa: BLE001 - it is raised again, for whoever asks
                self._once[derive.__name__] = error
            else:
                self._once[derive.__name__] = None
        failure = self._once[derive.__name__]
        if failure is not None:
            raise failure


@contextmanager
def load(evidence: Path, memory_limit: str | None = None, only: Collection[str] | None = None) -> Iterator[Facts]:
    """The facts of an evidence folder, for as long as the block lasts.

    `only` names the sources to read (tables of `SOURCES`); the others are left empty, and are absent.
    `memory_limit` (such as "2GB") bounds the memory of the tables; the default is DuckDB's, most of the machine's.
    """
    scratch = Path(tempfile.mkdtemp(prefix="meshproof-judge-"))
    con = duckdb.connect(
        config={
            "temp_directory": str(scratch),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # For a few lines, threads cost more than they give.
            **({"threads": "1"} if _bytes(evidence) < ONE_THREAD_BYTES else {}),
            # Every result that is shown is ordered by its own ORDER BY.
            "preserve_insertion_order": "false",
            **({"memory_limit": memory_limit} if memory_limit else {}),
        }
    )
    con.execute("SET enable_progress_bar = false")
    try:
        facts = Facts(con, scratch, plan={}, documents={})
        _load_documents(facts, evidence)
        for source in SOURCES:
            _load_table(facts, evidence, source, wanted=only is None or source.table in only)
        _name_facts(facts)
        yield facts
    finally:
        con.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _bytes(evidence: Path) -> int:
    return sum(path.stat().st_size for source in SOURCES for path in evidence.glob(source.pattern))


def _load_documents(facts: Facts, evidence: Path) -> None:
    for name in ("plan", "generator", "versions", "analysis", "read"):
        path = evidence / ("stored/read.json" if name == "read" else f"{name}.json")
        try:
            facts.documents[name] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            facts.absent[name] = f"{path.relative_to(evidence)} is missing"
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            facts.absent[name] = f"{path.relative_to(evidence)} cannot be read: {error}"
    facts.plan = facts.documents.get("plan", {})


def _load_table(facts: Facts, evidence: Path, source: Source, *, wanted: bool) -> None:
    paths = sorted(str(path) for path in evidence.glob(source.pattern)) if wanted else []
    kept = source.kept if "FROM" in source.kept else f"{source.kept} FROM lines"
    empty = ", ".join(f"NULL::{type} AS {name}" for name, type in source.columns.items())
    facts.con.execute(f"CREATE TABLE {source.table} AS WITH lines AS (SELECT {empty} WHERE false) SELECT {kept}")
    if not paths:
        facts.absent[source.table] = f"{source.pattern} is missing" if wanted else f"{source.pattern} was not asked for"
        return
    if source.pattern.endswith(".ndjson") and not any(Path(path).stat().st_size for path in paths):
        return  # no lines: nobody has to look for them
    try:
        lines = f"SELECT {', '.join(source.columns)} FROM {_reader(source, paths)}"  # noqa: S608
        facts.con.execute(
            f"INSERT INTO {source.table} WITH lines AS ({lines}) SELECT {kept}",
            {"paths": paths, "line_max": LINE_MAX_BYTES},
        )
    except (duckdb.Error, OSError, UnicodeDecodeError) as error:
        facts.absent[source.table] = f"{source.pattern} cannot be read: {_first_line(error)}"


def _reader(source: Source, paths: list[str]) -> str:
    if source.pattern.endswith(".csv"):
        # Columns are told by their names in the header, and a column nobody asked for is read as text.
        with Path(paths[0]).open(encoding="utf-8") as file:
            names = file.readline().strip().split(",")
        types = _struct({name: source.columns.get(name, "VARCHAR") for name in names})
        return f"""read_csv($paths, columns = {types}, header = true, auto_detect = false, delim = ',', quote = '"',
                            escape = '"', nullstr = '', allow_quoted_nulls = false, max_line_size = $line_max,
                            buffer_size = $line_max)"""
    return f"""read_json($paths, columns = {_struct(source.columns)}, format = 'newline_delimited',
                         maximum_object_size = $line_max)"""


def _struct(types: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': '{type}'" for name, type in types.items()) + "}"


def _name_facts(facts: Facts) -> None:
    for derived, sources in DERIVED.items():
        for source in sources:
            if source in facts.absent:
                facts.absent.setdefault(derived, facts.absent[source])
    scenarios = facts.plan.get("scenarios", {})
    if not scenarios and "plan" not in facts.absent:
        facts.absent["plan"] = facts.absent["attempts"] = "plan.json names no scenarios"
    facts.con.execute("CREATE TABLE scenarios (scenario VARCHAR, endpoint VARCHAR, workflow VARCHAR)")
    for name, place in sorted(scenarios.items()):
        facts.con.execute("INSERT INTO scenarios VALUES (?, ?, ?)", [name, place["endpoint"], place["workflow"]])
    facts.con.execute(
        "CREATE TABLE reading AS SELECT $1::BIGINT AS read_us", [facts.documents.get("read", {}).get("at_us")]
    )
    facts.con.execute(files("meshproof").joinpath("facts.sql").read_text("utf-8"))


DERIVED: Final = {
    "attempts": ("plan", "attempt_lines", "outcome_lines"),
    "deliveries": ("plan", "attempt_lines", "outcome_lines"),
    "runs": ("run_lines",),
    "kept": ("run_lines",),
    "journals": ("events", "run_lines", "plan"),
    "claims": ("events",),
    "leases": ("events",),
    "calls": ("events", "run_lines", "plan"),
    "timers": ("events", "run_lines", "plan"),
    "effects": ("receipts",),
    "children": ("events",),
    "origins": ("events", "run_lines"),
}
"""The facts of facts.sql, and the sources they are made of."""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
