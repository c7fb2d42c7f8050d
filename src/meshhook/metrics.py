"""What a worker counts, in Prometheus' terms, on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, Metric

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
    """Serves ``counts`` at ``http://host:port/metrics``; nothing when ``port`` is 0."""

    def __init__(self, counts: Counts, host: str, port: int) -> None:
        self._counts = counts
        self._server: Any = None
        if port:
            registry = CollectorRegistry()
            registry.register(self)
            self._server, _ = start_http_server(port, host, registry)

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        for name, text in _HELP.items():
            yield CounterMetricFamily(f"meshhook_worker_{name}", text, value=getattr(self._counts, name))

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
