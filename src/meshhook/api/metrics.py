"""What the API process counts, in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ApiMetrics:
    """Counters of the door. Children are resolved once: this is the hot path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "meshhook_accept_seconds",
            "Time from the arrival of a webhook to its 202, after the commit.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._accepted = Counter("meshhook_accepted_total", "Webhooks answered 202.", registry=registry)
        self._refused = Counter(
            "meshhook_refused_total", "Webhooks not answered 202, by problem type.", ["problem"], registry=registry
        )
        self._registry = registry

    def accepted(self, seconds: float) -> None:
        """One webhook was stored and answered."""
        self._accepted.inc()
        self._seconds.observe(seconds)

    def refused(self, problem: str) -> None:
        """One webhook was refused with this problem type."""
        self._refused.labels(problem).inc()

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, description, registry=self._registry).set_function(value)
