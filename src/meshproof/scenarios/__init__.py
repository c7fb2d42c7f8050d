"""Scenarios: what is sent, and what must come of it.

A scenario is one file in this folder, and its name is the name of the file. The file holds

- `DEFINITION`: the workflow, as in docs/reference/definition.md;
- `payload(seed, index) -> bytes`: the body of delivery number `index`, a function of its arguments alone;
- `model(body) -> Expected`: what a run of this body must end with, in plain Python. It is the reference model, so it
  shares no code with any engine and evaluates no expression language.

and, where they differ from the usual,

- `CONTENT_TYPE` of the body (JSON);
- `REDELIVERED` and `CONFLICTED`: the shares of attempts that repeat an earlier delivery, with the same and with another
  body (0);
- `BLEND`: `{scenario: weight}`, when the deliveries are spread over several scenarios (this one may be among them);
- `lane(body) -> str` and `SLOTS`: which lane the run of a body belongs to, and how many runs of one may be worked on at once,
  when the definition has a limit (none);
- `signals(body) -> tuple[Signal, ...]`: what comes to the run of a body from outside, once it is stored (nothing);
- `PROJECT`: the project its workflow is in (`default`); a text made by `canary(project, …)` is to be seen in that one alone;
- `BACKLOG`: runs of another scenario that are put in all at once, early in the steady phase (none);
- `DRAIN_S`: how many seconds a run may take after the last reply, when it sleeps longer than others (60);
- `CONFIG`: the settings of its endpoint (none);
- `ENGINE`: settings of an engine of our own that differ from the usual (none);
- `ACTS`: what is done to the engine meanwhile, by calls of its API (nothing);
- `headers(body, delivery, now_s) -> dict`: what a request carries beside its body, such as a signature (nothing);
- `refusal(body) -> Refusal | None`: as what a delivery must be refused (none is);
- `reply(body) -> Reply`: what a caller who waits is answered, where the endpoint lets him wait;
- `model_of(body, version) -> Expected`: the model where acts publish further versions;
- `CANCELLABLE`: whether acts may cancel its runs, which then end as the model says or as cancelled (False);
- `SCHEDULES`: the schedules that acts begin, by name (none);
- `AUDIENCE`: who watches live streams meanwhile (nobody);
- `GATHER` and `gathered_by(body) -> str`: how its endpoint gathers deliveries, and which come together (each has a run of its own);
  `model` then takes what a run is made of: a list of bodies, or the last one.

Some things of a definition are known only when a run begins, and stand in it by a name until then: `http://sink.test` (`SINK`) is
the server of the suite that calls go to, `@workflow:pipeline` the workflow of another scenario of the blend, and `@in:20s` the
moment 20 seconds after the workflow was published. In an act `@here` stands for the workflow and the endpoint of its scenario.

The first line of the docstring is what `meshproof scenarios` shows. A file elsewhere is a scenario too, once it is adopted
(meshproof.scenario_file); so is a workflow alone, which then has no model (meshproof.own).
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple

SINK: Final = "http://sink.test"
"""Stands in a definition for the address of the sink (meshproof.sink)."""

OWN: Final = "MESHPROOF_SCENARIO_FILES"
"""The variable of the environment that holds the files of the user's own scenarios, so that the processes of a run know them."""

WORKFLOW: Final = ".json"
"""How the name of a file ends that holds a workflow to be tested as it is."""

GIVEN: Final[dict[str, bytes]] = {}
"""What such files hold that are written when the run has a folder (meshproof.scenario_file.keep); by the name of the scenario."""

DRAIN_S: Final = 60.0

HOME: Final = "default"
"""The project of whoever shows no key."""


class Expected(NamedTuple):
    """How a run must end."""

    status: str
    """`completed`, `failed` or `cancelled`."""
    output: Any
    """The output of the run as JSON data; None for a run that failed or was cancelled without one."""


class Signal(NamedTuple):
    """What comes to a run from outside."""

    after_s: float
    """So long after the run was seen stored."""
    what: Literal["event", "cancel"]
    name: str = ""
    """Of the event."""
    key: str = ""
    """Of the event: which runs it is for."""
    payload: Any = None


