"""The dashboard of test runs: what `meshproof` sends, what comes of it, what the engine does meanwhile, and what was done to it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort
from panels import PROMETHEUS, heat, lines, marks, number, quantile, quantiles, rate

RUN = 'run=~"$run"'


def build() -> Dashboard:
    """The dashboard, before it is written."""
    runs = QueryVariable("run").label("Run").datasource(PROMETHEUS).query("label_values(meshproof_run_info, run)")
    runs.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_DESC)
    made = (
        Dashboard("Test runs of MeshHook")
        .uid("meshproof")
        .description("For watching: the verdict of a run is in its report, and comes from the ledgers alone.")
        .tags(["meshhook", "meshproof"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .readonly()
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(runs.multi(True).include_all(True))
        .annotation(marks("Run begins", "green", f"time() - meshproof_run_start_timestamp_seconds{{{RUN}}} < 5"))
        .annotation(marks("Fault", "red", f"meshproof_fault_active{{{RUN}}} > 0"))
        .annotation(marks("Verdict", "blue", f"meshproof_invariants{{{RUN}}} > 0"))
    )
    for title, panels in (
        ("Load, from outside", [*_now(), *_load()]),
        ("The engine, from inside", _engine()),
        ("Resources", _resources()),
    ):
        made.with_row(Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made


def _now() -> list:
    live = f"sum(meshproof_runs_accepted{{{RUN}}}) - sum(meshproof_runs_finished{{{RUN}}})"
    late = quantile(0.99, f"meshproof_schedule_lag_seconds_bucket{{{RUN}}}")
    ok = rate(f'meshproof_outcomes_total{{{RUN},outcome="ok"}}')
    faults = f"sum(meshproof_fault_active{{{RUN}}}) or vector(0)"
    incidents = f"sum(meshproof_incidents_total{{{RUN}}}) or vector(0)"
    missing = f"sum(meshproof_runs_missing{{{RUN}}})"
    return [
        number("Sent", rate(f"meshproof_sent_total{{{RUN}}}"), unit="reqps", says="By the generator."),
        number("Acknowledged", ok, unit="reqps", says="Answered 202, after the commit."),
        number("In flight", f"sum(meshproof_in_flight{{{RUN}}})", says="Without an answer yet."),
        number("Missing", missing, good=(1, 1), says="Acknowledged, and not in a later snapshot: a loss, if not 0."),
        number("Live runs", live, says="As the database holds them."),
        number("Faults under way", faults, good=(1, 10), says="Red marks in the pictures show when."),
        number("Generator late", late, unit="s", good=(0.005, 0.05), says="p99. Above 5 ms the run is no witness."),
        number("Incidents", incidents, says="What happened to processes, and what was done to them."),
    ]


def _load() -> list:
    return [
        lines(
            "What came of it",
            (rate(f"meshproof_sent_total{{{RUN}}}"), "sent"),
            (rate(f"meshproof_outcomes_total{{{RUN}}}", "outcome"), "{{outcome}}"),
            unit="reqps",
            says="ok: acknowledged. fail: refused. unknown: no answer, or one that says nothing.",
        ),
        heat(
            "Time to the acknowledgement",
            f"meshproof_accept_seconds_bucket{{{RUN}}}",
            says="From the planned time of each request: a stall is charged to every one that had to wait for it.",
        ),
        lines(
            "Time to the acknowledgement, quantiles",
            *quantiles(f"meshproof_accept_seconds_bucket{{{RUN}}}"),
            unit="s",
            says="The same.",
        ),
        lines(
            "Runs",
            (f"sum(meshproof_runs_accepted{{{RUN}}})", "accepted"),
            (f"sum(meshproof_runs_finished{{{RUN}}})", "ended"),
            says="What lies between the two is the backlog.",
        ),
        lines(
            "Generator's schedule",
            *quantiles(f"meshproof_schedule_lag_seconds_bucket{{{RUN}}}"),
            unit="s",
            says="How late requests were handed over.",
        ),
        lines(
            "Phase and verdict",
            (f"max by (phase) (meshproof_phase{{{RUN}}})", "{{phase}}"),
            (f"sum by (verdict) (meshproof_invariants{{{RUN}}})", "invariants: {{verdict}}"),
            says="Where the run stands; the verdict comes at its end.",
        ),
    ]


def _engine() -> list:
    return [
        lines(
            "Accepted, begun, ended",
            (rate(f"meshhook_accepted_total{{{RUN}}}"), "accepted"),
            (rate(f"meshhook_runs_started_total{{{RUN}}}"), "begun"),
            (rate(f"meshhook_runs_ended_total{{{RUN}}}", "status"), "{{status}}"),
            unit="ops",
            says="The three follow each other, or something waits.",
        ),
        heat("From acceptance to end", f"meshhook_run_seconds_bucket{{{RUN}}}", says="Every run."),
        lines(
            "Where the time goes (p99)",
            (quantile(0.99, f"meshhook_accept_commit_seconds_bucket{{{RUN}}}"), "commit of webhooks"),
            (quantile(0.99, f"meshhook_run_start_delay_seconds_bucket{{{RUN}}}"), "until it is begun"),
            (quantile(0.99, f"meshhook_worker_turn_seconds_bucket{{{RUN}}}", "stage"), "turn: {{stage}}"),
            (quantile(0.99, f"meshhook_run_seconds_bucket{{{RUN}}}"), "in all"),
            unit="s",
            says="Stage by stage.",
        ),
        lines(
            "Live runs, by state",
            (f"sum by (state) (meshhook_queue_runs{{{RUN}}})", "{{state}}"),
            stacked=True,
            says="See the dashboard of operations.",
        ),
        lines(
            "Leases",
            (f"sum(meshhook_worker_leases{{{RUN}}})", "held"),
            (rate(f"meshhook_worker_taken_over_total{{{RUN}}}"), "taken over, a second"),
            (rate(f"meshhook_worker_refused_total{{{RUN}}}"), "stale writes refused, a second"),
            says="Faults show here.",
        ),
        lines(
            "Outgoing calls",
            (rate(f"meshhook_worker_calls_total{{{RUN}}}", "outcome"), "{{outcome}}"),
            (f"sum(meshhook_worker_calls_in_flight{{{RUN}}})", "under way"),
            says="To the sink of the suite, which answers as the seed says.",
        ),
    ]


def _resources() -> list:
    kept = 'table=~"runs|journal|tasks|feed|dedupe"'
    return [
        lines(
            "Processor, by role",
            (rate(f"meshproof_role_cpu_seconds_total{{{RUN}}}", "role"), "{{role}}"),
            unit="percentunit",
            stacked=True,
            says="In cores. What generator and suite take is missing to an engine on the same machine.",
        ),
        lines(
            "Memory, by role",
            (f"sum by (role) (meshproof_role_memory_bytes{{{RUN}}})", "{{role}}"),
            unit="bytes",
            says="Postgres' processes share theirs.",
        ),
        lines(
            "Processes, by role",
            (f"sum by (role) (meshproof_role_processes{{{RUN}}})", "{{role}}"),
            says="Faults and scaling show here.",
        ),
        lines(
            "Database",
            (rate(f"meshhook_database_transactions_total{{{RUN}}}", "outcome"), "{{outcome}}, a second"),
            (f"sum by (type) (meshhook_database_waits{{{RUN}}})", "waiting: {{type}}"),
            (f"sum by (state) (meshhook_database_connections{{{RUN}}})", "sessions {{state}}"),
            says="Its load, and what it waits for.",
        ),
        lines(
            "Write-ahead log",
            (rate(f"meshhook_database_wal_bytes_total{{{RUN}}}"), "written"),
            unit="Bps",
            says="What the disk must take.",
        ),
        lines(
            "Growth",
            (f"sum by (table) (meshhook_table_bytes{{{RUN},{kept}}})", "{{table}}"),
            unit="bytes",
            says="In a long run tasks and feed are flat.",
        ),
    ]
