"""What a run looks like while it goes on: rates and how they went, percentiles so far, backlog, phases, events, verdict so far.

Pure: looks go in, something to print comes out. Who prints it, and when, is the display's affair.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meshproof.plan import Plan
from meshproof.stats import Histogram

KEPT: Final = 40
"""So many looks back goes the course of a rate."""
BAR: Final = 40
BLOCKS: Final = "▁▂▃▄▅▆▇█"
COUNTS: Final = ("accepted", "queued", "leased", "waiting", "terminal")
TOLD: Final = 3


class LiveView:
    """One run as it is seen so far."""

    def __init__(self, plan: Plan, accepts: Histogram, *, is_told: bool = True, looks_in: bool = True) -> None:
        """`accepts`: every latency of an acknowledgement so far; somebody else adds to it. `is_told`: the senders tell how far
        they are. `looks_in`: the looks are into the database as well."""
        self._is_told = is_told
        self._looks_in = looks_in
        self._missing: int | None = None
        self._plan = plan
        self._accepts = accepts
        self._looks: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._counts: dict[str, int] = {}
        self._happened: list[str] = []

    def see(self, look: dict[str, Any]) -> None:
        """A further look."""
        self._looks.append(look)
        # Not every look counts the runs: counting may take longer than the time between two.
        self._counts |= {name: look[name] for name in COUNTS if name in look}
        if "accepted" in look:
            self._missing = look["new"] - look["accepted"]

    def happened(self, what: str) -> None:
        """A fault, or a process that ended."""
        self._happened.append(what)

    def panel(self, elapsed_s: float) -> RenderableType:
        """All of it; `elapsed_s` is since the first request."""
        if not self._looks:
            return Text("")
        return Group(Text(""), self._phases(elapsed_s), Text(""), self._figures(), self._foot(), Text(""))

    def figures(self, elapsed_s: float) -> dict[str, Any]:
        """The same as data, after the first look; what is not known is None. `accept_ms` is of the last second."""
        look = {**self._looks[-1], **self._counts}
        recent = look.get("accept_recent_us")
        is_counted = "terminal" in look
        return {
            "t_s": round(elapsed_s, 3),
            "phase": look["phase"],
            "level": look["level"],
            "sent": look["sent"] if self._is_told else None,
            "acknowledged": look["ok"],
            "refused": look["fail"],
            "unknown": look["unknown"],
            "in_flight": look["in_flight"],
            **{name: look.get(name) for name in ("accepted", "queued", "leased", "waiting")},
            "finished": look.get("terminal"),
            "backlog": max(0, look["accepted"] - look["terminal"]) if is_counted else None,
            "missing": None if self._missing is None else max(0, self._missing),
            "per_s": {
                "sent": round(self._rate("sent"), 1),
                "acknowledged": round(self._rate("ok"), 1),
                "finished": round(self._rate("terminal"), 1) if is_counted else None,
            },
            "accept_ms": {name: value / 1e3 for name, value in recent.items()} if recent else None,
            "accept_ms_so_far": self._accepts.milliseconds(),
            "processor": {role: round(share, 3) for role, share in self._processor().items()},
        }

    def line(self, elapsed_s: float) -> str:
        """The same on one line, for whoever has no terminal."""
        look = {**self._looks[-1], **self._counts}
        parts = [f"{elapsed_s:4.0f} s"]
        if self._is_told:
            parts += [f"sent {look['sent']:,}", f"acknowledged {look['ok']:,}"]
        if look["fail"] or look["unknown"]:
            parts.append(f"refused {look['fail']:,}, unknown {look['unknown']:,}")
        if "terminal" in look:
            parts.append(f"finished {look['terminal']:,} (backlog {look['accepted'] - look['terminal']:,})")
        if latency := self._accepts.milliseconds():
            parts.append(f"accept p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
        return "  " + " · ".join([*parts, self.so_far().plain])

    def so_far(self) -> Text:
        """What can be said before the end: no run that was acknowledged is missing from a later snapshot."""
        if self._missing is None:
            if not self._looks_in:
                return Text("not known: somebody else looks into the database", "yellow")
            answers = "database" in self._looks[-1]
            return Text("counting") if answers else Text("the database does not answer", "yellow")
        if self._missing > 0:
            return Text(f"{self._missing:,} acknowledged runs are missing", "bold red")
        return Text("nothing missing so far", "green")

    def _phases(self, elapsed_s: float) -> RenderableType:
        if self._plan.levels:
            return self._levels()
        warm_s, all_s = self._plan.warmup_s, self._plan.warmup_s + self._plan.duration_s
        if elapsed_s >= all_s:
            return Text(f"{'━' * BAR}  ", "green") + Text("all is sent; waiting for the last runs")
        filled = round(BAR * elapsed_s / all_s)
        bar = Text("━" * filled, "green") + Text("━" * (BAR - filled), "bright_black")
        # The part no figure comes from has another colour.
        bar.stylize("yellow", 0, min(filled, round(BAR * warm_s / all_s)))
        phase = "warm-up" if elapsed_s < warm_s else "steady"
        return (
            bar + Text(f"  {phase}", "bold") + Text(f"  {elapsed_s:,.0f} of {all_s:,.0f} s, {_left(all_s - elapsed_s)}")
        )

    def _levels(self) -> RenderableType:
        look, all_n = self._looks[-1], sum(level.attempts for level in self._plan.levels)
        filled = round(BAR * look["sent"] / max(1, all_n))
        bar = Text("━" * filled, "green") + Text("━" * (BAR - filled), "bright_black")
        levels = Text("  ")
        for level in self._plan.levels:
            levels += Text(f"{level.in_flight:,} ", "bold" if level.in_flight == look["level"] else "bright_black")
        rate = self._rate("sent")
        left = f" {_left((all_n - look['sent']) / rate)}" if rate else ""
        return bar + levels + Text(f"in flight,{left or ' starting'}")

    def _figures(self) -> Table:
        look = {**self._looks[-1], **self._counts}
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", min_width=10)
        table.add_column(justify="right", min_width=10)
        table.add_column(justify="right", min_width=9)
        table.add_column(style="cyan", min_width=KEPT)
        for label, name in (("sent", "sent"), ("accepted", "accepted"), ("finished", "terminal")):
            if name == "sent" and not self._is_told:
                table.add_row(label, "by others", "", "")
            else:
                told = f"{look[name]:,}" if name in look else "?"
                table.add_row(label, told, f"{self._rate(name):,.0f}/s", sparkline(self._rates(name)))
        if "terminal" in look:
            backlogs = [one["accepted"] - one["terminal"] for one in self._looks if "terminal" in one]
            table.add_row("backlog", f"{backlogs[-1]:,}", "", sparkline([float(max(0, each)) for each in backlogs]))
        return table

    def _foot(self) -> Table:
        look = {**self._looks[-1], **self._counts}
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", min_width=10)
        table.add_column()
        if latency := self._accepts.milliseconds():
            said = "   ".join(f"{name.replace('_', '.')} {latency[name]:,.1f}" for name in ("p50", "p90", "p99", "max"))
            recent = look.get("accept_recent_us")
            now = f"   (last second: p99 {recent['p99'] / 1e3:,.1f})" if recent else ""
            table.add_row("accept ms", Text(said) + Text(now, "dim"))
        if look["fail"] or look["unknown"] or look["in_flight"]:
            known = f"{look['in_flight']:,}   refused {look['fail']:,}   unknown {look['unknown']:,}"
            table.add_row("in flight", known)
        if "queued" in look:
            table.add_row(
                "runs", f"queued {look['queued']:,}   leased {look['leased']:,}   waiting {look['waiting']:,}"
            )
        if shares := self._processor():
            table.add_row("processor", "   ".join(f"{role} {share:.0%}" for role, share in shares.items()))
        for number, what in enumerate(self._happened[-TOLD:]):
            label = f"{len(self._happened):,} events" if number == 0 else ""
            table.add_row(label, Text(what, "yellow", no_wrap=True, overflow="ellipsis"))
        table.add_row("so far", self.so_far())
        return table

    def _rate(self, name: str) -> float:
        return self._rates(name)[-1] if self._rates(name) else 0.0

    def _rates(self, name: str) -> list[float]:
        """By how much a counter rose a second, from each look that has it to the next."""
        looks = [look for look in self._looks if name in look]
        return [
            max(0.0, (after[name] - before[name]) / max(1e-9, (after["at_us"] - before["at_us"]) / 1e6))
            for before, after in pairwise(looks)
        ]

    def _processor(self) -> dict[str, float]:
        if len(self._looks) < 2:
            return {}
        before, look = self._looks[-2], self._looks[-1]
        seconds = max(1e-9, (look["at_us"] - before["at_us"]) / 1e6)
        return {
            role: max(0.0, usage["cpu_s"] - before["roles"][role]["cpu_s"]) / seconds
            for role, usage in look["roles"].items()
            if role in before["roles"]
        }


def sparkline(values: list[float]) -> str:
    """Values as a row of blocks, from nothing to the largest of them."""
    most = max(values, default=0.0)
    if most <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(value / most * len(BLOCKS)))] for value in values)


def _left(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02} min left" if minutes else f"{rest} s left"
