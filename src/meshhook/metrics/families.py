"""Every metric there is: its name, what it means, its labels, and who tells it. Nothing can be told that is not listed here.

The reference (docs/reference/metrics.md) is written from this list. Names and units follow Prometheus' conventions: base units,
``_total`` for what only grows. Labels have few values: where users make the names, those beyond a bound share ``other``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from meshhook.buckets import Buckets

Who = Literal["api", "worker", "both"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``by_project``: its labels name projects, so it is told to the operators alone."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    who: Who
    help: str
    labels: tuple[str, ...] = ()
    by_project: bool = False


_DOOR: Final = (
    Family("meshhook_accepted_total", "counter", "api", "Webhooks answered after they were stored."),
    Family(
        "meshhook_refused_total",
        "counter",
        "api",
        "Webhooks answered otherwise, by problem type and HTTP status.",
        ("problem", "status"),
    ),
    Family(
        "meshhook_accept_seconds", "histogram", "api", "From the arrival of a webhook to its answer, after the commit."
    ),
    Family(
        "meshhook_accept_commit_seconds",
        "histogram",
        "api",
        "One group commit of webhooks, as seen from here: with the way to the database and back.",
    ),
    Family("meshhook_accept_committed_total", "counter", "api", "Webhooks in group commits, new or not."),
    Family("meshhook_accept_waiting", "gauge", "api", "Webhooks that wait for their commit."),
    Family("meshhook_sync_waiting", "gauge", "api", "Callers that wait for what their run answers."),
    Family(
        "meshhook_door_slowed", "gauge", "api", "1 while the door lets in only a little less than workers complete."
    ),
    Family("meshhook_door_full", "gauge", "api", "1 while there are as many live runs as there may be."),
    Family("meshhook_backlog_runs_max", "gauge", "api", "So many live runs there may be (backlog_max)."),
    Family(
        "meshhook_api_requests_total",
        "counter",
        "api",
        "Requests to the REST API, by method and status. Live streams are not among them.",
        ("method", "status"),
    ),
    Family("meshhook_api_seconds", "histogram", "api", "From a request to the REST API to the end of its answer."),
)

_LIVE: Final = (
    Family("meshhook_watchers", "gauge", "api", "Live streams that are open."),
    Family("meshhook_watchers_lagged_total", "counter", "api", "Times a watcher was too slow for what happened."),
    Family("meshhook_feed_rows_total", "counter", "api", "Journal rows read for those who watch."),
)

_QUEUE: Final = (
    Family("meshhook_backlog_runs", "gauge", "api", "Live runs: accepted and not finished, by Postgres' statistics."),
    Family("meshhook_lag_seconds", "gauge", "api", "How long the run that waits longest for a worker has waited."),
    Family("meshhook_workers", "gauge", "api", "Workers that gave a sign of life lately."),
    Family("meshhook_database_up", "gauge", "api", "1 when the database answered last, else 0."),
    Family(
        "meshhook_queue_runs",
        "gauge",
        "api",
        "Live runs by state: ready (for a worker), in_lane (for a slot of their lane), leased, expired (the lease), sleeping "
        "(for a time), waiting (for somebody else).",
        ("project", "state"),
        by_project=True,
    ),
    Family(
        "meshhook_queue_oldest_seconds",
        "gauge",
        "api",
        "How long the oldest run has been in this state; ready, in_lane and expired only.",
        ("project", "state"),
        by_project=True,
    ),
    Family(
        "meshhook_lanes_waiting",
        "gauge",
        "api",
        "Lanes of workflows with limits in which somebody waits.",
        ("project",),
        by_project=True,
    ),
    Family(
        "meshhook_queue_looked_at_ratio", "gauge", "api", "Part of the queue that was counted; the rest is like it."
    ),
    Family("meshhook_dead_letters", "gauge", "api", "Failed runs nobody has dealt with; counted up to 10,000."),
    Family("meshhook_schedule_lag_seconds", "gauge", "api", "How long the schedule that waits longest has been due."),
    Family("meshhook_operations_working", "gauge", "api", "Operations on many runs that are not done yet."),
    Family("meshhook_days_ahead", "gauge", "api", "Whole days after today that runs can be stored in."),
    Family("meshhook_days_kept", "gauge", "api", "Days that retention would drop, and that live runs keep."),
    Family("meshhook_state_age_seconds", "gauge", "api", "How old the figures are that come out of the database."),
    Family("meshhook_state_read_seconds", "gauge", "api", "How long it took to read them."),
)

_DATABASE: Final = (
    Family("meshhook_database_connections", "gauge", "api", "Sessions of this database, by state.", ("state",)),
    Family("meshhook_database_connections_max", "gauge", "api", "Sessions the server allows."),
    Family(
        "meshhook_database_waits",
        "gauge",
        "api",
        "Sessions at work that wait for something just now, by Postgres' wait events.",
        ("type", "event"),
    ),
    Family("meshhook_database_transactions_total", "counter", "api", "Transactions of everybody.", ("outcome",)),
    Family("meshhook_database_blocks_total", "counter", "api", "Blocks asked for, by where they were.", ("source",)),
    Family("meshhook_database_wal_bytes_total", "counter", "api", "Write-ahead log written by the server."),
    Family("meshhook_database_temporary_bytes_total", "counter", "api", "Written to temporary files."),
    Family("meshhook_database_deadlocks_total", "counter", "api", "Deadlocks."),
    Family("meshhook_database_oldest_transaction_seconds", "gauge", "api", "Age of the transaction open for longest."),
    Family("meshhook_database_bytes", "gauge", "api", "Size of the database."),
    Family("meshhook_table_bytes", "gauge", "api", "Size of a table with indexes, all days together.", ("table",)),
    Family("meshhook_table_rows", "gauge", "api", "Live rows, by Postgres' statistics.", ("table",)),
    Family("meshhook_table_dead_rows", "gauge", "api", "Dead rows not removed yet, by the same.", ("table",)),
)

_RUNS: Final = (
    Family("meshhook_runs_started_total", "counter", "worker", "Runs begun.", ("project", "workflow")),
    Family("meshhook_runs_ended_total", "counter", "worker", "Runs ended.", ("project", "workflow", "status")),
    Family(
        "meshhook_run_seconds",
        "histogram",
        "worker",
        "From the acceptance of a run to the commit of its end.",
        ("project", "workflow"),
    ),
    Family("meshhook_run_start_delay_seconds", "histogram", "worker", "How long runs were due before they were begun."),
    Family(
        "meshhook_run_resume_delay_seconds",
        "histogram",
        "worker",
        "How long runs were due before they were taken up again: after a delay, for the next attempt, out of a lane.",
    ),
)

_WORKER: Final = (
    Family("meshhook_worker_turns_total", "counter", "worker", "Transactions in which runs were written to."),
    Family(
        "meshhook_worker_turn_seconds",
        "histogram",
        "worker",
        "The stages of a turn: claim, advance, commit.",
        ("stage",),
    ),
    Family("meshhook_worker_claimed_total", "counter", "worker", "Runs claimed."),
    Family("meshhook_worker_committed_total", "counter", "worker", "Writes to runs that were committed."),
    Family("meshhook_worker_steps_total", "counter", "worker", "Steps advanced."),
    Family("meshhook_worker_leases", "gauge", "worker", "Runs held under a lease."),
    Family(
        "meshhook_worker_taken_over_total", "counter", "worker", "Runs whose lease ran out, taken over from others."
    ),
    Family("meshhook_worker_refused_total", "counter", "worker", "Stale writes refused by fencing."),
    Family("meshhook_worker_rounds_failed_total", "counter", "worker", "Rounds broken off by an error, then repeated."),
    Family(
        "meshhook_worker_calls_total",
        "counter",
        "worker",
        "Outgoing calls that ended, by what came of them: 2xx to 5xx, or the type of the error.",
        ("outcome",),
    ),
    Family("meshhook_worker_calls_again_total", "counter", "worker", "Of these, further attempts."),
    Family("meshhook_worker_call_seconds", "histogram", "worker", "Outgoing calls, from begin to end."),
    Family("meshhook_worker_calls_in_flight", "gauge", "worker", "Outgoing calls under way."),
    Family("meshhook_worker_calls_max", "gauge", "worker", "So many may be (calls_max)."),
    Family(
        "meshhook_worker_calls_held_back_total",
        "counter",
        "worker",
        "Times a call had to wait for its host: too many at once, too many a second, asked to wait, circuit open.",
        ("reason",),
    ),
    Family("meshhook_worker_circuits_opened_total", "counter", "worker", "Times a failing host was left alone."),
    Family("meshhook_worker_circuits", "gauge", "worker", "Hosts whose circuit is not closed, by state.", ("state",)),
)

_PROCESS: Final = (
    Family("meshhook_build_info", "gauge", "both", "1; the version, and which process it is.", ("version", "role")),
    Family("meshhook_pool_connections", "gauge", "both", "Connections to the database, used or idle.", ("state",)),
    Family("meshhook_pool_connections_max", "gauge", "both", "So many there may be (database_connections)."),
    Family("meshhook_pool_wait_seconds", "histogram", "both", "How long a piece of work waited for a connection."),
    Family("meshhook_pool_lost_total", "counter", "both", "Connections that broke while they were used."),
)

SECTIONS: Final[dict[str, tuple[Family, ...]]] = {
    "The door and the API": _DOOR,
    "Live streams": _LIVE,
    "The queue": _QUEUE,
    "The database": _DATABASE,
    "Runs": _RUNS,
    "Workers": _WORKER,
    "Every process": _PROCESS,
}
FAMILIES: Final = {family.name: family for section in SECTIONS.values() for family in section}


def counter(name: str) -> CounterMetricFamily:
    """The counter of this name, to be filled."""
    family = _family(name, "counter")
    return CounterMetricFamily(name, family.help, labels=family.labels)


def gauge(name: str) -> GaugeMetricFamily:
    """The gauge of this name, to be filled."""
    family = _family(name, "gauge")
    return GaugeMetricFamily(name, family.help, labels=family.labels)


def histogram(name: str, of: dict[tuple[str, ...], Buckets] | Buckets) -> HistogramMetricFamily:
    """The histogram of this name: one, or one for the values of its labels."""
    family = _family(name, "histogram")
    filled = HistogramMetricFamily(name, family.help, labels=family.labels)
    for labels, buckets in ({(): of} if isinstance(of, Buckets) else dict(of)).items():
        filled.add_metric(labels, buckets.cumulative(), buckets.sum_s)
    return filled


def single(name: str, value: float) -> CounterMetricFamily | GaugeMetricFamily:
    """The metric of this name, without labels."""
    filled = counter(name) if FAMILIES[name].kind == "counter" else gauge(name)
    filled.add_metric((), value)
    return filled


def _family(name: str, kind: str) -> Family:
    family = FAMILIES[name]
    assert family.kind == kind, f"{name} is a {family.kind}"
    return family


def reference() -> str:
    """The tables of all metrics, in Markdown (docs/reference/metrics.md)."""
    lines: list[str] = []
    for section, families in SECTIONS.items():
        lines += [f"## {section}", "", "| metric | type | labels | of | meaning |", "|---|---|---|---|---|"]
        lines += [_row(family) for family in families]
        lines.append("")
    return "\n".join(lines)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "—"
    who = {"api": "`serve`", "worker": "`work`", "both": "both"}[family.who]
    return f"| `{family.name}` | {family.kind} | {labels} | {who} | {family.help} |"
