"""The folders of tests, by their ids:

    ID/asked.json        what was asked for, and when
    ID/scenario/         the workflow, when it is one of the user's own
    ID/events.ndjson     what the test tells while it goes on
    ID/log.txt           what it says to people
    ID/evidence/         what it leaves: summary.json, verdicts.json, report.html, and the ledgers
    ID/cancelled         somebody has said so

All that is known of a test is in there, so any process can read it. A file lock (`lock`) is held by the one that runs a test; it
goes with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from meshhook.errors import Refusal
from meshhook.lab import judged
from meshhook.lab.judged import Invariant, Summary
from meshhook.lab.told import FamilyStanding, LiveFigures, Standing, State, Word, fold
from meshhook.lab.wanted import TestWanted

ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
REASON_MAX: Final = 4_000
TRIES: Final = 10
TRY_S: Final = 0.005


class TestBrief(msgspec.Struct, frozen=True, kw_only=True):
    """One test in a list. ``title`` is what is tested, in words."""

    __test__ = False

    id: str
    title: str
    wanted: TestWanted
    state: State
    part: str | None
    verdict: Word | None
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    figures: LiveFigures | None
    summary: Summary | None
    has_report: bool


class Test(TestBrief, frozen=True, kw_only=True):
    """One test, whole. ``invariants`` are as in ``verdicts.json``, with counterexamples; none before it was judged."""

    doing: str | None
    families: list[FamilyStanding]
    adapted: list[str]
    command: str | None
    invariants: list[Invariant]


class Asked(msgspec.Struct, frozen=True):
    """What was asked for."""

    wanted: TestWanted
    title: str
    created_at: datetime


class Shelf:
    """The tests in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, Standing]] = {}
        """Where tests stood when their events were so long."""

    def make(self, id: str, wanted: TestWanted, title: str, now: datetime) -> Path:
        """The folder of a new test. Raises OSError."""
        folder = self.of(id)
        folder.mkdir(mode=0o711)
        (folder / "asked.json").write_bytes(msgspec.json.encode(Asked(wanted, title, now)))
        return folder

    def of(self, id: str) -> Path:
        """The folder of a test. Raises Refusal: this is no id."""
        if not ID.fullmatch(id):
            raise unknown_test()
        return self.folder / id

    def events(self, id: str) -> Path:
        """What it tells. Raises Refusal: there is no such test."""
        if not (self.of(id) / "asked.json").exists():
            raise unknown_test()
        return self.of(id) / "events.ndjson"

    def evidence(self, id: str) -> Path:
        """What it leaves. Raises Refusal: there is no such test."""
        return self.events(id).with_name("evidence")

    def ids(self) -> list[str]:
        """Every test, newest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted(
            (path.name for path in found if ID.fullmatch(path.name) and (path / "asked.json").exists()), reverse=True
        )

    def briefs(self) -> list[TestBrief]:
        """Every test, newest first."""
        running = self.running()
        return [TestBrief(**_brief(self._read(id, running, whole=False))) for id in self.ids()]

    def test(self, id: str) -> Test:
        """One test. Raises Refusal: there is no such test."""
        self.events(id)
        return self._read(id, self.running(), whole=True)

    def running(self) -> str | None:
        """The test under way, whoever runs it."""
        with suppress(OSError), (self.folder / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().decode() or None
        return None

    @contextmanager
    def taken(self) -> Iterator[int]:
        """Hold the lock, into which the id of the test is written (`note`). Raises BlockingIOError: somebody else does; OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for left in reversed(range(TRIES)):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    # Who only looks (`running`) holds it for a moment too.
                    if not left or self.running() is not None:
                        raise
                    time.sleep(TRY_S)
                else:
                    break
            note(lock, "")
            yield lock
        finally:
            os.close(lock)

    def cancel(self, id: str) -> None:
        """Say that a test is to be broken off: whoever runs it looks for this. Raises Refusal: there is no such test."""
        self.events(id).with_name("cancelled").touch()

    def is_cancelled(self, id: str) -> bool:
        """Whether somebody has said so."""
        return (self.of(id) / "cancelled").exists()

    def remove(self, id: str) -> None:
        """Remove a test that is over. Raises Refusal: there is no such test, or it is under way."""
        self.events(id)
        self._known.pop(id, None)
        if id == self.running():
            raise Refusal(
                409, "lab-busy", "The test is under way", "A test that is under way can't be deleted. Cancel it first."
            )
        shutil.rmtree(self.of(id))

    def keep(self, count: int) -> None:
        """Remove all but the newest."""
        for id in self.ids()[count:]:
            if id != self.running():
                shutil.rmtree(self.of(id), ignore_errors=True)

    def _read(self, id: str, running: str | None, *, whole: bool) -> Test:
        folder = self.of(id)
        asked = msgspec.json.decode((folder / "asked.json").read_bytes(), type=Asked)
        standing, told_at = self._standing(folder)
        state = _state(standing, is_running=id == running, is_cancelled=(folder / "cancelled").exists())
        reason = standing.reason
        if reason is None and state not in ("running", "ended"):
            reason = _tail(folder / "log.txt") or "It ended without a word."
        return Test(
            id=id,
            title=asked.title,
            wanted=asked.wanted,
            state=state,
            part=standing.part,
            verdict=standing.verdict if state == "ended" else None,
            reason=reason,
            created_at=asked.created_at,
            ended_at=None if state == "running" else told_at or asked.created_at,
            figures=standing.figures,
            summary=judged.summary(folder / "evidence") if state == "ended" else None,
            has_report=state == "ended" and (folder / "evidence" / "report.html").exists(),
            doing=standing.doing,
            families=standing.families,
            adapted=standing.adapted,
            command=standing.command,
            invariants=judged.invariants(folder / "evidence") if state == "ended" and whole else [],
        )

    def _standing(self, folder: Path) -> tuple[Standing, datetime | None]:
        try:
            with (folder / "events.ndjson").open("rb") as lines:
                about = os.fstat(lines.fileno())
                known, standing = self._known.get(folder.name, (-1, Standing()))
                if known != about.st_size:
                    standing = fold(lines)
                    self._known[folder.name] = (about.st_size, standing)
                return standing, datetime.fromtimestamp(about.st_mtime, UTC)
        except FileNotFoundError:
            return Standing(), None


def note(lock: int, id: str) -> None:
    """Write into the lock that is held which test is under way."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, id.encode(), 0)


def unknown_test() -> Refusal:
    """There is no such test, or no longer."""
    return Refusal(404, "unknown-test", "There is no such test", "The Lab has no test of this id, or it was deleted.")


def _state(standing: Standing, *, is_running: bool, is_cancelled: bool) -> State:
    if is_running:
        return "running"
    if standing.is_over and not standing.is_interrupted:
        return "ended" if standing.verdict is not None else "refused"
    if is_cancelled:
        return "cancelled"
    return "interrupted" if standing.last else "refused"


def _brief(test: Test) -> dict[str, Any]:
    return {name: getattr(test, name) for name in TestBrief.__struct_fields__}


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[-REASON_MAX:]
    except OSError:
        return ""
