"""What a run of some profiles says beyond its figures: where it broke, what drifts. Written to `analysis.json` before it is judged.

    climb.py      how a stress run chooses its next rate
    breaking.py   where goodput stopped following, what was full first, and the way back
    drift.py      whether something grows with time: a robust slope, its interval, and a bound
    scaling.py    speed-up, efficiency, and the Universal Scalability Law

These four are pure. `stress.py` and `soak.py` make their arguments out of an evidence folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from meshproof.analysis import soak, stress
from meshproof.ledger import read_document, write_document

ANALYSES: Final[dict[str, Callable[[Path], dict[str, Any] | None]]] = {
    "soak": soak.analyse,
    "stress": stress.analyse,
}
"""By profile. None is returned where the evidence is too little to say anything."""


def write(folder: Path) -> None:
    """Write `analysis.json`, where the profile of the run has one; the same evidence gives the same bytes."""
    profile = read_document(folder / "plan.json")["profile"]
    if profile in ANALYSES:
        found = ANALYSES[profile](folder)
        if found is not None:
            write_document(folder / "analysis.json", found)
