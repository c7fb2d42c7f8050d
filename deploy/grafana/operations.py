"""The dashboard of those who run MeshHook: from the door through the queue to the database, top to bottom."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from panels import heat, lines, marks, number, quantile, quantiles, rate


def build() -> Dashboard:
    """The dashboard, before it is written."""
    made = (
        Dashboard("MeshHook")
        .uid("meshhook")
        .description("Webhooks in, runs out, and what is between. Alerts and what to do: docs/runbooks.md.")
        .tags(["meshhook"])
        .refresh("15s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .annotation(marks("Process started", "blue", 'time() - process_start_time_seconds{job=~"meshhook-.*"} < 60'))
    )
    for title, panels in (
        ("Now", _now()),
        ("The door", _door()),
        ("Runs", _runs()),
        ("The queue", _queue()),
        ("Workers", _workers()),
        ("Outgoing calls", _calls()),
        ("Processes", _processes()),
        ("Database", _database()),
    ):
        made.with_row(Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made


def _now() -> list:
    failed, refused = rate('meshhook_refused_total{status=~"5.."}'), rate("meshhook_refused_total")
    errors = f"({failed} or vector(0)) / ({rate('meshhook_accepted_total')} + ({refused} or vector(0)))"
    return [
        number("Accepted", rate("meshhook_accepted_total"), unit="reqps", says="Webhooks answered 202."),
        number("Ended", rate("meshhook_runs_ended_total"), unit="ops", says="Runs that came to their end."),
        number("Live runs", "max(meshhook_backlog_runs)", says="Accepted and not finished."),
        number(
            "Longest wait", "max(meshhook_lag_seconds)", unit="s", good=(5, 60), says="Of a ready run, for a worker."
        ),
        number("5xx at the door", errors, unit="percentunit", good=(0.01, 0.05), says="Share of all webhooks."),
        number("Workers", "max(meshhook_workers)", says="That gave a sign of life in the last five seconds."),
        number("Dead letters", "max(meshhook_dead_letters)", good=(1, 100), says="Failed runs nobody has dealt with."),
        number("Database", "min(meshhook_database_up)", says="1 while every API process reaches it."),
    ]


def _door() -> list:
    commits = "meshhook_accept_commit_seconds"
    a_commit = f"{rate('meshhook_accept_committed_total')} / {rate(commits + '_count')}"
    return [
        lines(
            "Webhooks",
            (rate("meshhook_accepted_total"), "accepted"),
            (rate("meshhook_refused_total", "status"), "refused {{status}}"),
            unit="reqps",
            stacked=True,
            says="What came in, and what was told. 5xx are ours, 4xx are the senders'.",
        ),
        heat("Time to the answer", "meshhook_accept_seconds_bucket", says="From arrival to 202, after the commit."),
        lines(
            "Time to the answer, quantiles",
            *quantiles("meshhook_accept_seconds_bucket"),
            unit="s",
            says="Where it rises, look at the commit below: the rest is the processor of `serve`.",
        ),
        lines(
            "Refused, by reason",
            (rate("meshhook_refused_total", "problem"), "{{problem}}"),
            unit="reqps",
            says="/problems/NAME says what each means, and what to do.",
        ),
        lines(
            "Group commit",
            *quantiles(f"{commits}_bucket"),
            unit="s",
            says="One commit of webhooks, with the way to the database and back.",
        ),
        lines(
            "Waiting, and how many a commit",
            ("sum(meshhook_accept_waiting)", "waiting for their commit"),
            ("sum(meshhook_sync_waiting)", "waiting for an answer of their run"),
            (a_commit, "webhooks a commit"),
            ("max(meshhook_door_slowed)", "door slowed"),
            ("max(meshhook_door_full)", "door full"),
            says="The door slows down before workers starve.",
        ),
        lines(
            "REST API",
            (rate("meshhook_api_requests_total", "status"), "{{status}}"),
            unit="reqps",
            says="Everything but webhooks and live streams.",
        ),
        heat("REST API, time", "meshhook_api_seconds_bucket", says="From a request to the end of its answer."),
        lines(
            "Live streams",
            ("sum(meshhook_watchers)", "open"),
            (rate("meshhook_watchers_lagged_total"), "too slow, a second"),
            (rate("meshhook_feed_rows_total"), "journal rows read for them, a second"),
            says="Who is too slow reads the database for himself until he has caught up.",
        ),
    ]


def _runs() -> list:
    by = "project, workflow"
    failed = 'meshhook_runs_ended_total{status="failed"}'
    return [
        lines(
            "Begun and ended",
            (rate("meshhook_runs_started_total"), "begun"),
            (rate("meshhook_runs_ended_total", "status"), "{{status}}"),
            unit="ops",
            says="Where fewer end than begin, something waits.",
        ),
        heat("From acceptance to end", "meshhook_run_seconds_bucket", says="Every run, whatever its workflow."),
        lines(
            "Where the time goes (p99)",
            (quantile(0.99, "meshhook_run_start_delay_seconds_bucket"), "until it is begun"),
            (quantile(0.99, "meshhook_run_resume_delay_seconds_bucket"), "until it is taken up again"),
            (quantile(0.99, "meshhook_run_seconds_bucket"), "in all"),
            unit="s",
            says="The first is a shortage of workers, the second late timers or full lanes; the rest is the workflow.",
        ),
        lines(
            "Ended, by workflow",
            (f"topk(10, {rate('meshhook_runs_ended_total', by)})", "{{project}} / {{workflow}}"),
            unit="ops",
            stacked=True,
            says="The ten busiest.",
        ),
        lines(
            "Slowest workflows (p95)",
            (f"topk(10, {quantile(0.95, 'meshhook_run_seconds_bucket', by)})", "{{project}} / {{workflow}}"),
            unit="s",
            says="From acceptance to end.",
        ),
        lines(
            "Failed, by workflow",
            (f"topk(10, {rate(failed, by)})", "{{project}} / {{workflow}}"),
            unit="ops",
            says="Read one of their dead letters.",
        ),
    ]


def _queue() -> list:
    waiting = 'meshhook_queue_runs{state=~"ready|in_lane"}'
    return [
        lines(
            "Live runs, by state",
            ("max by (state) (sum by (instance, state) (meshhook_queue_runs))", "{{state}}"),
            stacked=True,
            says="ready: for a worker. in_lane: for a slot. leased: at work. sleeping: for a time. waiting: for others.",
        ),
        lines(
            "Ready and in lanes, by project",
            (f"topk(10, max by (project) (sum by (instance, project) ({waiting})))", "{{project}}"),
            stacked=True,
            says="Whose backlog it is.",
        ),
        lines(
            "Oldest",
            ("max(meshhook_lag_seconds)", "ready, of all"),
            ("topk(10, max by (project, state) (meshhook_queue_oldest_seconds))", "{{project}} {{state}}"),
            unit="s",
            says="How long the oldest has been due. An expired lease is taken over within a second or two.",
        ),
        lines(
            "Leases",
            ("sum(meshhook_worker_leases)", "held"),
            (rate("meshhook_worker_taken_over_total"), "taken over, a second"),
            (rate("meshhook_worker_refused_total"), "stale writes refused, a second"),
            says="Both rates are 0 unless a worker died or froze.",
        ),
        lines(
            "Lanes, operations, dead letters",
            ("max by (project) (meshhook_lanes_waiting)", "lanes with a line, {{project}}"),
            ("max(meshhook_operations_working)", "operations at work"),
            ("max(meshhook_dead_letters)", "dead letters"),
            says="Limits that hold work back, and what waits for people.",
        ),
        lines(
            "Late timers and schedules",
            *quantiles("meshhook_run_resume_delay_seconds_bucket"),
            ("max(meshhook_schedule_lag_seconds)", "schedule that waits longest"),
            unit="s",
            says="How long after their time runs go on, and schedules fire.",
        ),
    ]


def _workers() -> list:
    return [
        lines(
            "Claimed",
            (rate("meshhook_worker_claimed_total", "instance"), "{{instance}}"),
            unit="ops",
            stacked=True,
            says="Runs that each worker took; they should share evenly.",
        ),
        lines(
            "A turn (p95)",
            (quantile(0.95, "meshhook_worker_turn_seconds_bucket", "stage"), "{{stage}}"),
            unit="s",
            says="claim and commit are the database, advance is the worker's processor.",
        ),
        lines(
            "Steps, writes, failed rounds",
            (rate("meshhook_worker_steps_total"), "steps"),
            (rate("meshhook_worker_committed_total"), "writes to runs"),
            (rate("meshhook_worker_turns_total"), "turns"),
            (rate("meshhook_worker_rounds_failed_total"), "failed rounds"),
            unit="ops",
            says="Writes a turn tell how well work comes in batches.",
        ),
    ]


def _calls() -> list:
    return [
        lines(
            "Calls, by outcome",
            (rate("meshhook_worker_calls_total", "outcome"), "{{outcome}}"),
            (rate("meshhook_worker_calls_again_total"), "further attempts among them"),
            unit="ops",
            says="2xx to 5xx were answered; the others are connect, timeout and their like.",
        ),
        heat("Calls, time", "meshhook_worker_call_seconds_bucket", says="From begin to end, failed ones too."),
        lines(
            "Under way and held back",
            ("sum(meshhook_worker_calls_in_flight)", "under way"),
            ("sum(meshhook_worker_calls_max)", "so many may be"),
            (rate("meshhook_worker_calls_held_back_total", "reason"), "held back: {{reason}}"),
            ("sum by (state) (meshhook_worker_circuits)", "hosts: circuit {{state}}"),
            (rate("meshhook_worker_circuits_opened_total"), "circuits opened, a second"),
            says="Who waits for a host costs nothing and holds up nobody else.",
        ),
    ]


def _processes() -> list:
    ours = '{job=~"meshhook-.*"}'
    return [
        lines(
            "Processor",
            (f"rate(process_cpu_seconds_total{ours}[$__rate_interval])", "{{job}} {{instance}}"),
            unit="percentunit",
            says="One process uses one core at most: near 100% it is full, and another one helps.",
        ),
        lines(
            "Memory",
            (f"process_resident_memory_bytes{ours}", "{{job}} {{instance}}"),
            unit="bytes",
            says="It is flat after the first hour.",
        ),
        lines("Open files", (f"process_open_fds{ours}", "{{job}} {{instance}}"), says="Mostly connections of senders."),
        lines(
            "Connections to the database",
            ("meshhook_pool_connections", "{{instance}} {{state}}"),
            ("max(meshhook_pool_connections_max)", "so many may be, each"),
            says="Of each process.",
        ),
        lines(
            "Waiting for a connection (p99)",
            (quantile(0.99, "meshhook_pool_wait_seconds_bucket", "instance"), "{{instance}}"),
            unit="s",
            says="More than some milliseconds: the pool is too small, or the database too slow.",
        ),
        lines(
            "Connections lost",
            (rate("meshhook_pool_lost_total", "instance"), "{{instance}}"),
            ("min by (instance) (meshhook_database_up)", "database up, {{instance}}"),
            says="Broken while they were used.",
        ),
    ]


def _database() -> list:
    disk = 'max(rate(meshhook_database_blocks_total{source="disk"}[$__rate_interval]))'
    blocks = "max(sum by (instance) (rate(meshhook_database_blocks_total[$__rate_interval])))"
    transactions = "rate(meshhook_database_transactions_total[$__rate_interval])"
    return [
        lines(
            "Sessions",
            ("max by (state) (meshhook_database_connections)", "{{state}}"),
            ("max(meshhook_database_connections_max)", "so many may be"),
            says="Of everybody who uses this database.",
        ),
        lines(
            "What it waits for",
            ("topk(10, max by (type, event) (meshhook_database_waits))", "{{type}} {{event}}"),
            stacked=True,
            says="Sessions at work, a look at a time. IO: the disk. Lock: each other. running: the processor.",
        ),
        lines(
            "Transactions",
            (f"max by (outcome) ({transactions})", "{{outcome}}"),
            ("max(rate(meshhook_database_deadlocks_total[$__rate_interval]))", "deadlocks"),
            unit="ops",
            says="Of everybody.",
        ),
        lines(
            "Written",
            ("max(rate(meshhook_database_wal_bytes_total[$__rate_interval]))", "write-ahead log"),
            ("max(rate(meshhook_database_temporary_bytes_total[$__rate_interval]))", "temporary files"),
            unit="Bps",
            says="What the disk must take.",
        ),
        lines(
            "Blocks not found in memory",
            (f"{disk} / clamp_min({blocks}, 1)", "share"),
            unit="percentunit",
            says="More than some percent: the memory of Postgres is too small for what is read.",
        ),
        lines(
            "Oldest transaction",
            ("max(meshhook_database_oldest_transaction_seconds)", "open for"),
            unit="s",
            says="It keeps dead rows from being removed.",
        ),
        lines(
            "Size",
            ("topk(8, max by (table) (meshhook_table_bytes))", "{{table}}"),
            ("max(meshhook_database_bytes)", "whole database"),
            unit="bytes",
            says="With indexes; all days together.",
        ),
        lines(
            "Dead rows",
            ("topk(8, max by (table) (meshhook_table_dead_rows))", "{{table}}"),
            ('max(meshhook_table_rows{table="tasks"})', "live rows of the queue"),
            says="In the queue they come and go by thousands; they must not stay.",
        ),
        lines(
            "Days, and these figures",
            ("max(meshhook_days_ahead)", "days prepared"),
            ("max(meshhook_days_kept)", "days kept by live runs"),
            ("max(meshhook_queue_looked_at_ratio)", "part of the queue that is counted"),
            ("min(meshhook_state_age_seconds)", "age of these figures, s"),
            ("min(meshhook_state_read_seconds)", "to read them, s"),
            says="Seven days are prepared; without one, nothing can be stored.",
        ),
    ]
