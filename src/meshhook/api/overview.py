"""``/api/v1/overview`` and ``/api/v1/doctor``: how things are, and what to do about them."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from meshhook import overview
from meshhook.api.probes import Vitals
from meshhook.api.shared import Caller, problems_of
from meshhook.errors import Refusal, Unavailable
from meshhook.keys import is_operator
from meshhook.metrics.door import DoorMetrics
from meshhook.metrics.state import StateMetrics
from meshhook.overview import Checkup, Overseer, Overview


@get("/api/v1/overview", summary="How things are", responses=problems_of())
async def get_overview(
    caller: NamedDependency[Caller],
    overseer: NamedDependency[Overseer],
    state_metrics: NamedDependency[StateMetrics],
    door_metrics: NamedDependency[DoorMetrics],
    vitals: NamedDependency[Vitals],
) -> Overview:
    """What waits in the project, and, for keys of the project `default`, door, workers and database. Some seconds old at most."""
    await state_metrics.refresh()
    found, storage, pressure = state_metrics.latest(), state_metrics.storage, vitals.pressure
    if found is None or storage is None or pressure is None:
        raise Unavailable("there are no figures of the database yet, or none that are new enough")
    at, project = await overseer.project(caller.project_id, found)
    if not is_operator(caller.project_id):
        return Overview(at=at, project=project, installation=None)
    installation = overview.installation(
        found,
        storage,
        pressure,
        await overseer.workers(),
        live_runs_max=int(door_metrics.watched["meshhook_backlog_runs_max"]()),
        slowed=bool(door_metrics.watched["meshhook_door_slowed"]()),
        full=bool(door_metrics.watched["meshhook_door_full"]()),
    )
    return Overview(at=at, project=project, installation=installation)


@get("/api/v1/doctor", summary="What is not well, and what to do", responses=problems_of(403))
async def get_checkup(caller: NamedDependency[Caller], overseer: NamedDependency[Overseer]) -> Checkup:
    """What `meshhook doctor` checks in the database; read every 15 seconds at most. For keys of the project `default`."""
    if not is_operator(caller.project_id):
        raise Refusal(
            403,
            "not-operator",
            "This is for operators",
            "It is about the whole installation. Ask with a key of the project `default`.",
        )
    return await overseer.checkup()


HANDLERS = [get_overview, get_checkup]
