"""The REST API: everything of the API process but the hot path.

request ──► guard (key, body, room) ──► Litestar ──► workflows, endpoints, runs, probes, pages ──► catalog, history
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import Scope

from meshhook import keys, sessions
from meshhook.api import (
    audit,
    control,
    dead_letters,
    definitions,
    deliveries,
    endpoints,
    lab,
    lanes,
    manual,
    openapi,
    operations,
    overview,
    pages,
    probes,
    problems,
    receipts,
    replaying,
    runs,
    schedules,
    secrets,
    session,
    statistics,
    steps,
    testruns,
    why,
    workflows,
)
from meshhook.api.bridge import Asgi
from meshhook.api.counted import counted
from meshhook.api.guard import BODY_MAX_BYTES, Guard, problem_of
from meshhook.api.keyring import Keyring
from meshhook.api.probes import Vitals
from meshhook.api.room import Room
from meshhook.api.shared import Caller, invalid_json, not_found
from meshhook.api.sign_in import SignIn
from meshhook.config import Settings
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import (
    ConfigError,
    DatabaseError,
    DefinitionError,
    EndpointConfigError,
    Fault,
    Refusal,
    ScheduleError,
    VaultError,
)
from meshhook.lab.bench import Lab
from meshhook.lab.suite import SuiteError
from meshhook.metrics.door import DoorMetrics
from meshhook.metrics.exposition import Exposition
from meshhook.overview import Overseer
from meshhook.side_process import SideProcess
from meshhook.statistics import Statistician
from meshhook.steps import Storyteller
from meshhook.store import Pressure
from meshhook.trial import Trials

HANDLERS: Final = [
    *(
        workflows.HANDLERS
        + manual.HANDLERS
        + testruns.HANDLERS
        + schedules.HANDLERS
        + endpoints.HANDLERS
        + runs.HANDLERS
    ),
    *(definitions.HANDLERS + control.HANDLERS + replaying.HANDLERS + lanes.HANDLERS),
    *(dead_letters.HANDLERS + operations.HANDLERS + why.HANDLERS + steps.HANDLERS),
    *(statistics.HANDLERS + overview.HANDLERS),
    *(deliveries.HANDLERS + secrets.HANDLERS + audit.HANDLERS + receipts.HANDLERS),
    *session.HANDLERS,
    *(lab.HANDLERS + probes.HANDLERS + pages.HANDLERS),
]

_log = structlog.get_logger("meshhook.api")


class Rest:
    """The REST application, and what it must be told from outside."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        exposition: Exposition,
        metrics: DoorMetrics,
        trials: Trials,
        on_change: Callable[[], None],
        admit: Callable[[int], None],
        keychain: Keychain,
        lab: Lab,
    ) -> None:
        self._database = database
        self._keychain = keychain
        self._lab = lab
        self._exposition = exposition
        self._url = settings.url
        self._trials = trials
        self._on_change = on_change
        self._admit = admit
        self._keep = timedelta(hours=settings.dedupe_hours)
        self._keep_events = timedelta(hours=settings.event_hours)
        self._vitals = Vitals()
        self._statistician = Statistician(database)
        self._overseer = Overseer(database, settings)
        self._metrics = metrics
        exposition.registry.register(self._vitals)
        self._room = Room(settings.database_connections // 2)
        self._side = SideProcess()
        self._storyteller = Storyteller(database, self._side)
        self._keyring = Keyring(database, self._room, in_force=settings.require_key or not settings.is_loopback)
        self._sign_in = SignIn(database, self._keyring, self._room, settings.proxies)
        guard = Guard(self._litestar(), self._keyring, self._room)
        self.application: Asgi = counted(guard, metrics)
        self.admit: Callable[[dict[str, Any]], Awaitable[None]] = guard.admit

    @property
    def closing(self) -> bool:
        """Whether the process is about to stop: then it is not ready."""
        return self._vitals.closing

    @closing.setter
    def closing(self, closing: bool) -> None:
        self._vitals.closing = closing

    def note_database(self, error: DatabaseError | None) -> None:
        """The state of the database, as it was last seen."""
        self._vitals.database_error = error

    def note_pressure(self, pressure: Pressure) -> None:
        """How far behind the workers are; the database answered."""
        self._vitals.database_error, self._vitals.pressure = None, pressure

    async def close(self) -> None:
        """End what was begun beside this process."""
        await self._side.close()

    async def warn_without_keys(self) -> None:
        """Say how to come in when nobody can yet: make a key, or set the first password with the token that is told here."""
        if not self._keyring.in_force:
            return
        found = await sessions.standing(self._database, keys.DEFAULT_PROJECT, keys.DEFAULT_PROJECT)
        if not found.has_keys and not found.has_password:
            _log.warning(
                "the API asks for a key or a password and there is none yet",
                make_one="meshhook key create NAME",
                or_set_a_password_at=self._url,
                setup_token=await sessions.make_setup_token(self._database, keys.DEFAULT_PROJECT),
            )

    def _litestar(self) -> Any:
        return Litestar(
            HANDLERS,
            dependencies={
                "caller": Provide(self._caller, sync_to_thread=False),
                "vitals": Provide(lambda: self._vitals, sync_to_thread=False),
                "trials": Provide(lambda: self._trials, sync_to_thread=False),
                "statistician": Provide(lambda: self._statistician, sync_to_thread=False),
                "storyteller": Provide(lambda: self._storyteller, sync_to_thread=False),
                "overseer": Provide(lambda: self._overseer, sync_to_thread=False),
                "state_metrics": Provide(lambda: self._exposition.state, sync_to_thread=False),
                "door_metrics": Provide(lambda: self._metrics, sync_to_thread=False),
                "sign_in": Provide(lambda: self._sign_in, sync_to_thread=False),
                "room": Provide(lambda: self._room, sync_to_thread=False),
                "side": Provide(lambda: self._side, sync_to_thread=False),
                "lab": Provide(lambda: self._lab, sync_to_thread=False),
                "exposition": Provide(lambda: self._exposition, sync_to_thread=False),
            },
            exception_handlers={Exception: _answer_problem},
            openapi_config=openapi.config(),
            request_max_body_size=BODY_MAX_BYTES,
            debug=False,
            logging_config=None,
        )

    def _caller(self, scope: Scope) -> Caller:
        return Caller(
            self._database,
            scope["state"]["project_id"],
            self._on_change,
            self._admit,
            self._keep,
            self._keep_events,
            self._keychain,
        )


def make_rest(
    settings: Settings,
    database: Database,
    exposition: Exposition,
    metrics: DoorMetrics,
    trials: Trials,
    on_change: Callable[[], None],
    admit: Callable[[int], None],
    keychain: Keychain,
    lab: Lab,
) -> Rest:
    """The REST application of one API process; ``on_change`` is called after every change of workflows or endpoints, ``admit``
    before a run is started: it raises a ``Refusal`` when too much waits already. ``keychain`` seals secrets.
    ``lab`` begins concurrency tests.
    """
    return Rest(settings, database, exposition, metrics, trials, on_change, admit, keychain, lab)


def document() -> bytes:
    """The OpenAPI document, as ``/openapi.json`` answers it: what the TypeScript client of the pages is made from."""
    # Made by handlers and their types alone: what they would be given when a request comes is never asked for.
    made = Rest.__new__(Rest)._litestar()  # noqa: SLF001
    return msgspec.json.encode(openapi.completed(made.openapi_schema.to_schema()))


def _answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    path = request.scope["path"]
    refusal = _refusal_of(error) or problem_of(error, path)
    return Response(
        problems.document(refusal, path),
        status_code=refusal.status,
        media_type=problems.CONTENT_TYPE,
        headers=refusal.headers,
    )


def _refusal_of(error: Exception) -> Refusal | None:
    match error:
        case DefinitionError():
            return Refusal(422, "invalid-definition", "The definition has faults", *_told(error.faults))
        case EndpointConfigError():
            return Refusal(422, "invalid-endpoint", "The settings of the endpoint have faults", *_told(error.faults))
        case ScheduleError():
            return Refusal(422, "invalid-schedule", "The timetable of the schedule has faults", *_told(error.faults))
        case VaultError() | ConfigError():
            # What is wrong with the keys is for whoever runs this, not for whoever calls.
            _log.error("secrets can't be sealed", error=str(error))
            return secrets_unavailable()
        case HTTPException(status_code=404):
            return not_found()
        case HTTPException(status_code=405):
            return _method_not_allowed(error)
        case HTTPException(status_code=400):
            return Refusal(400, "bad-request", "The request has faults", _faults_of(error))
        case SuiteError():
            _log.error("the suite does not do what it should", error=str(error))
            return Refusal(503, "lab-failed", "The Lab can't do this now", f"{error} Nothing was begun.")
        case RecursionError():
            return invalid_json("nested too deeply")
        case _:
            return None


def secrets_unavailable() -> Refusal:
    """There is no key to keep secrets under, or a wrong one."""
    return Refusal(
        503,
        "secrets-unavailable",
        "Secrets can't be kept here",
        "The server has no key to keep secrets under, or a wrong one; its log says which. Nothing was stored.",
    )


def _told(found: list[Fault]) -> tuple[str, dict[str, str], dict[str, object]]:
    """Detail, headers and further members of the problem document for these faults."""
    faults = [{"path": fault.path, "code": fault.code, "message": fault.message} for fault in found]
    detail = f"There are {len(faults)} faults" if len(faults) > 1 else "There is 1 fault"
    return f"{detail}, listed under `errors`; nothing was changed.", {}, {"errors": faults}


def _method_not_allowed(error: HTTPException) -> Refusal:
    allowed = {name.lower(): value for name, value in (error.headers or {}).items()}.get("allow", "")
    return Refusal(
        405,
        "method-not-allowed",
        "This path takes other methods",
        f"This path takes {allowed or 'other methods'}.",
        headers={"allow": allowed},
    )


def _faults_of(error: HTTPException) -> str:
    """What Litestar found wrong with parameters, in a sentence."""
    if isinstance(error.extra, list):
        faults = [f"{fault.get('key', '?')}: {fault.get('message', '')}" for fault in error.extra]
        return "; ".join(faults)[:1000] + "."
    return error.detail
