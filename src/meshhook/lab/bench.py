"""One test at a time: begun, looked after until it has ended, broken off in time, and never longer there than this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from meshhook.errors import Fault, Refusal
from meshhook.ids import make_run_id
from meshhook.lab import suite
from meshhook.lab.shelf import Shelf, note
from meshhook.lab.suite import Offers, SuiteError
from meshhook.lab.wanted import TestWanted, bound_s, problems, sent, words

LOOK_S: Final = 0.2
LEAVE_S_MAX: Final = 60.0
"""Told to stop, the suite takes so long at most; then its reaper ends what is left."""

_log = structlog.get_logger("meshhook.lab")


class Lab:
    """The Lab of one API process. ``folder`` is where tests are kept, ``kept`` how many of them; off, it only says so."""

    def __init__(
        self, folder: Path, *, is_on: bool, kept: int, missing: Callable[[], list[str]] = suite.missing
    ) -> None:
        self.shelf = Shelf(folder)
        self.closing = False
        self._is_on = is_on
        self._kept = kept
        self._missing = missing
        self._offers: Offers | None = None
        self._asking = asyncio.Lock()
        self._caring: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def obstacle(self) -> Refusal | None:
        """Why no test can be begun here, and what to do; None where one can."""
        if not self._is_on:
            return _unavailable("It is off. Set lab to true (make up does, on loopback), and start the server anew.")
        if missing := self._missing():
            return _unavailable(
                f"The suite is not installed whole ({', '.join(missing)}). Install MeshHook with the extra `proof`: "
                "pip install 'meshhook[proof]'"
            )
        return None

    async def offers(self) -> Offers:
        """What can be chosen; the suite is asked once. Raises Refusal, or SuiteError."""
        if (obstacle := self.obstacle()) is not None:
            raise obstacle
        async with self._asking:
            if self._offers is None:
                self._offers = await suite.offers()
            return self._offers

    async def begin(self, wanted: TestWanted, definition: dict[str, Any] | None) -> str:
        """Begin a test, and return its id; ``definition`` is that of the workflow it is of, if it is of one.

        Raises:
            Refusal: the Lab is off, one is under way, or something is wrong with what is asked for.
            SuiteError: the suite does not start.
        """
        offered = await self.offers()
        found = problems(wanted, {one.name for one in offered.scenarios}, {one.name for one in offered.faults})
        if found:
            raise invalid(found)
        stack = AsyncExitStack()
        try:
            lock = stack.enter_context(self.shelf.taken())
            id = make_run_id(0, time.time_ns() // 1_000_000)
            note(lock, id)
            self._process = await self._start(id, wanted, definition)
        except BlockingIOError:
            await stack.aclose()
            raise _busy() from None
        except OSError as error:
            await stack.aclose()
            raise SuiteError(f"The test could not be begun in {self.shelf.folder}: {error}.") from error
        except BaseException:
            await stack.aclose()
            raise
        self._caring = asyncio.create_task(self._care(id, self._process, bound_s(wanted), stack))
        _log.info("a test has begun", test=id, profile=wanted.profile)
        return id

    async def close(self, seconds: float) -> None:
        """Break off what is under way, and wait for its end so long at most: closing its standard input is enough for it to end."""
        self.closing = True
        if self._caring is not None and not self._caring.done():
            self._leave()
            await asyncio.wait([self._caring], timeout=seconds)
            self._caring.cancel()

    async def _start(
        self, id: str, wanted: TestWanted, definition: dict[str, Any] | None
    ) -> asyncio.subprocess.Process:
        folder = self.shelf.make(id, wanted, title(wanted), datetime.now(UTC))
        scenario: Path | str | None = wanted.scenario
        if definition is not None:
            document = {"workflow": wanted.workflow, "definition": definition, "calls": wanted.calls, **sent(wanted)}
            scenario = folder / "scenario" / f"{scenario_name(str(wanted.workflow))}.json"
            scenario.parent.mkdir()
            scenario.write_bytes(msgspec.json.encode(document))
        said = words(wanted, scenario, folder / "evidence", folder / "events.ndjson")
        return await suite.start(said, folder, folder / "log.txt")

    async def _care(self, id: str, process: asyncio.subprocess.Process, seconds: float, stack: AsyncExitStack) -> None:
        """Look after a test until it has ended."""
        until = time.monotonic() + seconds
        async with stack:
            while not await _has_ended(process, LOOK_S):
                if self.shelf.is_cancelled(id) or time.monotonic() > until:
                    self._leave()
                    if not await _has_ended(process, LEAVE_S_MAX):
                        process.kill()  # its reaper ends the rest
            _log.info("a test has ended", test=id, code=process.returncode)
        await asyncio.to_thread(self.shelf.keep, self._kept)

    def _leave(self) -> None:
        assert self._process is not None
        if self._process.stdin is not None:
            self._process.stdin.close()


async def _has_ended(process: asyncio.subprocess.Process, within_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
    return process.returncode is not None


def title(wanted: TestWanted) -> str:
    """What is tested, in words."""
    what = wanted.scenario or wanted.workflow or "a little of everything"
    if wanted.workflow is not None:
        version = {None: "", "draft": ", draft"}.get(wanted.version, f", version {wanted.version}")  # type: ignore[arg-type]
        what = f"{wanted.workflow}{version}"
    match wanted.profile:
        case "concurrency":
            return f"{what}, {', '.join(map(str, wanted.levels))} in flight"
        case "faults":
            return f"{what} at {wanted.rate:g}/s, {len(wanted.faults)} kinds of faults"
        case "load":
            shape = "" if wanted.shape == "constant" else f", {wanted.shape}"
            return f"{what} at {wanted.rate:g}/s{shape}"
        case _:
            return what


def scenario_name(workflow: str) -> str:
    """A name the suite takes for a scenario: lower case, and none of its own."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in workflow.lower())
    return f"own_{plain}"[:40]


def invalid(found: list[Fault]) -> Refusal:
    """Something is wrong with what is asked for; all of it is told."""
    told = [{"path": fault.path, "code": fault.code, "message": fault.message} for fault in found]
    count = f"There are {len(told)} faults" if len(told) > 1 else "There is 1 fault"
    return Refusal(
        422,
        "invalid-test",
        "This test can't be begun",
        f"{count}, listed under `errors`; nothing was begun.",
        extra={"errors": told},
    )


def _unavailable(why: str) -> Refusal:
    return Refusal(409, "lab-unavailable", "The Lab is not available here", why)


def _busy() -> Refusal:
    return Refusal(
        409,
        "lab-busy",
        "A test is under way",
        "One test at a time: two would measure each other. Wait for its end, or cancel it.",
    )
