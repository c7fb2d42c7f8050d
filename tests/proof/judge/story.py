"""A history made by hand: every ledger as plain lists that a test may bend, and the folder they are written to.

The workflow is `duplicates`, payment → receipt, unless a test says otherwise. Times are microseconds from an arbitrary start.
"""

from __future__ import annotations

import csv
import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from meshproof import scenarios

SEED = 7
START_US = 1_800_000_000_000_000
SECOND = 1_000_000


def run_id(number: int) -> str:
    return str(UUID(int=(0x0192 << 112) | (7 << 76) | (2 << 62) | number))


@dataclass
class Story:
    scenario: str = "duplicates"
    attempts: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Journal rows: run_id, seq of the first event, epoch, claimed_us, at_us, events."""
    tasks: list[dict[str, Any]] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What became of every planned fault."""
    roll_calls: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    """What the sink has seen."""
    replies: list[dict[str, Any]] = field(default_factory=list)
    """What the projects were shown by the API."""
    acts: list[dict[str, Any]] = field(default_factory=list)
    """What was done to the engine meanwhile."""
    status_pages: list[dict[str, Any]] = field(default_factory=list)
    """What callers who waited in vain found later."""
    subscribers: list[dict[str, Any]] = field(default_factory=list)
    """Who watched live streams."""
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every event that one of them was told."""
    plan: dict[str, Any] = field(default_factory=dict)
    generator: dict[str, Any] | None = field(default_factory=dict)
    read_us: int = START_US + 60 * SECOND
    without: set[str] = field(default_factory=set)
    """Files that are left out of the folder."""

    def __post_init__(self) -> None:
        self.plan = {
            "profile": "load",
            "seed": SEED,
            "scenario": self.scenario,
            "bounds": {"drain_s": 30, "takeover_s": 5, "timer_s": 10, "liveness_s": 15},
            "levels": [],
            "scenarios": {self.scenario: self.place(self.scenario)},
        }
        self.generator = {
            "processes": [
                {"process": 0, "lag_ms": {"p50": 0.1, "p99": 1.0, "max": 3.0}, "cpu_share": 0.3, "unsent": 0}
            ],
            "target_per_s": 100,
            "calibration_per_s": 5000,
            "levels": [],
        }

    @staticmethod
    def place(scenario: str) -> dict[str, Any]:
        return {
            "endpoint": f"x-{scenario}",
            "workflow": f"x-{scenario}",
            "definition": deepcopy(scenarios.load(scenario).definition),
            "config": deepcopy(scenarios.load(scenario).config),
        }

    # What senders do ---------------------------------------------------------------------------------------------------

    def attempt(
        self,
        delivery: str,
        outcome: str = "ok",
        *,
        run: int | None = None,
        index: int = 1,
        kind: str = "first",
        duplicate: bool | None = False,
        status: int | None = None,
        problem: str | None = None,
        at_us: int | None = None,
        lost: bool = False,
    ) -> int:
        """One attempt and its outcome; `lost` leaves the outcome away. Returns its number."""
        n = len(self.attempts)
        at_us = START_US + n * 10_000 if at_us is None else at_us
        body = scenarios.load(self.scenario).payload(SEED, index)
        self.attempts.append(
            {
                "n": n,
                "d": delivery,
                "k": kind,
                "s": self.scenario,
                "i": index,
                "intended_us": at_us,
                "hash": sha256(body).hexdigest(),
            }
        )
        if not lost:
            status = {"ok": 202, "fail": 503, "unknown": None}[outcome] if status is None else status
            problem = "overloaded" if problem is None and status == 503 else problem
            self.outcomes.append(
                {
                    "n": n,
                    "d": delivery,
                    "outcome": outcome,
                    "status": status,
                    "problem": problem,
                    "run_id": run_id(run) if run is not None else None,
                    "duplicate": duplicate if outcome == "ok" else None,
                    "error": "timeout" if status is None else None,
                    "sent_us": at_us,
                    "reply_us": at_us + 4_000,
                }
            )
        return n

    # What the engine stores --------------------------------------------------------------------------------------------

    def stored(self, number: int, delivery: str | None, *, index: int = 1, status: str | None = None) -> dict[str, Any]:
        """A run and the journal it has when two pure steps went well: one row by the door, one by a worker."""
        accepted_us = START_US + number * 10_000 + 2_000
        expected = scenarios.load(self.scenario).expected(SEED, index)
        run = {
            "run_id": run_id(number),
            "shard": 0,
            "workflow": f"x-{self.scenario}",
            "version": 1,
            "endpoint": f"x-{self.scenario}",
            "delivery_key": delivery,
            "status": status or expected.status,
            "epoch": 1,
            "finished_us": accepted_us + 3_000,
        }
        self.runs.append(run)
        self.row(number, 1, 0, [self.accepted()], at_us=accepted_us)
        self.row(
            number,
            2,
            1,
            [step("payment", {"some": "thing"}), step("receipt", expected.output), completed(expected.output)],
            claimed_us=accepted_us + 1_000,
            at_us=accepted_us + 3_000,
        )
        return run

    def accepted(self) -> dict[str, Any]:
        return {
            "type": "run.accepted",
            "workflow": f"x-{self.scenario}",
            "version": 1,
            "version_id": 1,
            "trigger": {"body": None},
        }

    def row(
        self,
        number: int,
        seq: int,
        epoch: int,
        events: list[dict[str, Any]],
        *,
        at_us: int,
        claimed_us: int | None = None,
    ) -> dict[str, Any]:
        row = {
            "run_id": run_id(number),
            "seq": seq,
            "epoch": epoch,
            "claimed_us": claimed_us,
            "at_us": at_us,
            "events": events,
        }
        self.rows.append(row)
        return row

    def journal(self, number: int) -> list[dict[str, Any]]:
        """The journal rows of one run, to bend them."""
        return [row for row in self.rows if row["run_id"] == run_id(number)]

    def row_of(self, run: dict[str, Any], seq: int) -> dict[str, Any]:
        """The journal row of a run that begins with this event, to bend it."""
        return next(row for row in self.rows if row["run_id"] == run["run_id"] and row["seq"] == seq)

    def delivered(self, number: int, *, index: int | None = None) -> dict[str, Any]:
        """A delivery that went as it should: acknowledged, stored, completed."""
        index = number if index is None else index
        self.attempt(f"d{number}", run=number, index=index, at_us=START_US + number * 10_000)
        return self.stored(number, f"d{number}", index=index)

    def taken_over(self, number: int) -> dict[str, Any]:
        """A delivery whose first worker died under a lease of one second: another one took it over."""
        run = self.delivered(number)
        self.rows = [row for row in self.rows if row["run_id"] != run_id(number) or row["seq"] == 1]
        output = scenarios.load(self.scenario).expected(SEED, number).output
        start = START_US + number * 10_000 + 3_000
        until = start + 2_000 + SECOND
        self.row(number, 2, 1, [step("payment", {}), taken("w1", until)], claimed_us=start, at_us=start + 2_000)
        self.row(
            number,
            4,
            2,
            [expired("w1", until), step("receipt", output), completed(output)],
            claimed_us=until + 100_000,
            at_us=until + 102_000,
        )
        run.update(epoch=2, finished_us=until + 102_000)
        return run

    def handed_back(self, number: int) -> dict[str, Any]:
        """A delivery whose first worker was shut down and gave its lease back; another one ended the run."""
        run = self.taken_over(number)
        _, under_lease, rest = self.journal(number)
        at_us = under_lease["at_us"] + 1_000
        self.row(number, 4, 1, [released("w1")], claimed_us=under_lease["claimed_us"], at_us=at_us)
        rest.update(seq=5, events=rest["events"][1:], claimed_us=at_us + 10, at_us=at_us + 2_000)
        run["finished_us"] = at_us + 2_000
        return run

    def did(self, name: str, began_us: int, ended_us: int, reply: Any = None, *, scenario: str = "") -> None:
        """Something was done to the engine, from one moment to the other."""
        line = {"name": name, "scenario": scenario or self.scenario, "began_us": began_us, "ended_us": ended_us}
        self.acts.append(line | {"status": 200, "reply": json.dumps(reply)})

    # Children: for the scenario `families` -------------------------------------------------------------------------

    def parented(self, number: int) -> dict[str, Any]:
        """A delivery whose run has started another, numbered a thousand higher, and waited for its end."""
        run = self.delivered(number)
        self.plan["scenarios"].setdefault("pipeline", self.place("pipeline"))
        body = json.loads(scenarios.load(self.scenario).payload(SEED, number))
        output = scenarios.load(self.scenario).expected(SEED, number).output
        at_us, child, order = run["finished_us"], number + 1_000, output["order"]
        begun = {"type": "child.started", "node": "ask", "run_id": run_id(child), "workflow": "x-pipeline"}
        self.journal(number)[1]["events"] = [begun | {"input": body["order"], "wait": True, "depth": 1}]
        self.runs.append(
            {**run, "run_id": run_id(child), "workflow": "x-pipeline", "endpoint": None, "delivery_key": None}
        )
        self.runs[-1]["finished_us"] = at_us + 2_000
        self.row(child, 1, 0, [self.accepted() | {"workflow": "x-pipeline"}], at_us=at_us)
        steps = [step("totals", {}), step("flag", {}), step("result", order), completed(order)]
        self.row(child, 2, 1, steps, claimed_us=at_us + 1_000, at_us=at_us + 2_000)
        ended = {"type": "child.ended", "node": "ask", "run_id": run_id(child), "status": "completed", "output": order}
        rest = [ended, step("ask", order), step("both", output), completed(output)]
        self.row(number, 3, 2, rest, claimed_us=at_us + 3_000, at_us=at_us + 4_000)
        run.update(epoch=2, finished_us=at_us + 4_000)
        return run

    # Projects: for the scenario `tenants` --------------------------------------------------------------------------

    def neighbours(self) -> None:
        """There is a second project, and each is shown what is its own."""
        self.plan["scenarios"]["neighbour"] = self.place("neighbour")
        for project in ("default", "neighbour"):
            self.shown(project, project)

    def shown(self, asker: str, *marks: str) -> None:
        """A reply in which something of these projects stands."""
        line = {"at_us": START_US, "asker": asker, "path": "/api/v1/runs", "status": 200, "marks": list(marks)}
        self.replies.append(line)

    def heard(self, number: int) -> dict[str, Any]:
        """A delivery that waited for its event, and got it."""
        run = self.delivered(number)
        del self.journal(number)[1]["events"][:]
        body = json.loads(scenarios.load(self.scenario).payload(SEED, number))
        output = scenarios.load(self.scenario).expected(SEED, number).output
        wait, at_us = self.journal(number)[1], run["finished_us"]
        until, key = clock(at_us + 300 * SECOND), f"bird {body['number']}"
        wait["events"] += [{"type": "wait.set", "node": "listen", "name": "song", "key": key, "until": until}]
        event = {"type": "event.received", "node": "listen", "id": "e", "number": number, "payload": body["canary"]}
        ended = [event, step("listen", body["canary"]), step("heard", output), completed(output)]
        self.row(number, 3, 2, ended, claimed_us=at_us + 1_000, at_us=at_us + 2_000)
        run.update(epoch=2, finished_us=at_us + 2_000)
        return run

    def backlogged(self, numbers: range, until_us: int) -> None:
        """Another project has these runs put in at once, and they are worked off at `until_us` only."""
        quiet, self.scenario = self.scenario, "noise"
        self.plan["scenarios"]["noise"] = self.place("noise")
        self.plan["backlog"] = {"scenario": "noise", "runs": round(len(numbers) * 0.8), "put_in": len(numbers)}
        steps = [node["id"] for node in scenarios.load("noise").definition["nodes"]]
        for number in numbers:
            run = self.delivered(number)
            self.attempts[-1]["k"] = "prepared"
            output = scenarios.load("noise").expected(SEED, number).output
            done = [step(node, {}) for node in steps[:-1]]
            self.journal(number)[1].update(events=[*done, step(steps[-1], output), completed(output)], at_us=until_us)
            run["finished_us"] = until_us
        self.scenario = quiet

    # Calls and timers: for the scenarios `http_call` and `sleepers` ----------------------------------------------------

    def called(self, number: int, answers: tuple[str, ...] = ("200",)) -> dict[str, Any]:
        """A delivery whose call got these answers, one an attempt; the last one is how it ended.

        Claim n makes attempt n: its rows are written 0.5 s apart, the request is seen 2 ms after the first of them.
        """
        run = self.delivered(number)
        accepted, _ = self.journal(number)
        self.rows = [row for row in self.rows if row["run_id"] != run_id(number) or row["seq"] == 1]
        expected = scenarios.load(self.scenario).expected(SEED, number)
        at_us, seq = accepted["at_us"] + 1_000, 2
        for attempt, answer in enumerate(answers, 1):
            owner, until = f"w{attempt}", at_us + 10 * SECOND
            began = [started("charge", attempt), taken(owner, until)]
            self.row(number, seq, attempt, began, claimed_us=at_us, at_us=at_us + 1_000)
            self.receipt(number, attempt, answer, at_us=at_us + 3_000)
            ended_us = at_us + (5 * SECOND if answer == "hang" else 10_000)
            if answer == "200":
                events = [step("charge", {}), step("result", expected.output), completed(expected.output)]
            elif attempt == len(answers):
                error = {"type": "call", "reason": "it would not", "node": "charge"}
                gave_up = [{"type": "step.failed", "node": "charge", "error": error}, failed("call")]
                events = [call_failed("charge", attempt, answer), *gave_up]
                run["status"] = "failed"
            else:
                events = [call_failed("charge", attempt, answer, ended_us + SECOND), released(owner)]
            self.row(number, seq + 2, attempt, events, claimed_us=at_us, at_us=ended_us)
            run.update(epoch=attempt, finished_us=ended_us)
            at_us, seq = ended_us + SECOND + 1_000, seq + 2 + len(events)
        return run

    def receipt(self, number: int, attempt: int, answer: str = "200", *, at_us: int) -> dict[str, Any]:
        """A request of a call as the sink has seen it."""
        line = {
            "at_us": at_us,
            "key": f"{run_id(number)}/charge",
            "attempt": attempt,
            "hash": sha256(b"%d" % number).hexdigest(),
            "bytes": 3,
            "path": f"/charges/{number}",
            "connection": 0,
            "answer": answer,
            "wait_ms": 0,
        }
        self.receipts.append(line)
        return line

    def slept(self, number: int) -> dict[str, Any]:
        """A delivery that slept twice: one second, and then for as long as it was told."""
        run = self.delivered(number)
        accepted, _ = self.journal(number)
        self.rows = [row for row in self.rows if row["run_id"] != run_id(number) or row["seq"] == 1]
        output = scenarios.load(self.scenario).expected(SEED, number).output
        at_us = accepted["at_us"] + 1_000
        nap_us = at_us + SECOND
        self.row(number, 2, 1, [timer("nap", nap_us)], claimed_us=at_us, at_us=at_us + 500)
        at_us = nap_us + 2_000
        sleep_us = at_us + output["slept"] * SECOND
        self.row(number, 3, 2, [step("nap", {}), timer("sleep", sleep_us)], claimed_us=at_us, at_us=at_us + 500)
        at_us = sleep_us + 3_000
        end = [step("sleep", {}), step("awake", output), completed(output)]
        self.row(number, 5, 3, end, claimed_us=at_us, at_us=at_us + 500)
        run.update(epoch=3, finished_us=at_us + 500)
        return run

    # What was seen on the way ------------------------------------------------------------------------------------------

    def sample(self, number: int, seq: int, *, at_us: int, status: str = "queued", epoch: int = 0) -> dict[str, Any]:
        """A run as it looked when it had `seq` events."""
        events = [
            line["event"] for line in self.event_lines() if line["run_id"] == run_id(number) and line["seq"] <= seq
        ]
        digest = md5("\n".join(events).encode(), usedforsecurity=False).hexdigest()
        line = {
            "at_us": at_us,
            "run_id": run_id(number),
            "status": status,
            "epoch": epoch,
            "seq": seq,
            "digest": digest,
        }
        self.seen.append(line)
        return line

    def count(self, at_us: int, accepted: int, queued: int = 0, leased: int = 0, terminal: int = 0) -> dict[str, Any]:
        line = {"at_us": at_us, "accepted": accepted, "queued": queued, "leased": leased, "terminal": terminal}
        self.counts.append(line)
        return line

    def fault(self, kind: str, began_us: int, ended_us: int, *, hit: bool = True, **more: Any) -> dict[str, Any]:
        """A planned fault, and what became of it."""
        number = len(self.faults)
        self.plan.setdefault("faults", []).append({"number": number, "kind": kind, "at_s": 1.0, "for_s": 1.0})
        line = {"number": number, "kind": kind, "target": "it", "began_us": began_us, "ended_us": ended_us, "hit": hit}
        line |= {"evidence": "as seen", "figures": {}, "skipped": None, "failed": None, **more}
        self.faults.append(line)
        return line

    def roll_call(self, at_us: int, worker: str, committed: int, *, alive: bool = True) -> dict[str, Any]:
        """What a worker says of itself."""
        line = {"at_us": at_us, "worker": worker, "alive": alive, "committed": committed, "refused": 0}
        self.roll_calls.append(line)
        return line

    # The folder --------------------------------------------------------------------------------------------------------

    def event_lines(self) -> list[dict[str, Any]]:
        return [
            {
                "run_id": row["run_id"],
                "seq": row["seq"] + ordinal,
                "row_seq": row["seq"],
                "epoch": row["epoch"],
                "claimed_us": row["claimed_us"],
                "at_us": row["at_us"],
                "type": event.get("type"),
                "event": json.dumps(event, separators=(",", ":")),
            }
            for row in sorted(self.rows, key=lambda row: (row["run_id"], row["seq"]))
            for ordinal, event in enumerate(row["events"])
        ]

    def write(self, folder: Path) -> Path:
        """Write the evidence folder."""
        for name in ("sent", "stored", "samples", "effects"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        files: dict[str, Any] = {
            "sent/p0.attempts.ndjson": self.attempts,
            "sent/p0.outcomes.ndjson": self.outcomes,
            "sent/acts.ndjson": self.acts,
            "samples/status_pages.ndjson": self.status_pages,
            "samples/subscribers.ndjson": self.subscribers,
            "samples/told.ndjson": self.told,
            "samples/seen.ndjson": self.seen,
            "samples/counts.ndjson": self.counts,
            "samples/replies.ndjson": self.replies,
            "incidents.ndjson": self.incidents,
            **(
                {"faults.ndjson": self.faults, "samples/workers.ndjson": self.roll_calls}
                if "faults" in self.plan
                else {}
            ),
            "effects/1.ndjson": self.receipts,
            "plan.json": self.plan,
            "generator.json": self.generator,
            "versions.json": {"commit": "0000000"},
            "stored/read.json": {"at_us": self.read_us},
        }
        for name, content in files.items():
            if name not in self.without:
                lines = content if name.endswith(".ndjson") else [content]
                (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        tables: dict[str, tuple[str, list[dict[str, Any]]]] = {
            "stored/runs.csv": (
                "run_id,shard,workflow,version,endpoint,delivery_key,status,epoch,finished_us",
                self.runs,
            ),
            "stored/events.csv": ("run_id,seq,row_seq,epoch,claimed_us,at_us,type,event", self.event_lines()),
            "stored/tasks.csv": ("run_id,due_us,epoch,owner", self.tasks),
        }
        for name, (header, rows) in tables.items():
            if name not in self.without:
                with (folder / name).open("w", newline="") as file:
                    writer = csv.DictWriter(file, header.split(","), lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
        return folder


def step(node: str, output: Any, **more: Any) -> dict[str, Any]:
    return {"type": "step.completed", "node": node, "output": output, **more}


def completed(output: Any) -> dict[str, Any]:
    return {"type": "run.completed", "output": output}


def failed(type: str = "expression", **more: Any) -> dict[str, Any]:
    return {"type": "run.failed", "error": {"type": type, "reason": "because"}, **more}


def taken(owner: str, until_us: int) -> dict[str, Any]:
    return {"type": "lease.taken", "owner": owner, "until": clock(until_us)}


def expired(owner: str, until_us: int) -> dict[str, Any]:
    return {"type": "lease.expired", "owner": owner, "until": clock(until_us)}


def released(owner: str) -> dict[str, Any]:
    return {"type": "lease.released", "owner": owner}


def started(node: str, attempt: int) -> dict[str, Any]:
    return {"type": "call.started", "node": node, "attempt": attempt}


def call_failed(node: str, attempt: int, answer: str, retry_us: int | None = None) -> dict[str, Any]:
    """How the journal tells of an attempt the sink has answered so."""
    type = {"reset": "broken", "cut": "broken", "hang": "timeout"}.get(answer, "status")
    error: dict[str, Any] = {"type": type, "reason": answer, "node": node}
    if type == "status":
        error["status"] = int(answer)
    sent = "yes" if type == "status" else "unknown"
    event = {"type": "call.failed", "node": node, "attempt": attempt, "sent": sent, "error": error}
    return event | ({} if retry_us is None else {"retry_at": clock(retry_us)})


def timer(node: str, until_us: int) -> dict[str, Any]:
    return {"type": "timer.set", "node": node, "until": clock(until_us)}


def clock(at_us: int) -> str:
    """A time as the engine writes it into an event."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()
