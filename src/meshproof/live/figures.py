"""The figures of the run under way, as its observer saw them last. Read by another thread than the one that writes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from meshproof.judge.verdicts import Verdicts
from meshproof.live.families import Metric, family
from meshproof.plan import Plan
from meshproof.supervise import Incidents

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The same as the engine's, so that both can be drawn in one picture."""

_BOUNDS_US: Final = tuple(round(bound * 1e6) for bound in BOUNDS_S)


class Histogram:
    """How often which duration was seen."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_us = 0

    def observe(self, durations_us: Iterable[int]) -> None:
        """Some durations in microseconds."""
        for duration in durations_us:
            self._counts[bisect_left(_BOUNDS_US, duration)] += 1
            self._sum_us += duration

    def fill(self, metric: Metric, labels: Iterable[str]) -> Metric:
        """The metric with these durations."""
        assert isinstance(metric, HistogramMetricFamily)
        buckets = zip([*map(str, BOUNDS_S), "+Inf"], map(float, accumulate(self._counts)), strict=True)
        metric.add_metric(tuple(labels), list(buckets), self._sum_us / 1e6)
        return metric


class LiveFigures(Collector):
    """What is known of the run that is under way; nothing, before there is one."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether anybody can see them."""
        self.engine: Callable[[], list[tuple[str, str]]] = list
        """Where the processes of the engine are scraped: role and address of each."""
        self._plan: Plan | None = None
        self._incidents: Incidents | None = None
        self._target = ""
        self._forget()

    def _forget(self) -> None:
        self._look: dict[str, Any] = {}
        self._start_us = 0
        self._missing = 0
        self._accept = Histogram()
        self._lag = Histogram()
        self._judged: Counter[str] = Counter()

    def begin(self, plan: Plan, incidents: Incidents, target: str, engine: Callable[[], list[tuple[str, str]]]) -> None:
        """Another run begins: nothing is known of it yet."""
        self._forget()
        self._plan, self._incidents, self._target, self.engine = plan, incidents, target, engine

    def saw(self, look: dict[str, Any], accept_us: list[int], lag_us: list[int]) -> None:
        """One look of its observer, and what was measured since the one before."""
        self._start_us = self._start_us or int(look["at_us"])
        # What one look could not read stands as it was seen last.
        self._look = {**self._look, **look}
        if "accepted" in look:  # two looks can't be held against each other
            self._missing = missing(look)
        self._accept.observe(accept_us)
        self._lag.observe(lag_us)

    def judged(self, verdicts: Verdicts) -> None:
        """The end: what the judge says of every invariant."""
        self._judged = Counter(str(result.verdict) for result in verdicts.results)

    def run_labels(self) -> tuple[str, ...]:
        """The labels that every metric carries, in order; empty before there is a run."""
        return () if self._plan is None else (self._plan.namespace, self._plan.profile, self._plan.scenario)

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        plan, labels, look = self._plan, self.run_labels(), self._look
        if plan is None:
            return
        yield self._one("meshproof_run_info", {(str(plan.seed), self._target): 1})
        if look:
            yield self._one("meshproof_run_start_timestamp_seconds", {(): self._start_us / 1e6})
            yield self._one("meshproof_phase", {(look["phase"],): 1})
            yield from self._load(look, labels)
            yield from self._runs(look)
            yield from self._roles(look)
        yield from self._happened()
        if self._judged:
            yield self._one("meshproof_invariants", {(verdict,): count for verdict, count in self._judged.items()})

    def _load(self, look: dict[str, Any], labels: tuple[str, ...]) -> Iterator[Metric]:
        yield self._one("meshproof_sent_total", {(): look["sent"]})
        yield self._one("meshproof_outcomes_total", {(name,): look[name] for name in ("ok", "fail", "unknown")})
        yield self._one("meshproof_in_flight", {(): look["in_flight"]})
        yield self._accept.fill(family("meshproof_accept_seconds"), labels)
        yield self._lag.fill(family("meshproof_schedule_lag_seconds"), labels)

    def _runs(self, look: dict[str, Any]) -> Iterator[Metric]:
        if "accepted" in look:
            yield self._one("meshproof_runs_accepted", {(): look["accepted"]})
            yield self._one("meshproof_runs_finished", {(): look["terminal"]})
            yield self._one("meshproof_runs_missing", {(): self._missing})

    def _roles(self, look: dict[str, Any]) -> Iterator[Metric]:
        for name, key in (("cpu_seconds_total", "cpu_s"), ("memory_bytes", "rss_bytes"), ("processes", "processes")):
            yield self._one(f"meshproof_role_{name}", {(role,): used[key] for role, used in look["roles"].items()})

    def _happened(self) -> Iterator[Metric]:
        assert self._incidents is not None
        begun, under_way = dict(self._incidents.faults), dict(self._incidents.under_way)
        yield self._one("meshproof_faults_total", {(kind,): count for kind, count in begun.items()})
        yield self._one("meshproof_fault_active", {(kind,): under_way.get(kind, 0) for kind in begun})
        yield self._one("meshproof_incidents_total", {(role,): n for role, n in dict(self._incidents.counts).items()})

    def _one(self, name: str, values: dict[tuple[str, ...], float]) -> Metric:
        metric, labels = family(name), self.run_labels()
        assert isinstance(metric, CounterMetricFamily | GaugeMetricFamily)
        for further, value in values.items():
            metric.add_metric((*labels, *further), value)
        return metric


def missing(look: dict[str, Any]) -> int:
    """Runs that were acknowledged before a snapshot which does not hold them."""
    return max(0, int(look["new"] - look["accepted"]))
