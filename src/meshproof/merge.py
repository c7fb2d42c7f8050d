"""Brings the ledgers of several senders of one plan together, in one evidence folder that is judged as if one had sent it all.

A sender's part is either an evidence folder (a slice of the native generator, a worker of Locust), a folder of such folders, or a
file that k6 has written. All of them must be of the same plan and the same namespace, or nothing is merged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from meshproof import phases
from meshproof.ledger import LineWriter, read_document, read_lines, write_document
from meshproof.load import k6
from meshproof.phases import Phase
from meshproof.plan import Plan
from meshproof.plan_file import plan_of

LEDGERS: Final = ("attempts", "outcomes")
SAME: Final = ("digest", "namespace", "scenario", "seed")


class MergeError(ValueError):
    """The parts cannot be brought together; the message says why."""


def merge(out: Path, sent: list[Path]) -> None:
    """Put the parts into `out`, which has the plan or gets it from them. Raises MergeError, K6Error."""
    parts = [part for path in sent for part in _parts(path)]
    folders, files = [part for part in parts if part.is_dir()], [part for part in parts if not part.is_dir()]
    plan = _agreed(out, folders)
    out.mkdir(parents=True, exist_ok=True)
    _clear(out / "sent")
    certificates = [_take(out, number, folder) for number, folder in enumerate(folders)]
    certificates += [_take_k6(out, len(folders) + number, file, plan) for number, file in enumerate(files)]
    write_document(out / "generator.json", together(certificates))
    phases.write(out, _phases(out, folders))
    write_document(out / "plan.json", plan)


def together(certificates: list[dict[str, Any]]) -> dict[str, Any]:
    """One certificate of several senders: what each could not do counts, and the one with the least to spare speaks for all."""
    measured = [each for each in certificates if each["target_per_s"]]
    target = sum(each["target_per_s"] for each in measured)
    spare = [(each["calibration_per_s"] or 0.0) / each["target_per_s"] for each in measured]
    uncalibrated = any(each["calibration_per_s"] is None for each in measured)
    return {
        "processes": [
            {**process, "process": f"{number}.{process['process']}"}
            for number, each in enumerate(certificates)
            for process in each["processes"]
        ],
        "target_per_s": target or None,
        "calibration_per_s": None if uncalibrated or not measured else min(spare) * target,
        "calibration": None,
        "cores": sum(each.get("cores") or 0 for each in certificates) or None,
        "levels": [],
    }


def _parts(path: Path) -> list[Path]:
    """The parts a path stands for. Raises MergeError."""
    if path.is_dir():
        folders = [path] if (path / "sent").is_dir() else sorted(p for p in path.iterdir() if (p / "sent").is_dir())
        if folders:
            return folders
        raise MergeError(f"{path} holds no ledgers: neither it nor any folder in it has a folder `sent`.")
    if not path.exists():
        raise MergeError(f"There is no {path}.")
    if not k6.is_k6(path):
        raise MergeError(f"{path} is neither a folder with evidence nor a file that k6 has written (--out json=…).")
    return [path]


def _agreed(out: Path, folders: list[Path]) -> dict[str, Any]:
    """The plan of all parts. Raises MergeError when there is none, or more than one."""
    known = [path for path in (out / "plan.json", *(folder / "plan.json" for folder in folders)) if path.exists()]
    if not known:
        raise MergeError(f"Nobody knows the plan: there is no {out / 'plan.json'}, and none in a folder of --sent.")
    plans = [read_document(path) for path in known]
    for path, plan in zip(known, plans, strict=True):
        if different := [name for name in SAME if plan[name] != plans[0][name]]:
            raise MergeError(f"{path} is another plan than {known[0]}: they differ in {', '.join(different)}.")
    skews = [plan["bounds"]["clock_skew_us"] for plan in plans if "clock_skew_us" in plan["bounds"]]
    agreed: dict[str, Any] = plans[0]
    if skews:
        agreed["bounds"]["clock_skew_us"] = max(skews)
    return agreed


def _clear(sent: Path) -> None:
    # What the suite itself has put on record, such as signals, is no part that is taken again.
    sent.mkdir(parents=True, exist_ok=True)
    for name in LEDGERS:
        for file in sent.glob(f"*.{name}.ndjson"):
            file.unlink()


def _take(out: Path, number: int, folder: Path) -> dict[str, Any]:
    """Everything of one folder; returns its certificate."""
    for file in sorted((folder / "sent").glob("*.ndjson")):
        is_ledger = any(file.name.endswith(f".{name}.ndjson") for name in LEDGERS)
        shutil.copyfile(file, out / "sent" / (f"{number}.{file.name}" if is_ledger else file.name))
    for name in ("samples", "effects", "scenarios"):
        for file in sorted((folder / name).glob("*")):
            _append(file, out / name / file.name, whole=name == "scenarios", first=number == 0)
    for name in ("incidents.ndjson", "versions.json"):
        if (folder / name).exists():
            _append(folder / name, out / name, whole=name.endswith(".json"), first=number == 0)
    path = folder / "generator.json"
    if not path.exists():
        raise MergeError(f"{folder} has no generator.json: its sender did not come to its end.")
    certificate: dict[str, Any] = read_document(path)
    return certificate


def _append(source: Path, to: Path, *, whole: bool, first: bool) -> None:
    """Put a file into another: as it is, when it is a whole, else behind what the senders before had."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if first:
        to.unlink(missing_ok=True)
    if whole and to.exists():
        return
    with source.open("rb") as lines, to.open("ab") as behind:
        shutil.copyfileobj(lines, behind)


def _take_k6(out: Path, number: int, file: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The ledgers that a file of k6 makes; returns its certificate."""
    run = k6.read(file, document["namespace"])
    with LineWriter(out / "sent" / f"{number}.k6.attempts.ndjson") as attempts:
        for line in k6.ledger_attempts(run, planned_lines(plan_of(document))):
            attempts.add_json(line)
    with LineWriter(out / "sent" / f"{number}.k6.outcomes.ndjson") as outcomes:
        for line in run.outcomes.values():
            outcomes.add_json(line)
    return {"processes": [k6.certificate(run)], "target_per_s": None, "calibration_per_s": None}


def planned_lines(plan: Plan) -> Iterator[dict[str, Any]]:
    """The ledger of attempts of a plan, but for the times."""
    for attempt in plan.attempts():
        yield {
            "n": attempt.n,
            "d": plan.delivery_id(attempt),
            "k": attempt.kind,
            "s": attempt.scenario,
            "i": attempt.i,
            "hash": sha256(attempt.payload(plan.seed)).hexdigest(),
        }


def _phases(out: Path, folders: list[Path]) -> list[Phase]:
    """Steady is what was steady for every sender; where none says, from the first request to the last."""
    told = [phases.read(folder) for folder in folders]
    steady = [phase for each in told for phase in phases.steady(each)]
    if steady:
        from_us, to_us = max(phase.from_us for phase in steady), min(phase.to_us for phase in steady)
        begin_us = min(phase.from_us for each in told for phase in each)
    else:
        times = [line["intended_us"] for file in (out / "sent").glob("*.attempts.ndjson") for line in read_lines(file)]
        begin_us = from_us = min(times)
        to_us = max(times)
    first = Phase("warm-up", begin_us, min(from_us, to_us))
    # Senders that were never steady together have no steady phase, and so no figures.
    return [first, Phase("steady", from_us, to_us)] if from_us < to_us else [first]
