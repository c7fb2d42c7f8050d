"""An evidence folder of any size as a sound engine would leave it, made up: for the report, and to time the judge.

    python tests/proof/judge/synthetic.py build/synthetic --runs 60000 --rate 1000

The load is open, Poisson, of the scenario `pipeline`. Latencies, a backlog and the figures of processes and database are drawn to
look like a run on a small machine; with `trouble`, a worker dies half way and its runs are taken over when their leases end.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import md5, sha256
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from meshproof import scenarios
from meshproof.stats import Histogram

START_US = 1_800_000_000_000_000
SECOND = 1_000_000
SCENARIO = "pipeline"
PLACE = f"synthetic-{SCENARIO}"
LEASE_US = 5 * SECOND


class Delivered(NamedTuple):
    """One delivery: what was sent, and when it got where."""

    n: int
    run_id: str
    body: bytes
    intended_us: int
    sent_us: int
    accepted_us: int
    reply_us: int
    claimed_us: int
    finished_us: int
    taken_over: bool
    outcome: str


class Shape(NamedTuple):
    """What the run is like."""

    runs: int
    rate: float
    seed: int
    trouble: bool

    @property
    def duration_s(self) -> float:
        return self.runs / self.rate

    @property
    def incident_us(self) -> int:
        """When the worker dies."""
        return START_US + int(self.duration_s * 0.55 * SECOND)


def deliveries(shape: Shape) -> Iterator[Delivered]:
    """The deliveries in the order they are sent."""
    draw = random.Random(shape.seed)
    payload = scenarios.load(SCENARIO).payload
    at = 0.0
    for n in range(shape.runs):
        at += draw.expovariate(shape.rate)
        intended_us = START_US + int(at * SECOND)
        sent_us = intended_us + int(draw.expovariate(1 / 120))
        hiccup = 40_000 if shape.trouble and math.sin(at / 3) > 0.985 else 0
        accepted_us = sent_us + 900 + int(draw.lognormvariate(6.6, 0.6)) + int(draw.random() * hiccup)
        claimed_us = accepted_us + 200 + int(draw.lognormvariate(6.8, 0.8)) + int(draw.random() * hiccup)
        finished_us = claimed_us + 600 + int(draw.lognormvariate(5.5, 0.5))
        dead = shape.trouble and 0 < shape.incident_us - accepted_us < 300_000
        outcome = "ok"
        if shape.trouble and abs(accepted_us - shape.incident_us) < 150_000 and n % 3 == 0:
            outcome = "unknown" if n % 2 else "fail"
        yield Delivered(
            n, f"0192f0c5-{n >> 16 & 0xFFFF:04x}-7000-8000-{n:012x}", payload(shape.seed, n), intended_us, sent_us,
            accepted_us, accepted_us + 400, claimed_us, finished_us, dead and n % 10 == 0, outcome,
        )  # fmt: skip


def write(folder: Path, runs: int = 30_000, rate: float = 1_000.0, seed: int = 1, trouble: bool = True) -> Path:
    """Write the folder; `summary.json` is left to whoever needs one (`summarize`)."""
    shape = Shape(runs, rate, seed, trouble)
    for name in ("sent", "stored", "samples"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        _Ledgers(folder, stack, shape).write()
    _write_documents(folder, shape)
    return folder


class _Ledgers:
    """The large files, a line at a time, and the tally per second that the samples are made of."""

    def __init__(self, folder: Path, stack: ExitStack, shape: Shape) -> None:
        def file(name: str) -> TextIOWrapper:
            return stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))

        self.shape = shape
        self.attempts, self.outcomes = file("sent/0.attempts.ndjson"), file("sent/0.outcomes.ndjson")
        self.runs, self.events, self.tasks = (
            file("stored/runs.csv"),
            file("stored/events.csv"),
            file("stored/tasks.csv"),
        )
        self.seen, self.counts, self.observed = (
            file("samples/seen.ndjson"), file("samples/counts.ndjson"), file("samples/observe.ndjson"),
        )  # fmt: skip
        self.incidents = file("incidents.ndjson")
        seconds = int(shape.duration_s) + 12
        self.tally = {name: [0] * seconds for name in ("sent", "ok", "fail", "unknown", "accepted", "terminal")}
        self.expected = scenarios.load(SCENARIO).expected

    def write(self) -> None:
        self.runs.write("run_id,shard,workflow,version,endpoint,delivery_key,status,epoch,finished_us\n")
        self.events.write("run_id,seq,row_seq,epoch,claimed_us,at_us,type,event\n")
        self.tasks.write("run_id,due_us,epoch,owner\n")
        for one in deliveries(self.shape):
            self.sent(one)
            if one.outcome != "fail":
                self.stored(one)
        if self.shape.trouble:
            for what, at_us in (("killed", 0), ("started", 700_000)):
                line = {"at_us": self.shape.incident_us + at_us, "role": "worker", "pid": 4242, "what": what}
                self.incidents.write(json.dumps(line) + "\n")
        self.observe()

    def sent(self, one: Delivered) -> None:
        self.attempts.write(
            f'{{"n":{one.n},"d":"synthetic-{one.n:x}","k":"first","s":"{SCENARIO}","i":{one.n},'
            f'"intended_us":{one.intended_us},"hash":"{sha256(one.body).hexdigest()}"}}\n'
        )
        ok = one.outcome == "ok"
        status = {"ok": "202", "fail": "503", "unknown": "null"}[one.outcome]
        self.outcomes.write(
            f'{{"n":{one.n},"d":"synthetic-{one.n:x}","outcome":"{one.outcome}","status":{status},'
            f'"problem":{json.dumps("/problems/overloaded" if one.outcome == "fail" else None)},'
            f'"run_id":{json.dumps(one.run_id if ok else None)},"duplicate":{"false" if ok else "null"},'
            f'"error":{json.dumps("timeout" if one.outcome == "unknown" else None)},'
            f'"sent_us":{one.sent_us},"reply_us":{one.reply_us}}}\n'
        )
        self.count("sent", one.sent_us)
        self.count(one.outcome, one.reply_us)

    def stored(self, one: Delivered) -> None:
        order, output = one.body.decode(), self.expected(self.shape.seed, one.n).output
        end_json = json.dumps(output, separators=(",", ":"))
        accepted = (
            f'{{"type":"run.accepted","workflow":"{PLACE}","version":1,"version_id":1,"trigger":{{"method":"POST",'
            f'"path":"/hooks/{PLACE}","query":{{}},"headers":{{"host":"127.0.0.1","user-agent":"meshproof",'
            f'"content-type":"application/json"}},"content_type":"application/json","body":{order}}}}}'
        )
        totals = f'{{"type":"step.completed","node":"totals","output":{end_json}}}'
        flag = f'{{"type":"step.completed","node":"flag","output":{end_json}}}'
        result = f'{{"type":"step.completed","node":"result","output":{end_json}}}'
        end = f'{{"type":"run.completed","output":{end_json}}}'
        self.rows(one, 1, 0, "", one.accepted_us, [accepted])
        epoch, finished_us = 1, one.finished_us
        if one.taken_over:
            until_us = one.claimed_us + LEASE_US
            lease = f'"owner":"worker-1","until":{_clock(until_us)}'
            self.rows(one, 2, 1, one.claimed_us, one.claimed_us + 900, [totals, f'{{"type":"lease.taken",{lease}}}'])
            epoch, finished_us = 2, until_us + 41_000
            events = [f'{{"type":"lease.expired",{lease}}}', flag, result, end]
            self.rows(one, 4, 2, until_us + 40_000, finished_us, events)
        else:
            self.rows(one, 2, 1, one.claimed_us, one.finished_us, [totals, flag, result, end])
        self.runs.write(f"{one.run_id},0,{PLACE},1,{PLACE},synthetic-{one.n:x},completed,{epoch},{finished_us}\n")
        self.count("accepted", one.accepted_us)
        self.count("terminal", finished_us)
        if one.n % 997 == 0:
            digest = md5(accepted.encode(), usedforsecurity=False).hexdigest()
            line = {"at_us": one.accepted_us + 50, "run_id": one.run_id, "status": "queued", "epoch": 0, "seq": 1}
            self.seen.write(json.dumps({**line, "digest": digest}) + "\n")

    def rows(self, one: Delivered, seq: int, epoch: int, claimed_us: object, at_us: int, events: list[str]) -> None:
        for number, event in enumerate(events, seq):
            kind, quoted = event[9 : event.index('"', 9)], event.replace('"', '""')
            self.events.write(f'{one.run_id},{number},{seq},{epoch},{claimed_us},{at_us},{kind},"{quoted}"\n')

    def count(self, name: str, at_us: int) -> None:
        self.tally[name][min((at_us - START_US) // SECOND, len(self.tally[name]) - 1)] += 1

    def observe(self) -> None:
        """Samples once a second, as the observer would have taken them."""
        draw = random.Random(self.shape.seed)
        sums = dict.fromkeys(self.tally, 0)
        cpu = dict.fromkeys(("api", "worker", "postgres", "generator", "suite"), 0.0)
        wal = transactions = dead = 0
        for second in range(len(self.tally["sent"])):
            for name in sums:
                sums[name] += self.tally[name][second]
            at_us = START_US + (second + 1) * SECOND
            busy = self.tally["sent"][second] / 1_000
            live = sums["accepted"] - sums["terminal"]
            counts = {"at_us": at_us, "accepted": sums["accepted"], "queued": live, "leased": 0, "waiting": 0,
                      "terminal": sums["terminal"]}  # fmt: skip
            self.counts.write(json.dumps(counts) + "\n")
            for role, share in (
                ("api", 0.31),
                ("worker", 0.22),
                ("postgres", 0.42),
                ("generator", 0.2),
                ("suite", 0.02),
            ):
                cpu[role] += share * busy * draw.uniform(0.9, 1.1) + 0.01
            wal += int(busy * draw.uniform(1.5e6, 2.2e6))
            transactions += int(busy * draw.uniform(60, 90)) + 4
            dead = int(busy * 20_000 * draw.random()) if second % 9 == 8 else dead + int(busy * 950)
            line = {
                **counts,
                "phase": _phase(second, self.shape.duration_s),
                **{name: sums[name] for name in ("sent", "ok", "fail", "unknown")},
                "in_flight": int(busy * draw.uniform(2, 9)),
                "level": None,
                "accept_recent_us": {"p50": 3_000, "p99": 9_000},
                "roles": {role: {"cpu_s": cpu[role], "rss_bytes": int((80 + 20 * len(role) + second / 9) * 1e6),
                                 "processes": 9 if role == "postgres" else 1} for role in cpu},
                "database": {
                    "transactions": transactions, "wal_bytes": wal, "tuples_inserted": sums["accepted"] * 4,
                    "tuples_updated": sums["terminal"], "tuples_deleted": sums["terminal"], "blocks_read": 100,
                    "blocks_hit": 100_000, "deadlocks": 0, "connections": 12, "checkpoints": second // 13,
                    "tables": {"tasks": {"dead_tuples": dead, "live_tuples": live, "vacuums": second // 9},
                               "runs": {"dead_tuples": dead // 3, "live_tuples": sums["accepted"], "vacuums": second // 20}},
                    "locks": {"granted": 40, "waiting": int(draw.random() * 2)},
                    "waits": {"CPU": int(busy * 2 * draw.random()), "IO:WalSync": int(busy * 2 * draw.random()),
                              "LWLock:WALWrite": int(busy * 1.5 * draw.random())},
                    "own_transactions": second * 2,
                },
            }  # fmt: skip
            self.observed.write(json.dumps(line) + "\n")


def _phase(second: int, duration_s: float) -> str:
    return "warm-up" if second < 5 else "steady" if second < duration_s else "drain"


def _clock(at_us: int) -> str:
    from datetime import UTC, datetime, timedelta

    return json.dumps((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat())


def _write_documents(folder: Path, shape: Shape) -> None:
    documents: dict[str, dict[str, Any]] = {
        "plan.json": {
            "profile": "load", "scenario": SCENARIO, "seed": shape.seed, "namespace": "synthetic", "rate": shape.rate,
            "arrivals": "poisson", "warmup_s": 5.0, "duration_s": shape.duration_s - 5, "levels": [],
            "attempts": shape.runs, "deliveries": shape.runs, "digest": "0" * 64,
            "command": f"meshproof run load --scenario {SCENARIO} --rate {shape.rate:g} --seed {shape.seed}",
            "settings": {"workers": 1, "target": "embedded"},
            "bounds": {"drain_s": 30.0, "takeover_s": 5.0},
            "scenarios": {SCENARIO: {"workflow": PLACE, "endpoint": PLACE,
                                     "definition": scenarios.load(SCENARIO).definition}},
        },
        "generator.json": {
            "processes": [{"process": 0, "nice": 0, "lag_ms": {"p50": 0.2, "p90": 0.5, "p99": 1.4, "p99_9": 2.2, "max": 4.0},
                           "cpu_share": 0.31, "unsent": 0, "tally": {}}],
            "target_per_s": shape.rate, "calibration_per_s": shape.rate * 2.5, "cores": 2, "levels": [],
        },
        "versions.json": {
            "commit": "0123456789abcdef", "python": "3.11.9", "postgres": "18.1",
            "packages": {"asyncpg": "0.31.0", "granian": "2.5.0", "duckdb": "1.4.0"},
            "postgres_settings": {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "256MB"},
            "machine": {"cores": 2, "memory_bytes": 25_000_000_000, "system": "Linux"},
        },
        "stored/read.json": {"at_us": START_US + int((shape.duration_s + 60) * SECOND)},
    }  # fmt: skip
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1))


def summarize(folder: Path, verdicts: Any, runs: int = 30_000, rate: float = 1_000.0, seed: int = 1) -> None:
    """A summary.json with the keys `meshproof run` writes; figures of the latencies are the real ones of the folder."""
    accept, queue, whole = Histogram(), Histogram(), Histogram()
    for one in deliveries(Shape(runs, rate, seed, trouble=True)):
        accept.add([one.reply_us - one.intended_us])
        queue.add([one.claimed_us - one.accepted_us])
        whole.add([one.finished_us - one.intended_us])
    counts = {name: getattr(verdicts.counts, name) for name in verdicts.counts.__struct_fields__}
    summary = {
        "profile": "load", "scenario": SCENARIO, "seed": seed, "commit": "0123456789abcdef", "valid": verdicts.valid,
        "verdict": verdicts.verdict, **counts, "accepted_per_s": rate * 0.995, "completed_per_s": rate * 0.995,
        "accept_ms": accept.milliseconds(), "queue_ms": queue.milliseconds(), "end_to_end_ms": whole.milliseconds(),
        "cpu_ms_per_run": 0.95, "wal_bytes_per_run": 1_850,
        "transactions_per_run": 0.071, "rss_bytes_max": {"api": 140_000_000, "worker": 210_000_000, "postgres": 240_000_000},
        "floor_runs_per_s": 58_000, "floor_ratio": 0.21,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--calm", action="store_true", help="without trouble")
    asked = parser.parse_args()
    print(write(asked.folder, asked.runs, asked.rate, trouble=not asked.calm))
