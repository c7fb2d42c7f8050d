"""Locust plays a plan: the same requests, at the same times, under the same ids as the native generator, with the same ledgers.

A locustfile needs one line: `from meshproof.load.locust_plan import PlanShape, PlanUser` (deploy/locust/locustfile.py). The plan is
in the folder that MESHPROOF_PLAN names; every worker plays a share of it, which the master deals out when the test starts, and
leaves its ledgers and its certificate in `locust/worker-<number>` of that folder, so that `meshproof judge --sent` brings them
together. MESHPROOF_SLICE (`i/N`) leaves the other slices of the plan to other machines, or to other drivers.

Locust's users are a closed model: each waits for its reply before it goes on. Here they are only hands. Each takes the next request
of the share, waits until it is due, and sends it; as long as a hand is free, requests leave at their times, whatever the engine
does. When none is, they are late, and the certificate says by how much.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent.event import Event
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from meshproof import phases, scenario_file
from meshproof.ledger import read_document, write_document
from meshproof.load.client import Exchange
from meshproof.load.outcome import Outcome
from meshproof.load.recorder import Clock, Recorder
from meshproof.load.request import Ready, Requests
from meshproof.load.slicing import Slice, parse
from meshproof.load.wire import Wire
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.plan_file import plan_of
from meshproof.stats import Histogram

PLAN: Final = "MESHPROOF_PLAN"
SLICE: Final = "MESHPROOF_SLICE"
USERS: Final = "MESHPROOF_USERS"
SHARE: Final = "meshproof_share"
# Workers make their requests ready meanwhile.
AHEAD_S: Final = 2.0
# The last replies come in.
AFTER_S: Final = 2.0
# A hand that waits half a second for each reply is enough for so many requests a second.
HAND_PER_S: Final = 2.0
HANDS_MIN: Final = 10
HANDS_MAX: Final = 2_000


def plan_folder() -> Path:
    """The folder with the plan. Raises KeyError."""
    try:
        return Path(os.environ[PLAN])
    except KeyError:
        raise KeyError(f"Put the folder with plan.json into {PLAN}: `meshproof run driven -- locust …` does.") from None


def read_plan(folder: Path) -> Plan:
    """The plan in a folder."""
    scenario_file.adopt_kept(folder)
    return plan_of(read_document(folder / "plan.json"))


def hands(plan: Plan) -> int:
    """How many users it takes."""
    wanted = os.environ.get(USERS)
    return int(wanted) if wanted else max(HANDS_MIN, min(HANDS_MAX, math.ceil(plan.peak_per_s / HAND_PER_S)))


class Share:
    """The share of one worker: what it sends, and what it puts on record."""

    def __init__(self, plan: Plan, url: str, slice: Slice, start_us: int, folder: Path) -> None:
        """`url` is that of the engine; `folder` must not be there yet."""
        parts = urlsplit(url)
        self.host, self.tls = str(parts.hostname), parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 80)
        self.plan = plan
        self._folder = folder
        self._requests = Requests(plan, f"{self.host}:{self.port}", *slice)
        self._requests.fill()
        self._recorder = Recorder(folder / "sent", 0, Clock(start_us))
        self._began_ns, self._cpu_ns = perf_counter_ns(), process_time_ns()
        self._finished = False

    def take(self) -> Ready | None:
        """The next request, for one hand alone; None when there is none left."""
        return self._requests.take() if self._requests.peek() is not None else None

    def wait_s(self, ready: Ready) -> float:
        """For how long a request is not due yet."""
        return (self._recorder.clock.start_ns + ready.at_ns - perf_counter_ns()) / 1e9

    def sending(self, ready: Ready) -> None:
        """Put a request on record that is about to leave."""
        intended_ns = self._recorder.clock.start_ns + ready.at_ns
        self._recorder.attempt(ready, intended_ns)
        self._recorder.commit_attempts()
        self._recorder.lag_us.append((perf_counter_ns() - intended_ns) // 1_000)

    def answered(self, ready: Ready, exchange: Exchange) -> tuple[Outcome, float]:
        """Put on record what came of it; returns that, and how long it took from when it was due, in milliseconds."""
        intended_ns = self._recorder.clock.start_ns + ready.at_ns
        outcome = self._recorder.outcome(exchange, self.plan.delivery_id(ready.attempt), intended_ns)
        self._recorder.commit_outcomes()
        return outcome, (perf_counter_ns() - intended_ns) / 1e6

    def finish(self) -> None:
        """Certify, and close the ledgers; once."""
        if self._finished:
            return
        self._finished = True
        cpu_share = (process_time_ns() - self._cpu_ns) / max(1, perf_counter_ns() - self._began_ns)
        unsent = 0
        while self.take() is not None:
            unsent += 1
        self._recorder.close()
        process = {
            "process": "locust",
            "scheduling": "locust",
            "lag_ms": Histogram.of(self._recorder.lag_us).milliseconds(),
            "cpu_share": cpu_share,
            "unsent": unsent,
            "steps": None,
            "tally": dict(self._recorder.tally),
        }
        # Nothing is calibrated: what it left unsent, how late it was and what it used are measured in the run itself.
        certificate = {"processes": [process], "target_per_s": None, "calibration_per_s": None, "cores": os.cpu_count()}
        write_document(self._folder / "generator.json", certificate)
        start_us, warm_us = self._recorder.clock.start_us, round(self.plan.warmup_s * 1e6)
        end_us = start_us + warm_us + round(self.plan.duration_s * 1e6)
        told = [Phase("warm-up", start_us, start_us + warm_us), Phase("steady", start_us + warm_us, end_us)]
        phases.write(self._folder, told)


class Dealt:
    """What this process was dealt; users wait for it."""

    def __init__(self) -> None:
        self.share: Share | None = None
        self.is_there = Event()

    def deal(self, environment: Environment, worker: int, workers: int, start_us: int) -> None:
        """Take the share of one of several workers on."""
        source = plan_folder()
        slice = Slice(*parse(os.environ.get(SLICE, "0/1")).share(worker, workers))
        folder = source / "locust" / f"worker-{worker}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copyfile(source / "plan.json", folder / "plan.json")
        if (source / scenario_file.FOLDER).exists():
            shutil.copytree(source / scenario_file.FOLDER, folder / scenario_file.FOLDER)
        self.share = Share(read_plan(source), str(environment.host), slice, start_us, folder)
        self.is_there.set()

    def finish(self) -> None:
        """The test is over."""
        if self.share is not None:
            self.share.finish()


dealt = Dealt()


class PlanShape(LoadTestShape):
    """As many hands as the plan takes, for as long as it takes."""

    def __init__(self) -> None:
        super().__init__()
        self._plan = read_plan(plan_folder())

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now; None ends the test."""
        if self.get_run_time() > AHEAD_S + self._plan.warmup_s + self._plan.duration_s + AFTER_S:
            return None
        return hands(self._plan), 100.0


