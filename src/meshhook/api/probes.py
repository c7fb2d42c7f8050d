"""``/healthz``, ``/readyz`` and ``/metrics``: what those ask who run MeshHook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from meshhook.api import problems
from meshhook.api.shared import Caller, problems_of
from meshhook.errors import DatabaseError, Unavailable
from meshhook.keys import is_operator
from meshhook.metrics.exposition import CONTENT_TYPE, Exposition
from meshhook.metrics.families import single
from meshhook.store import Pressure


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(msgspec.Struct, frozen=True):
    """Webhooks are taken."""

    status: Literal["ready"] = "ready"


@dataclass(eq=False)  # a registry tells its collectors apart
class Vitals(Collector):
    """How this process and its database are, as seen last."""

    closing: bool = False
    database_error: DatabaseError | None = None
    pressure: Pressure | None = None

    def check_ready(self) -> None:
        """Raise what stands in the way of taking webhooks."""
        if self.closing:
            raise problems.shutting_down()
        if self.database_error is not None:
            raise Unavailable(str(self.database_error))

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        if (pressure := self.pressure) is not None:
            yield single("meshhook_backlog_runs", pressure.queued)
            yield single("meshhook_lag_seconds", pressure.lag_s)
            yield single("meshhook_workers", pressure.workers)
        yield single("meshhook_database_up", self.database_error is None)


@get("/healthz", summary="Is the process alive?", security=[{}])
async def healthz() -> Alive:
    """Answers as long as the process can answer at all, whatever its database does."""
    return Alive()


@get("/readyz", summary="Can it take webhooks?", security=[{}], responses=problems_of(503, always=()))
async def readyz(vitals: NamedDependency[Vitals]) -> Ready:
    """503 while it shuts down or the database can't be reached."""
    vitals.check_ready()
    return Ready()


@get(
    "/metrics",
    summary="Metrics in Prometheus' text format",
    media_type="text/plain",
    responses=problems_of(401, always=()),
)
async def metrics(caller: NamedDependency[Caller], exposition: NamedDependency[Exposition]) -> Response[bytes]:
    """What this process counts, and the state of queue and database. Figures by project are for a key of the project `default`."""
    text = await exposition.text(whole=is_operator(caller.project_id))
    return Response(text, headers={"content-type": CONTENT_TYPE})


HANDLERS = [healthz, readyz, metrics]
