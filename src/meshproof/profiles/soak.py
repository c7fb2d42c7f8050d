"""`run soak`: an ordinary load for a long time, and whether anything grows that must not.

It is `run load`, with an engine that forgets the keys of deliveries soon enough for that to be seen, and a judgement on trends
(meshproof.analysis.soak) beside all others. Nothing of the suite grows with the time either: ledgers and samples are on disk, and
are judged in DuckDB, which spills.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from meshproof.display import Display
from meshproof.profiles import load
from meshproof.profiles.session import Result
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper

UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}
FORGET_SHARE: Final = 0.2
FORGET_H_MIN: Final = 0.02
FORGET_H_MAX: Final = 0.5


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> Result:
    """A long load, judged by its trends too."""
    return await load.run(
        replace(settings, profile="soak", engine={"dedupe_hours": f"{forget_h(settings):g}"}), display, reaper
    )


def forget_h(settings: RunSettings) -> float:
    """After how many hours the engine forgets a delivery's key: well within the run, and well after any redelivery of it."""
    return min(FORGET_H_MAX, max(FORGET_H_MIN, settings.duration_s / 3_600 * FORGET_SHARE))


def seconds_of(text: str) -> float | None:
    """The seconds in `90s`, `30m`, `4h` or `1800`; None when it is no such length."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    return float(found[1]) * UNITS_S[found[2] or "s"] if found else None
