"""What a run shows while it goes on: a panel on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final, Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from meshproof.judge.verdicts import Result, Verdicts
from meshproof.live.events import Events
from meshproof.live.figures import LiveFigures
from meshproof.live_view import LiveView
from meshproof.observe import Observer
from meshproof.plan import Plan
from meshproof.supervise import Incidents

LINE_EVERY_S = 5.0
Part = Literal["planning", "starting", "load", "drain", "saving", "judging"]
PLANNED: Final = (
    "profile", "scenario", "seed", "namespace", "rate", "arrivals", "warmup_s", "duration_s", "levels", "attempts", "deliveries",
    "digest", "faults", "adapted", "command",
)  # fmt: skip
"""What is told of a plan when a run begins."""


class Display:
    """Shows one run. Steps stay on the screen, what goes on now is drawn over itself."""

    def __init__(self, console: Console, *, quiet: bool = False, events: Events | None = None) -> None:
        """`quiet` shows nothing at all: somebody reads JSON. `events`: who tells it to a program as well."""
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._step = ""
        self._step_began = 0.0
        self._note = ""
        self._part: Part | None = None
        self._view: LiveView | None = None
        self._incidents: Incidents | None = None
        self._began = 0.0
        self._last_line_at = 0.0
        self.live = LiveFigures()
        """What is shown to those who scrape it."""
        self.events = events or Events(None)
        """What is told to a program that shows it."""

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish_step(failed=kind is not None)
        if self._live is not None:
            self._live.stop()

    def planned(self, plan: dict[str, Any]) -> None:
        """What is going to be done, as in `plan.json`."""
        self.events.tell("started", **{name: plan[name] for name in PLANNED if name in plan})

    def hear(self, incidents: Incidents) -> None:
        """Tell at once what happens to the processes of a run."""
        incidents.on_incident = lambda role, pid, what: self.events.tell("incident", role=role, pid=pid, what=what)
        incidents.on_fault = lambda kind, target, begun: self.events.tell(
            "fault", kind=kind, target=target, state="begun" if begun else "healed"
        )

    def step(self, what: str, part: Part | None = None) -> None:
        """The next step of the story begins, and with it a part of it, if it is named."""
        self._part = part or self._part
        self.events.tell("step", part=self._part, what=what)
        self._finish_step()
        self._step, self._note, self._step_began = what, "", time.monotonic()

    def finish(self) -> None:
        """The step is over, and none follows at once."""
        self._finish_step()

    def note(self, what: str) -> None:
        """What came of the step; shown behind it."""
        self.events.tell("note", what=what)
        self._note = what

    def say(self, what: Text) -> None:
        """One line that stays, while the step goes on."""
        if not self._quiet:
            self._console.print(what, soft_wrap=True)

    def watch(self, observer: Observer | None, incidents: Incidents, plan: Plan) -> None:
        """Show what an observer sees from now on; None ends it."""
        self._incidents = incidents
        self._began = self._last_line_at = time.monotonic()
        self._view = None
        if observer is not None:
            self._view = LiveView(plan, observer.accepts, is_told=observer.is_told, looks_in=observer.looks_in)
            observer.on_look = self._on_look
            observer.on_progress = lambda look, seen: self.live.saw(look, seen.recent_us, seen.recent_lag_us)

    def held(self, result: Result, seconds: float) -> None:
        """One invariant was judged. Called from another thread."""
        members = {name: getattr(result, name) for name in ("name", "family", "says", "verdict", "checked", "count")}
        self.events.tell(
            "judged", **members, sentence=result.sentence, of_what=result.of_what, took_s=round(seconds, 3)
        )

    def judged(self, verdicts: Verdicts) -> None:
        """The judge has spoken."""
        self.live.judged(verdicts)

    def _finish_step(self, *, failed: bool = False) -> None:
        if self._step and not self._quiet:
            took = f"{time.monotonic() - self._step_began:.1f} s"
            mark = Text("✗ ", "bold red") if failed else Text("✓ ", "bold green")
            said = f"  {self._note}  {took}" if self._note else f"  {took}"
            self._console.print(mark + Text(self._step) + Text(said, "dim"), soft_wrap=True)
        self._step = ""

    def _on_look(self, look: dict[str, Any]) -> None:
        assert self._view is not None
        self._view.see(look)
        self.events.tell("figures", **self._view.figures(time.monotonic() - self._began))
        for incident in self._new_incidents():
            self._view.happened(incident)
            self._console.print(Text("! ", "bold yellow") + Text(incident))
        if self._live is None and not self._quiet and time.monotonic() - self._last_line_at >= LINE_EVERY_S:
            self._last_line_at = time.monotonic()
            said = self._view.line(time.monotonic() - self._began)
            self._console.print(said, style="dim", highlight=False, soft_wrap=True)

    def _new_incidents(self) -> list[str]:
        if self._incidents is None or self._quiet:
            return []
        shown, self._incidents.unseen = self._incidents.unseen, []
        return shown

    def _draw(self) -> RenderableType:
        step = Spinner("dots", Text(self._step, "bold"))
        return step if self._view is None else Group(step, self._view.panel(time.monotonic() - self._began))
