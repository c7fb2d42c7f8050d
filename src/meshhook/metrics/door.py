"""What the API process counts, in Prometheus' terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from meshhook.buckets import Buckets
from meshhook.metrics.families import counter, histogram, single

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class DoorMetrics(Collector):
    """Counters of the door and the API. This is the hot path, so there is neither lock nor label to be found.

    ``watched`` are further figures by name, read when they are scraped.
    """

    def __init__(self) -> None:
        self.watched: Mapping[str, Callable[[], float]] = {}
        self._accepted = 0
        self._seconds = Buckets()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._commits = Buckets()
        self._committed = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        self._request_seconds = Buckets()

    def accepted(self, seconds: float) -> None:
        """One webhook was stored and answered."""
        self._accepted += 1
        self._seconds.observe(seconds)

    def refused(self, problem: str, status: int) -> None:
        """One webhook was refused with this problem type."""
        self._refused[problem, str(status)] += 1

    def committed(self, deliveries: int, seconds: float) -> None:
        """One group commit is done, or has failed."""
        self._committed += deliveries
        self._commits.observe(seconds)

    def requested(self, method: str, status: int, seconds: float) -> None:
        """One request to the REST API was answered; ``method`` may be anything."""
        self._requests[method if method in _METHODS else "other", str(status)] += 1
        self._request_seconds.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        yield single("meshhook_accepted_total", self._accepted)
        yield _counted("meshhook_refused_total", self._refused)
        yield histogram("meshhook_accept_seconds", self._seconds)
        yield histogram("meshhook_accept_commit_seconds", self._commits)
        yield single("meshhook_accept_committed_total", self._committed)
        yield _counted("meshhook_api_requests_total", self._requests)
        yield histogram("meshhook_api_seconds", self._request_seconds)
        for name, read in self.watched.items():
            yield single(name, read())


def _counted(name: str, counts: Counter[tuple[str, str]]) -> Metric:
    family = counter(name)
    for labels, count in dict(counts).items():
        family.add_metric(labels, count)
    return family