class Act(NamedTuple):
    """A call of the engine's API that changes something, for the judge to know of."""

    name: str
    """What the judge knows it by."""
    at: float
    """When, as a part of the steady phase: 0 is its beginning, 1 its end; `BEFORE` is before anything is sent."""
    method: str
    path: str
    document: Any = None
    followed: bool = False
    """It begins something that goes on: its reply counts when the `state` of that is `working` no more."""


BEFORE: Final = -1.0
RESTART: Final = "RESTART"
"""In place of a method: the process of this role (`path`) is ended in good order, and started again."""


class Refusal(NamedTuple):
    """As what a delivery must be refused."""

    problem: str
    """The type of the problem."""
    since: str = ""
    """The act since which it must be refused, and before which it is good; empty: it never is."""


class Reply(NamedTuple):
    """What a caller who waits is answered."""

    status: int
    body: Any
    """As JSON data."""


class Schedule(NamedTuple):
    """A schedule as the judge knows it. An act `begin NAME` begins it, an act `pause NAME` ends it."""

    every_us: int
    """It ticks whenever the Unix time is a whole multiple of this."""
    overlap: str
    """`allow`, `skip` or `queue`."""
    missed: str
    """`once`, `all` or `skip`: what becomes of ticks that came more than the grace too late."""
    grace_s: float


class Audience(NamedTuple):
    """Subscribers of live streams, spread over the scenarios of the blend."""

    of_workflows: int
    """So many subscribe to a workflow before anything is sent."""
    of_runs: int
    """So many take up one run after the other."""
    quitting_share: float
    """This part of them breaks off again and again, and goes on with its cursor."""
    slow_share: float
    """This part of the others reads slowly while things are sent."""
    stay_s: float
    """Who breaks off the stream of a workflow stays so long, half as much more or less."""
    stay_in_run_s: float
    """The same for the stream of a run, which is soon over."""


class Gather(NamedTuple):
    """How an endpoint gathers deliveries of one key."""

    kind: Literal["batch", "debounce"]
    wait_s: float
    """A batch starts so long after its first delivery, a debounce so long after its last."""
    longest_s: float
    """So long after the first delivery at the latest."""
    size_max: int


class Backlog(NamedTuple):
    """Runs that are put in all at once, early in the steady phase, and stand while the rest is sent."""

    scenario: str
    """What they are."""
    runs: int
    """How many are to stand; another number may be asked for."""


@dataclass(frozen=True)
class Scenario:
    """One file of this folder, loaded."""

    name: str
    summary: str
    definition: dict[str, Any]
    payload: Callable[[int, int], bytes]
    model: Callable[[bytes], Expected]
    content_type: str
    redelivered: float
    conflicted: float
    blend: Mapping[str, int]
    """Weights of the scenarios its deliveries are spread over; itself alone when it is no blend."""
    drain_s: float
    """After the last reply every run of it is finished within so many seconds."""
    lane: Callable[[bytes], str] | None
    """Which lane the run of a body belongs to; None without a limit."""
    slots: int
    """How many runs of a lane may be worked on at once."""
    signals: Callable[[bytes], tuple[Signal, ...]] | None
    """What comes to the run of a body from outside; None when nothing ever does."""
    project: str
    """Where its workflow is."""
    backlog: Backlog | None
    """What is put in beside its deliveries; None when nothing is."""
    config: dict[str, Any] | None = None
    """What its endpoint asks of a delivery."""
    engine: Mapping[str, str] = field(default_factory=dict)
    """Settings of an engine of our own that differ from the usual."""
    acts: tuple[Act, ...] = ()
    """What is done to the engine meanwhile, in this order."""
    headers: Callable[[bytes, str, float], Mapping[str, str]] | None = None
    """What a request carries, by its body, its delivery id and the time (Unix seconds); None when nothing beside the usual."""
    refusal: Callable[[bytes], Refusal | None] | None = None
    """As what a body must be refused; None when all are good."""
    reply: Callable[[bytes], Reply] | None = None
    """What the caller is answered; None when nobody waits."""
    model_of: Callable[[bytes, int], Expected] | None = None
    """The model by the version of the workflow; None when there is but one."""
    cancellable: bool = False
    """Whether its runs may also end as cancelled."""
    audience: Audience | None = None
    """Who watches meanwhile; None when nobody does."""
    gather: Gather | None = None
    """How its endpoint gathers deliveries; None when each has a run of its own."""
    gathered_by: Callable[[bytes], str] | None = None
    """By which key a body is gathered."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """The schedules that start runs of it, by name."""
    modelled: bool = True
    """Whether `model` knows what must come of a body; a workflow that is tested as it is has none (meshproof.own)."""
    adapted: tuple[str, ...] = ()
    """What of such a workflow was changed for the test, a sentence each."""
    varies: str = ""
    """Why two runs of one body of it may rightly end differently; empty where they may not."""

    @property
    def members(self) -> list[str]:
        """Every scenario that has runs when this one is driven."""
        return sorted({*self.blend, *((self.backlog.scenario,) if self.backlog else ())})

    def expected(self, seed: int, index: int) -> Expected:
        """How the run of delivery `index` must end."""
        return self.model(self.payload(seed, index))


class UnknownScenarioError(LookupError):
    """There is no file of this name in the folder of scenarios."""


def names() -> list[str]:
    """Every scenario, in alphabetical order."""
    return sorted({*built_in(), *own_files()})


def built_in() -> list[str]:
    """Those of the suite."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def own_files() -> dict[str, Path]:
    """The files of the user's own, by name."""
    files = [Path(file) for file in os.environ.get(OWN, "").split(os.pathsep) if file]
    return {file.stem: file for file in files}


