"""Everything a report is made of, read from an evidence folder; what is missing is noted, and nothing fails for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from meshproof.judge.verdicts import Verdicts, read

DOCUMENTS: Final = ("plan", "summary", "generator", "versions", "phases", "floor", "levels", "analysis")
OPTIONAL: Final = frozenset({"floor", "levels", "analysis"})
"""Not every profile and target has them."""


@dataclass
class Gathered:
    """The documents of a run. What could not be read is `None` or empty, and has its reason in `missing`."""

    folder: Path
    documents: dict[str, Any] = field(default_factory=dict)
    verdicts: Verdicts | None = None
    observations: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What became of the planned ones, if there were any."""
    missing: dict[str, str] = field(default_factory=dict)
    """File → why it could not be used."""

    def part(self, name: str) -> dict[str, Any]:
        """A document that is an object; empty when it is missing or is none."""
        document = self.documents.get(name)
        return document if isinstance(document, dict) else {}

    def parts(self, name: str) -> list[dict[str, Any]]:
        """A document that is a list of objects; what is none is left out."""
        document = self.documents.get(name)
        return [line for line in document if isinstance(line, dict)] if isinstance(document, list) else []


def gather(folder: Path) -> Gathered:
    """Read an evidence folder."""
    gathered = Gathered(folder)
    for name in DOCUMENTS:
        _read_document(gathered, name)
    path = folder / "verdicts.json"
    try:
        gathered.verdicts = read(path.read_bytes())
    except FileNotFoundError:
        gathered.missing[path.name] = "is not there: the evidence was not judged"
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        gathered.missing[path.name] = f"cannot be read: {error}"
    gathered.observations = _read_lines(gathered, "samples/observe.ndjson")
    gathered.incidents = _read_lines(gathered, "incidents.ndjson")
    if gathered.part("plan").get("faults"):
        gathered.faults = _read_lines(gathered, "faults.ndjson", "number")
    return gathered


def _read_document(gathered: Gathered, name: str) -> None:
    path = gathered.folder / f"{name}.json"
    try:
        gathered.documents[name] = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        if name not in OPTIONAL:
            gathered.missing[path.name] = "is not there"
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        gathered.missing[path.name] = f"cannot be read: {error}"


def _read_lines(gathered: Gathered, name: str, order: str = "at_us") -> list[dict[str, Any]]:
    lines = []
    try:
        with (gathered.folder / name).open("rb") as file:
            for line in file:
                value = msgspec.json.decode(line)
                if isinstance(value, dict) and isinstance(value.get(order), int):
                    lines.append(value)
    except FileNotFoundError:
        gathered.missing[name] = "is not there"
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        gathered.missing[name] = f"cannot be read to its end: {error}"
    return sorted(lines, key=lambda line: line[order])
