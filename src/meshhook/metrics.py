"""What a worker counts, in Prometheus' terms, on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from meshhook.hosts import Hosts
from meshhook.worker import Counts

_HELP = {
    "turns": "Transactions in which runs were claimed.",
    "committed": "Writes to runs that were committed.",
    "completed": "Runs ended as completed.",
    "failed": "Runs ended as failed.",
    "refused": "Stale writes refused by fencing.",
    "taken_over": "Runs taken over after another worker's lease ended.",
    "steps": "Steps advanced.",
    "calls": "Outgoing calls that ended, however they did.",
}


class WorkerMetrics:
    """Serves what a worker counts at ``http://host:port/metrics``; nothing when ``port`` is 0."""

    def __init__(self, counts: Counts, hosts: Hosts, host: str, port: int) -> None:
        self._counts = counts
        self._hosts = hosts
        self._server: Any = None
        if port:
            registry = CollectorRegistry()
            registry.register(self)
            self._server, _ = start_http_server(port, host, registry)

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        for name, text in _HELP.items():
            yield CounterMetricFamily(f"meshhook_worker_{name}", text, value=getattr(self._counts, name))
        held_back = CounterMetricFamily(
            "meshhook_worker_calls_held_back",
            "Times a call had to wait for its host: too many at once, too many a second, asked to wait, circuit open.",
            labels=["reason"],
        )
        for reason, count in self._hosts.counts.held_back.items():
            held_back.add_metric([reason], count)
        yield held_back
        opened = self._hosts.counts.circuits_opened
        yield CounterMetricFamily(
            "meshhook_worker_circuits_opened", "Times a failing host was left alone.", value=opened
        )
        text = "Hosts left alone at the moment."
        yield GaugeMetricFamily("meshhook_worker_circuits_open", text, value=self._hosts.open_circuits())

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
