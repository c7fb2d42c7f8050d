"""The folder of one run: what is in it is in docs/concurrency/evidence.md."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from meshproof.ledger import read_document

FOLDERS = ("sent", "effects", "stored", "samples", "logs", "scenarios", "locust", "flames")
FILES = (
    "plan.json",
    "requests.ndjson",
    "k6.json",
    "phases.json",
    "generator.json",
    "incidents.ndjson",
    "faults.ndjson",
    "versions.json",
    "floor.json",
    "analysis.json",
    "verdicts.json",
    "summary.json",
    "histograms.json",
    "levels.json",
    "report.html",
)
SERIES_FILES = ("series.json", "summary.json", "report.html")


class EvidenceError(RuntimeError):
    """The folder cannot take the evidence of a run; the message says why and what to do."""


def prepare(folder: Path) -> Path:
    """An empty folder for the evidence of a run; a run that was there before is removed, anything else is left
    alone."""
    if folder.exists() and not folder.is_dir():
        raise EvidenceError(f"{folder} is a file. Choose a folder with --out.")
    known = {*FOLDERS, *FILES}
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.exists() else []
    if strangers:
        raise EvidenceError(
            f"{folder} holds {', '.join(strangers[:3])}, which is no evidence of a run. Choose another folder with --out."
        )
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    try:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        (folder / "samples").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def prepare_series(folder: Path) -> Path:
    """An empty folder for the evidence of several runs, each in a folder of its own; as `prepare`, only what was there before of
    such a series is removed."""
    if folder.exists() and not folder.is_dir():
        raise EvidenceError(f"{folder} is a file. Choose a folder with --out.")
    inside = sorted(folder.iterdir()) if folder.exists() else []
    strangers = [path.name for path in inside if path.name not in SERIES_FILES and not _holds_evidence_alone(path)]
    if strangers:
        raise EvidenceError(
            f"{folder} holds {', '.join(strangers[:3])}, which is no evidence of a run. Choose another folder with --out."
        )
    try:
        for path in inside:
            if path.is_dir():
                shutil.rmtree(prepare(path))
            else:
                path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _holds_evidence_alone(folder: Path) -> bool:
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {*FOLDERS, *FILES}


def _unwritable(folder: Path, error: OSError) -> EvidenceError:
    return EvidenceError(f"{folder} can't be written to: {error.strerror}. Choose another folder with --out.")


def require(folder: Path) -> Path:
    """A folder that holds the evidence of a run; without a plan that says what was run there is nothing to judge."""
    if not (folder / "plan.json").exists():
        raise EvidenceError(f"{folder} holds no evidence of a run: there is no plan.json in it.")
    try:
        told = "profile" in read_document(folder / "plan.json")
    except (OSError, TypeError, msgspec.DecodeError):
        told = False
    if not told:
        raise EvidenceError(f"{folder / 'plan.json'} is no plan of a run: it is cut short, or of something else.")
    return folder
