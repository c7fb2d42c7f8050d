"""What a run shows while it goes on: a panel on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from meshproof.observe import Observer
from meshproof.plan import Plan
from meshproof.supervise import Incidents

LINE_EVERY_S = 5.0


class Display:
    """Shows one run. Steps stay on the screen, what goes on now is drawn over itself."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        """`quiet` shows nothing at all: somebody reads JSON."""
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._step = ""
        self._step_began = 0.0
        self._note = ""
        self._plan: Plan | None = None
        self._incidents: Incidents | None = None
        self._began = 0.0
        self._last_line_at = 0.0
        self._look: dict[str, Any] = {}
        self._look_before: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish_step(failed=kind is not None)
        if self._live is not None:
            self._live.stop()

    def step(self, what: str) -> None:
        """The next part of the story begins."""
        self._finish_step()
        self._step, self._note, self._step_began = what, "", time.monotonic()

    def finish(self) -> None:
        """The step is over, and none follows at once."""
        self._finish_step()

    def note(self, what: str) -> None:
        """What came of the step; shown behind it."""
        self._note = what

    def say(self, what: Text) -> None:
        """One line that stays, while the step goes on."""
        if not self._quiet:
            self._console.print(what, soft_wrap=True)

    def watch(self, observer: Observer | None, incidents: Incidents, plan: Plan) -> None:
        """Show what an observer sees from now on; None ends it."""
        self._plan, self._incidents = plan, incidents
        self._began = self._last_line_at = time.monotonic()
        self._look = self._look_before = {}
        if observer is not None:
            observer.on_look = self._on_look
        else:
            self._plan = None

    def _finish_step(self, *, failed: bool = False) -> None:
        if self._step and not self._quiet:
            took = f"{time.monotonic() - self._step_began:.1f} s"
            mark = Text("✗ ", "bold red") if failed else Text("✓ ", "bold green")
            said = f"  {self._note}  {took}" if self._note else f"  {took}"
            self._console.print(mark + Text(self._step) + Text(said, "dim"), soft_wrap=True)
        self._step = ""

    def _on_look(self, look: dict[str, Any]) -> None:
        self._look_before, self._look = self._look, look
        for incident in self._new_incidents():
            self._console.print(Text("! ", "bold yellow") + Text(incident))
        if self._live is None and not self._quiet and time.monotonic() - self._last_line_at >= LINE_EVERY_S:
            self._last_line_at = time.monotonic()
            self._console.print(self._line(), style="dim", highlight=False, soft_wrap=True)

    def _new_incidents(self) -> list[str]:
        if self._incidents is None or self._quiet:
            return []
        shown, self._incidents.unseen = self._incidents.unseen, []
        return shown

    def _line(self) -> str:
        look = self._look
        parts = [f"{time.monotonic() - self._began:4.0f} s", f"sent {look['sent']:,}", f"acknowledged {look['ok']:,}"]
        if look["fail"] or look["unknown"]:
            parts.append(f"refused {look['fail']:,}, unknown {look['unknown']:,}")
        if "terminal" in look:
            parts.append(f"finished {look['terminal']:,} (backlog {look['accepted'] - look['terminal']:,})")
        if recent := look.get("accept_recent_us"):
            parts.append(f"accept p50 {recent['p50'] / 1e3:.1f} ms, p99 {recent['p99'] / 1e3:.1f} ms")
        return "  " + " · ".join([*parts, self._so_far()])

    def _so_far(self) -> str:
        """What can be said before the end: no run that was acknowledged is missing from a later snapshot."""
        if "accepted" not in self._look:
            # Counting takes its time, so not every look counts.
            return "the database does not answer" if "database" not in self._look else "counting"
        missing = self._look["new"] - self._look["accepted"]
        return f"{missing:,} acknowledged runs are missing" if missing > 0 else "nothing missing so far"

    def _draw(self) -> RenderableType:
        step = Spinner("dots", Text(self._step, "bold"))
        return Group(step, self._panel()) if self._plan is not None and self._look else step

    def _panel(self) -> RenderableType:
        assert self._plan is not None
        look = self._look
        table = Table.grid(padding=(0, 3))
        table.add_column(style="dim", min_width=12)
        table.add_column(min_width=30)
        table.add_column(style="dim")
        table.add_column()
        accepted, finished = self._rate("accepted"), self._rate("terminal")
        recent = look.get("accept_recent_us") or {"p50": 0, "p99": 0}
        backlog = look.get("accepted", 0) - look.get("terminal", 0)
        rows = [
            ("sent", f"{look['sent']:,}  ({self._rate('sent'):,.0f}/s)", "in flight", f"{look['in_flight']:,}"),
            ("accepted", f"{look.get('accepted', 0):,}  ({accepted:,.0f}/s)", "backlog", f"{backlog:,}"),
            (
                "finished",
                f"{look.get('terminal', 0):,}  ({finished:,.0f}/s)",
                "accept",
                f"p50 {recent['p50'] / 1e3:.1f} ms, p99 {recent['p99'] / 1e3:.1f} ms",
            ),
            ("refused", f"{look['fail']:,}", "unknown", f"{look['unknown']:,}"),
        ]
        for row in rows:
            table.add_row(*row)
        below = Table.grid(padding=(0, 3))
        below.add_column(style="dim", min_width=12)
        below.add_row("processor", self._processor())
        below.add_row("so far", self._so_far())
        return Group(self._bar(), table, below)

    def _bar(self) -> RenderableType:
        assert self._plan is not None
        if self._plan.levels:
            total = sum(level.attempts for level in self._plan.levels)
            done = self._look["sent"]
            text = f"level {self._look['level'] or self._plan.levels[0].in_flight:,}"
        else:
            total = round(self._plan.warmup_s + self._plan.duration_s)
            done = min(total, round(time.monotonic() - self._began))
            text = f"{self._look['phase']}  {done} of {total} s"
        grid = Table.grid(padding=(0, 2))
        grid.add_row(ProgressBar(total=total, completed=done, width=40), Text(text, "dim"))
        return grid

    def _rate(self, name: str) -> float:
        look, before = self._look, self._look_before
        if name not in look or name not in before:
            return 0.0
        return float((look[name] - before[name]) / max(1e-9, (look["at_us"] - before["at_us"]) / 1e6))

    def _processor(self) -> str:
        look, before = self._look, self._look_before
        if not before:
            return ""
        seconds = max(1e-9, (look["at_us"] - before["at_us"]) / 1e6)
        shares = {
            role: (usage["cpu_s"] - before["roles"][role]["cpu_s"]) / seconds
            for role, usage in look["roles"].items()
            if role in before["roles"]
        }
        return "  ".join(f"{role} {share:.0%}" for role, share in shares.items())
