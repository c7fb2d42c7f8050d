"""Every metric of the suite. All of them carry the labels of the run they belong to; docs/concurrency/metrics.md lists them."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

RUN: Final = ("run", "profile", "scenario")
"""The namespace of the run, its profile, and what it sends."""


class Family(NamedTuple):
    """One metric. `labels` come beside those of the run."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_ALL: Final = (
    Family("meshproof_run_info", "gauge", "1; what the run was started with.", ("seed", "target")),
    Family("meshproof_run_start_timestamp_seconds", "gauge", "When its load began; Unix time."),
    Family("meshproof_phase", "gauge", "1 for what it does now: warm-up, steady, drain and so on.", ("phase",)),
    Family("meshproof_sent_total", "counter", "Requests sent."),
    Family(
        "meshproof_outcomes_total",
        "counter",
        "What came of them: ok (acknowledged), fail (refused), unknown (no answer, or one that says nothing).",
        ("outcome",),
    ),
    Family("meshproof_in_flight", "gauge", "Requests without an answer yet; in the closed model, runs in flight."),
    Family("meshproof_accept_seconds", "histogram", "From the planned time of a request to its acknowledgement."),
    Family(
        "meshproof_schedule_lag_seconds", "histogram", "How late requests were handed over; the generator's own fault."
    ),
    Family("meshproof_runs_accepted", "gauge", "Runs the database holds."),
    Family("meshproof_runs_finished", "gauge", "Runs of these that have ended."),
    Family(
        "meshproof_runs_missing",
        "gauge",
        "Runs acknowledged before a later snapshot that it does not hold: anything but 0 is a loss.",
    ),
    Family("meshproof_faults_total", "counter", "Faults begun.", ("kind",)),
    Family("meshproof_fault_active", "gauge", "Faults under way.", ("kind",)),
    Family("meshproof_incidents_total", "counter", "What happened to processes, by their role.", ("role",)),
    Family("meshproof_role_cpu_seconds_total", "counter", "Processor time of the processes of a role.", ("role",)),
    Family("meshproof_role_memory_bytes", "gauge", "Memory of the processes of a role.", ("role",)),
    Family("meshproof_role_processes", "gauge", "Processes of a role.", ("role",)),
    Family("meshproof_invariants", "gauge", "Invariants by verdict, once they are judged.", ("verdict",)),
)
FAMILIES: Final = {family.name: family for family in _ALL}

Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def family(name: str) -> Metric:
    """The metric of this name, to be filled."""
    known = FAMILIES[name]
    labels = (*RUN, *known.labels)
    match known.kind:
        case "counter":
            return CounterMetricFamily(name, known.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(name, known.help, labels=labels)
        case _:
            return HistogramMetricFamily(name, known.help, labels=labels)


def reference() -> str:
    """The table of all of them, in Markdown."""
    lines = ["| metric | type | further labels | meaning |", "|---|---|---|---|"]
    for known in _ALL:
        labels = ", ".join(f"`{label}`" for label in known.labels) or "—"
        lines.append(f"| `{known.name}` | {known.kind} | {labels} | {known.help} |")
    return "\n".join(lines) + "\n"
