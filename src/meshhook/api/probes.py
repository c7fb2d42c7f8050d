"""``/healthz``, ``/readyz`` and ``/metrics``: what those ask who run MeshHook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from meshhook.api import problems
from meshhook.api.shared import problems_of
from meshhook.errors import DatabaseError, Unavailable
from meshhook.store import Pressure


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(msgspec.Struct, frozen=True):
    """Webhooks are taken."""

    status: Literal["ready"] = "ready"


@dataclass(slots=True)
class Vitals:
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

    def register(self, registry: CollectorRegistry) -> None:
        """Let it be scraped."""

        def gauge(name: str, description: str, read: Callable[[Pressure], float]) -> None:
            def value() -> float:
                return float("nan") if self.pressure is None else read(self.pressure)

            Gauge(name, description, registry=registry).set_function(value)

        gauge("meshhook_backlog_runs", "Live runs: accepted and not finished.", lambda pressure: pressure.queued)
        gauge(
            "meshhook_lag_seconds", "How long the run that waits longest has waited.", lambda pressure: pressure.lag_s
        )
        gauge("meshhook_workers", "Workers that gave a sign of life lately.", lambda pressure: pressure.workers)
        Gauge("meshhook_database_up", "1 when the database answered last, else 0.", registry=registry).set_function(
            lambda: float(self.database_error is None)
        )


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
async def metrics(registry: NamedDependency[CollectorRegistry]) -> Response[bytes]:
    """What this process counts, and how far behind the workers are."""
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


HANDLERS = [healthz, readyz, metrics]
