"""What every process tells of itself: version, processor, memory, open files, connections to the database."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from meshhook import __version__
from meshhook.db.connect import Database
from meshhook.metrics.families import gauge, histogram, single


class ProcessMetrics(Collector):
    """The figures of one process. ``role`` is what it was started as."""

    def __init__(self, role: str, database: Database) -> None:
        self._role = role
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        build = gauge("meshhook_build_info")
        build.add_metric((__version__, self._role), 1)
        yield build
        used, idle, most = self._database.connections
        connections = gauge("meshhook_pool_connections")
        connections.add_metric(("used",), used)
        connections.add_metric(("idle",), idle)
        yield connections
        yield single("meshhook_pool_connections_max", most)
        yield histogram("meshhook_pool_wait_seconds", self._database.waited)
        yield single("meshhook_pool_lost_total", self._database.lost)


def registry_of(role: str, database: Database) -> CollectorRegistry:
    """A registry that tells of this process already."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ProcessMetrics(role, database))
    return registry