class PlanUser(User):
    """One hand: takes the next request of the share of its worker, waits until it is due, sends it."""

    def on_start(self) -> None:
        """Wait until the share is dealt."""
        dealt.is_there.wait()
        assert dealt.share is not None
        self._share = dealt.share
        self._wire = Wire(self._share.host, self._share.port, tls=self._share.tls)

    def on_stop(self) -> None:
        """Let the connection go."""
        self._wire.close()

    @task
    def send_next(self) -> None:
        """One request."""
        ready = self._share.take()
        if ready is None:
            raise StopUser
        if (wait_s := self._share.wait_s(ready)) > 0:
            gevent.sleep(wait_s)
        self._share.sending(ready)
        exchange = Exchange(ready.attempt, ready.request)
        self._wire.carry(exchange)
        outcome, took_ms = self._share.answered(ready, exchange)
        self.environment.events.request.fire(
            request_type="POST",
            name=ready.attempt.scenario,
            response_time=took_ms,
            response_length=len(exchange.body),
            exception=None
            if outcome.verdict == "ok"
            else OutcomeError(outcome.problem or outcome.error or outcome.status),
            context={},
        )


class OutcomeError(Exception):
    """A request that was not acknowledged, for Locust's own statistics."""


@events.init.add_listener
def listen(environment: Environment, **_: Any) -> None:
    """A worker hears which share it has."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):

        def on_share(environment: Environment, msg: Any, **_: Any) -> None:
            dealt.deal(environment, msg.data["worker"], msg.data["workers"], msg.data["start_us"])

        runner.register_message(SHARE, on_share)


@events.test_start.add_listener
def deal_out(environment: Environment, **_: Any) -> None:
    """The master deals the plan out; a process of its own takes all of it."""
    runner, start_us = environment.runner, time.time_ns() // 1_000 + round(AHEAD_S * 1e6)
    if isinstance(runner, WorkerRunner):
        return
    if not isinstance(runner, MasterRunner):
        dealt.deal(environment, 0, 1, start_us)
        return
    ids = sorted(client.id for client in runner.clients.all)
    for number, id in enumerate(ids):
        runner.send_message(SHARE, {"worker": number, "workers": len(ids), "start_us": start_us}, id)


@events.test_stop.add_listener
def finish(environment: Environment, **_: Any) -> None:
    """Whoever has a share certifies what became of it."""
    dealt.finish()
