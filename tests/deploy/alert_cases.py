"""When every alert fires and when it must not: series in the notation of promtool, `start+stepxtimes`, one value a minute."""

from __future__ import annotations

from dataclasses import dataclass, field

API = 'job="meshhook-api",instance="a"'
WORKER = 'job="meshhook-worker",instance="w"'
DISK = 'job="node",instance="db",mountpoint="/",fstype="ext4"'
TEST = 'run="r",profile="load",scenario="mixed"'


@dataclass(frozen=True)
class Case:
    """After `at`, `fires` makes the alert fire with these labels beside its own, and `quiet` does not."""

    at: str
    fires: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    interval: str = "1m"
    evaluated_every: str = "1m"


def slow(name: str, fast: str, late: str, labels: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """A histogram in which everything is above a bound, and one in which everything is below."""
    comma = "," if labels else ""
    of = {le: f'{name}_bucket{{{labels}{comma}le="{le}"}}' for le in (fast, late, "+Inf")}
    above = {of[fast]: "0x40", of[late]: "0+100x40", of["+Inf"]: "0+100x40"}
    return above, dict.fromkeys(above, "0+100x40")


def cases() -> dict[str, Case]:
    """One case for every alert."""
    accept_slow, accept_fast = slow("meshhook_accept_seconds", "1.0", "2.5")
    timers_late, timers_on_time = slow("meshhook_run_resume_delay_seconds", "10.0", "30.0")
    pool_empty, pool_free = slow("meshhook_pool_wait_seconds", "0.5", "1.0", API)
    generator_late, generator_on_time = slow("meshproof_schedule_lag_seconds", "0.05", "0.1", TEST)
    return {
        "MeshhookApiDown": Case(
            "5m", {f"up{{{API}}}": "0x10"}, {f"up{{{API}}}": "1x10"}, {"job": "meshhook-api", "instance": "a"}
        ),
        "MeshhookNoApi": Case(
            "5m",
            {f"up{{{API}}}": "0x10"},
            {f"up{{{API}}}": "0x10", 'up{job="meshhook-api",instance="b"}': "1x10"},
        ),
        "MeshhookWorkerDown": Case(
            "5m", {f"up{{{WORKER}}}": "0x10"}, {f"up{{{WORKER}}}": "1x10"}, {"job": "meshhook-worker", "instance": "w"}
        ),
        "MeshhookNoWorkers": Case("5m", {"meshhook_workers": "0x10"}, {"meshhook_workers": "0 1x10"}),
        "MeshhookDatabaseDown": Case(
            "5m",
            {f"meshhook_database_up{{{API}}}": "0x10"},
            {f"meshhook_database_up{{{API}}}": "1x10"},
            {"job": "meshhook-api", "instance": "a"},
        ),
        "MeshhookFewFilesLeft": Case(
            "10m",
            {f"process_open_fds{{{API}}}": "90x20", f"process_max_fds{{{API}}}": "100x20"},
            {f"process_open_fds{{{API}}}": "70x20", f"process_max_fds{{{API}}}": "100x20"},
            {"job": "meshhook-api", "instance": "a"},
        ),
        "MeshhookStateOld": Case(
            "5m",
            {f"meshhook_state_age_seconds{{{API}}}": "60x10"},
            {f"meshhook_state_age_seconds{{{API}}}": "60x10", 'meshhook_state_age_seconds{instance="b"}': "3x10"},
        ),
        "MeshhookDoorErrors": Case(
            "15m",
            {'meshhook_refused_total{status="503"}': "0+10x20", "meshhook_accepted_total": "0+100x20"},
            {
                'meshhook_refused_total{status="503"}': "0+1x20",
                'meshhook_refused_total{status="422"}': "0+90x20",
                "meshhook_accepted_total": "0+100x20",
            },
        ),
        "MeshhookAcceptSlow": Case("15m", accept_slow, accept_fast),
        "MeshhookDoorSlowed": Case("20m", {"meshhook_door_slowed": "1x30"}, {"meshhook_door_slowed": "1x3 0x30"}),
        "MeshhookBacklogFull": Case("3m", {"meshhook_door_full": "1x5"}, {"meshhook_door_full": "0x5"}),
        "MeshhookAcceptedNotStarted": Case(
            "6m",
            {"meshhook_lag_seconds": "40x10", "meshhook_runs_started_total": "100x10"},
            {"meshhook_lag_seconds": "40x10", "meshhook_runs_started_total": "0+60x10"},
        ),
        "MeshhookOldestRunTooOld": Case("5m", {"meshhook_lag_seconds": "90x10"}, {"meshhook_lag_seconds": "20x10"}),
        "MeshhookBacklogGrowing": Case(
            "30m", {"meshhook_backlog_runs": "0+600x60"}, {"meshhook_backlog_runs": "50000x60"}
        ),
        "MeshhookRunsFail": Case(
            "30m",
            {
                'meshhook_runs_ended_total{status="failed"}': "0+30x40",
                'meshhook_runs_ended_total{status="completed"}': "0+70x40",
            },
            {
                'meshhook_runs_ended_total{status="failed"}': "0+5x40",
                'meshhook_runs_ended_total{status="completed"}': "0+95x40",
            },
        ),
        "MeshhookDeadLetters": Case(
            "2h", {"meshhook_dead_letters": "0+1x150"}, {"meshhook_dead_letters": "50x150"}, evaluated_every="1h"
        ),
        "MeshhookLeasesExpire": Case(
            "25m",
            {"meshhook_worker_taken_over_total": "0+60x30"},
            {"meshhook_worker_taken_over_total": "0x10 30x30"},
        ),
        "MeshhookStaleWrites": Case(
            "5m", {"meshhook_worker_refused_total": "0 0 5x10"}, {"meshhook_worker_refused_total": "5x10"}
        ),
        "MeshhookTimersLate": Case("15m", timers_late, timers_on_time),
        "MeshhookSchedulesLate": Case(
            "5m", {"meshhook_schedule_lag_seconds": "90x10"}, {"meshhook_schedule_lag_seconds": "5x10"}
        ),
        "MeshhookCallsFail": Case(
            "30m",
            {
                'meshhook_worker_calls_total{outcome="timeout"}': "0+60x40",
                'meshhook_worker_calls_total{outcome="2xx"}': "0+30x40",
            },
            {
                'meshhook_worker_calls_total{outcome="timeout"}': "0+30x40",
                'meshhook_worker_calls_total{outcome="2xx"}': "0+60x40",
            },
        ),
        "MeshhookHostLeftAlone": Case(
            "20m",
            {'meshhook_worker_circuits{state="open"}': "1x30"},
            {'meshhook_worker_circuits{state="open"}': "1x10 0x30"},
        ),
        "MeshhookCallsAtTheirLimit": Case(
            "15m",
            {"meshhook_worker_calls_in_flight": "95x30", "meshhook_worker_calls_max": "100x30"},
            {"meshhook_worker_calls_in_flight": "50x30", "meshhook_worker_calls_max": "100x30"},
        ),
        "MeshhookPoolExhausted": Case("15m", pool_empty, pool_free, {"instance": "a"}),
        "MeshhookConnectionsNearlyUsed": Case(
            "10m",
            {
                f'meshhook_database_connections{{{API},state="idle"}}': "85x20",
                f"meshhook_database_connections_max{{{API}}}": "100x20",
            },
            # Two processes tell of the same sessions, which must not be added up.
            {
                f'meshhook_database_connections{{{API},state="idle"}}': "50x20",
                'meshhook_database_connections{instance="b",state="idle"}': "50x20",
                f"meshhook_database_connections_max{{{API}}}": "100x20",
            },
        ),
        "MeshhookLongTransaction": Case(
            "3m",
            {"meshhook_database_oldest_transaction_seconds": "400x10"},
            {"meshhook_database_oldest_transaction_seconds": "10x10"},
        ),
        "MeshhookQueueBloated": Case(
            "15m",
            {'meshhook_table_dead_rows{table="tasks"}': "200000x20"},
            {
                'meshhook_table_dead_rows{table="tasks"}': "900x20",
                'meshhook_table_dead_rows{table="runs"}': "200000x20",
            },
        ),
        "MeshhookDaysRunOut": Case("15m", {"meshhook_days_ahead": "1x20"}, {"meshhook_days_ahead": "7x20"}),
        "MeshhookDaysKept": Case(
            "25h",
            {"meshhook_days_kept": "1x1600"},
            {"meshhook_days_kept": "1x600 0x1000"},
            evaluated_every="1h",
        ),
        "MeshhookDiskFull": Case(
            "15m",
            {f"node_filesystem_avail_bytes{{{DISK}}}": "5x30", f"node_filesystem_size_bytes{{{DISK}}}": "100x30"},
            {f"node_filesystem_avail_bytes{{{DISK}}}": "50x30", f"node_filesystem_size_bytes{{{DISK}}}": "100x30"},
            {"job": "node", "instance": "db", "mountpoint": "/", "fstype": "ext4"},
        ),
        "MeshproofRunsMissing": Case(
            "3m",
            {f"meshproof_runs_missing{{{TEST}}}": "0 3x60"},
            {f"meshproof_runs_missing{{{TEST}}}": "0x60"},
            {"run": "r", "profile": "load", "scenario": "mixed"},
            interval="5s",
        ),
        "MeshproofGeneratorLate": Case("3m", generator_late, generator_on_time, {"run": "r"}, interval="5s"),
    }
