"""The REST API: everything of the API process but the hot path. A Litestar application behind a door of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from litestar import Litestar, Request, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from meshhook import __version__, catalog
from meshhook.api import endpoints, problems, runs, workflows
from meshhook.api.bridge import Asgi
from meshhook.api.shared import Caller
from meshhook.config import Settings
from meshhook.db.connect import Database
from meshhook.errors import DatabaseError, DefinitionError, Refusal, Unavailable

_log = structlog.get_logger("meshhook.api")
BODY_MAX_BYTES: Final = 2 * 1024 * 1024


class Rest:
    """The REST application and what it must be told from outside."""

    def __init__(
        self, settings: Settings, database: Database, registry: CollectorRegistry, on_change: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._database = database
        self._registry = registry
        self._on_change = on_change
        self._database_error: DatabaseError | None = None
        self._shards: int | None = None
        self.closing = False
        self.application: Asgi = self._make()  # type: ignore[assignment]

    def note_database(self, error: DatabaseError | None) -> None:
        """The state of the database, as the pressure watcher last saw it."""
        self._database_error = error

    def _make(self) -> Litestar:
        return Litestar(
            [*workflows.HANDLERS, *endpoints.HANDLERS, *runs.HANDLERS, *self._probes()],
            dependencies={"caller": Provide(self._caller)},
            exception_handlers={Exception: _answer_problem},
            openapi_config=OpenAPIConfig(
                title="MeshHook",
                version=__version__,
                path="/openapi.json",
                render_plugins=[JsonRenderPlugin()],
                use_handler_docstrings=True,
            ),
            request_max_body_size=BODY_MAX_BYTES,
            debug=False,
            logging_config=None,
        )

    async def _caller(self) -> Caller:
        return Caller(self._database, catalog.DEFAULT_PROJECT, self._count_shards, self._on_change)

    async def _count_shards(self) -> int:
        if self._shards is None:
            rows = await catalog.read(self._database, "SELECT value::int FROM meshhook.settings WHERE name = 'shards'")
            self._shards = int(rows[0][0])
        return self._shards

    def _probes(self) -> list[Any]:
        @get("/healthz", summary="Is the process alive?")
        async def healthz() -> dict[str, str]:
            """Answers as long as the process can answer."""
            return {"status": "alive"}

        @get("/readyz", summary="Can it accept webhooks?")
        async def readyz() -> dict[str, str]:
            """503 while it shuts down or the database can't be reached."""
            if self.closing:
                raise problems.shutting_down()
            if self._database_error is not None:
                raise Unavailable(str(self._database_error))
            return {"status": "ready"}

        @get("/metrics", summary="Metrics in Prometheus' text format", media_type=CONTENT_TYPE_LATEST)
        async def metrics() -> bytes:
            """What this process counts."""
            return generate_latest(self._registry)

        return [healthz, readyz, metrics]


def make_rest(
    settings: Settings, database: Database, registry: CollectorRegistry, on_change: Callable[[], None]
) -> Rest:
    """The REST application of one API process."""
    return Rest(settings, database, registry, on_change)


def _answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    refusal = _as_refusal(error)
    if refusal.status == 500:
        _log.error("request failed", path=request.url.path, exc_info=error)
    return Response(
        problems.document(refusal, request.url.path),
        status_code=refusal.status,
        media_type=problems.CONTENT_TYPE,
        headers=refusal.headers,
    )


def _as_refusal(error: Exception) -> Refusal:
    match error:
        case DefinitionError():
            faults = [{"path": fault.path, "code": fault.code, "message": fault.message} for fault in error.faults]
            return Refusal(
                422, "invalid-definition", "The definition has faults", str(error)[:1000], extra={"errors": faults}
            )
        case HTTPException():
            return Refusal(error.status_code, "bad-request", "Refused", error.detail)
        case _:
            return problems.as_refusal(error)
