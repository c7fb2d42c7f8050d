"""Two tests, or two series of them, compared by `meshproof compare` (docs/concurrency/comparing.md)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from meshhook.errors import Refusal
from meshhook.lab import suite
from meshhook.lab.shelf import Shelf
from meshhook.lab.suite import SuiteError


class ComparedFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both sides. ``ratio`` is B to A; ``low`` to ``high`` its interval, with enough tests of each."""

    metric: str
    better: str
    a: float
    b: float
    ratio: float | None
    low: float | None
    high: float | None
    word: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs. ``obstacles``: why the two should not be compared; ``notes``: what else to know."""

    verdict: str
    figures: list[ComparedFigure]
    obstacles: list[str]
    notes: list[str]


async def compare(shelf: Shelf, a: list[str], b: list[str]) -> Comparison:
    """Compare tests that have ended. Raises Refusal: one is not there, or has no figures; SuiteError."""
    with tempfile.TemporaryDirectory(prefix="meshhook-lab-") as made:
        places = [_side(shelf, Path(made) / name, ids) for name, ids in (("a", a), ("b", b))]
        # Its exit code tells what came of it: no worse, worse, nothing to be told.
        printed = await suite.ask(["compare", *map(str, places), "--anyway", "--json"], codes=(0, 1, 2))
    try:
        return msgspec.json.decode(printed, type=Comparison)
    except msgspec.MsgspecError as error:
        raise SuiteError(f"meshproof compare printed something else than it should: {error}.") from error


def _side(shelf: Shelf, folder: Path, ids: list[str]) -> Path:
    folder.mkdir()
    for number, id in enumerate(ids):
        evidence = shelf.evidence(id)
        if not (evidence / "summary.json").exists():
            raise Refusal(
                409,
                "test-without-figures",
                "There is nothing to compare",
                f"Test {id} has no figures: it is under way still, or did not come to its end.",
            )
        (folder / f"{number:03}").symlink_to(evidence.absolute())
    return folder
