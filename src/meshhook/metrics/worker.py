"""What a worker counts, in Prometheus' terms, on a port of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from meshhook.hosts import Hosts
from meshhook.metrics.families import counter, gauge, histogram, single
from meshhook.worker import Worker


class WorkerMetrics(Collector):
    """What one worker has done and holds. Read by another thread than the one that counts, so everything is copied first."""

    def __init__(self, worker: Worker, hosts: Hosts) -> None:
        self._worker = worker
        self._hosts = hosts

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        yield from self._runs()
        yield from self._turns()
        yield from self._calls()

    def _runs(self) -> Iterator[Metric]:
        counts = self._worker.counts
        workflows = dict(counts.workflows)
        started, ended = counter("meshhook_runs_started_total"), counter("meshhook_runs_ended_total")
        for place, of in workflows.items():
            started.add_metric(place, of.started)
            for status, count in of.ended.items():
                ended.add_metric((*place, status), count)
        yield started
        yield ended
        yield histogram("meshhook_run_seconds", {place: of.seconds for place, of in workflows.items()})
        yield histogram("meshhook_run_start_delay_seconds", counts.start_delay)
        yield histogram("meshhook_run_resume_delay_seconds", counts.resume_delay)

    def _turns(self) -> Iterator[Metric]:
        counts = self._worker.counts
        for name in ("turns", "claimed", "committed", "steps", "taken_over", "refused", "rounds_failed"):
            yield single(f"meshhook_worker_{name}_total", getattr(counts, name))
        yield histogram("meshhook_worker_turn_seconds", {(stage,): took for stage, took in counts.stages.items()})
        yield single("meshhook_worker_leases", self._worker.leases)

    def _calls(self) -> Iterator[Metric]:
        counts, hosts = self._worker.counts, self._hosts.counts
        calls = counter("meshhook_worker_calls_total")
        for outcome, count in dict(counts.call_outcomes).items():
            calls.add_metric((outcome,), count)
        yield calls
        yield single("meshhook_worker_calls_again_total", counts.calls_again)
        yield histogram("meshhook_worker_call_seconds", counts.call_seconds)
        yield single("meshhook_worker_calls_in_flight", self._worker.calls_in_flight)
        yield single("meshhook_worker_calls_max", self._worker.calls_max)
        held_back = counter("meshhook_worker_calls_held_back_total")
        for reason, count in hosts.held_back.items():
            held_back.add_metric((reason,), count)
        yield held_back
        yield single("meshhook_worker_circuits_opened_total", hosts.circuits_opened)
        circuits, states = gauge("meshhook_worker_circuits"), Counter(self._hosts.circuits())
        for state in ("open", "half-open"):
            circuits.add_metric((state,), states[state])
        yield circuits


class MetricsServer:
    """Serves a registry at ``http://host:port/metrics``, in a thread; nothing when ``port`` is 0."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._server: Any = None
        if port:
            self._server, self._thread = start_http_server(port, host, registry)

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