@cache
def load(name: str) -> Scenario:
    """Load a scenario by its name; raises UnknownScenarioError, naming those that exist."""
    if name not in names():
        raise UnknownScenarioError(f"There is no scenario {name!r}. There are: {', '.join(names())}.")
    if (file := own_files().get(name)) is not None and file.suffix == WORKFLOW:
        from meshproof.own.scenario import scenario_of

        return scenario_of(name, GIVEN[name] if name in GIVEN else file.read_bytes())
    module = _module(name)
    summary = (module.__doc__ or name).strip().splitlines()[0]
    return Scenario(
        name=name,
        summary=summary,
        definition=module.DEFINITION,
        payload=module.payload,
        model=module.model,
        content_type=getattr(module, "CONTENT_TYPE", "application/json"),
        redelivered=getattr(module, "REDELIVERED", 0.0),
        conflicted=getattr(module, "CONFLICTED", 0.0),
        blend=getattr(module, "BLEND", {name: 1}),
        drain_s=getattr(module, "DRAIN_S", DRAIN_S),
        lane=getattr(module, "lane", None),
        slots=getattr(module, "SLOTS", 0),
        signals=getattr(module, "signals", None),
        project=getattr(module, "PROJECT", HOME),
        backlog=getattr(module, "BACKLOG", None),
        config=getattr(module, "CONFIG", None),
        engine=getattr(module, "ENGINE", {}),
        acts=getattr(module, "ACTS", ()),
        headers=getattr(module, "headers", None),
        refusal=getattr(module, "refusal", None),
        reply=getattr(module, "reply", None),
        model_of=getattr(module, "model_of", None),
        cancellable=getattr(module, "CANCELLABLE", False),
        audience=getattr(module, "AUDIENCE", None),
        gather=getattr(module, "GATHER", None),
        gathered_by=getattr(module, "gathered_by", None),
        schedules=getattr(module, "SCHEDULES", {}),
    )


class _Unkept(SourceFileLoader):
    """Leaves no bytecode beside a file that is the user's own, or is evidence."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def _module(name: str) -> ModuleType:
    if name in built_in():
        return import_module(f"{__name__}.{name}")
    place, file = f"{__name__}.own.{name}", own_files()[name]
    spec = spec_from_file_location(place, file, loader=_Unkept(place, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Whoever makes classes by decorators looks their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def canary(project: str, song: str = "") -> str:
    """A text that belongs to a project: whoever finds it elsewhere has found a leak."""
    return f"canary-{project}-{song}"
