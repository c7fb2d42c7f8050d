"""The suite beside us: whether it is installed, what it offers, and how it is started.

It is started by the interpreter that runs us, and told nothing by the environment but where programs, homes and temporary folders
are: what names our database, or a key of ours, does not reach it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from meshhook.errors import MeshHookError

MODULES: Final = ("meshproof", "duckdb", "hdrh", "httptools", "psutil", "scipy")
"""What must be there to be started: the suite, and what it needs on top of us."""

KEPT: Final = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "LD_LIBRARY_PATH",
)
ANSWER_S_MAX: Final = 120.0
NICE: Final = 10


class SuiteError(MeshHookError):
    """The suite did not do what was asked; the message holds what it said."""


class OfferedProfile(msgspec.Struct, frozen=True):
    """A way to drive an engine."""

    name: str
    summary: str


class OfferedScenario(msgspec.Struct, frozen=True):
    """Something to send. ``calls``: its workflows make calls, which go to a server of the suite."""

    name: str
    summary: str
    nodes: int
    calls: bool


class OfferedFault(msgspec.Struct, frozen=True):
    """Something to be done to the engine meanwhile. ``is_quick``: one of those a quick look takes."""

    name: str
    summary: str
    is_quick: bool


class OfferedInvariant(msgspec.Struct, frozen=True):
    """One thing that is true of a sound engine."""

    name: str
    says: str


class OfferedFamily(msgspec.Struct, frozen=True):
    """Invariants about one matter, in the order they are judged."""

    name: str
    proves: str
    invariants: list[OfferedInvariant]


class Placeholder(msgspec.Struct, frozen=True):
    """What may stand in `{{ }}` in a template, and what it gives."""

    word: str
    gives: str


class Offers(msgspec.Struct, frozen=True):
    """What the suite can do."""

    profiles: list[OfferedProfile]
    scenarios: list[OfferedScenario]
    faults: list[OfferedFault]
    families: list[OfferedFamily]
    placeholders: list[Placeholder]
    template: dict[str, str]


def missing() -> list[str]:
    """Which of the modules it takes are not installed."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]


def environment() -> dict[str, str]:
    """All that the suite is told by its environment."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


async def start(words: Sequence[str], folder: Path, log: Path) -> asyncio.subprocess.Process:
    """Start it in a folder, at a lower priority; what it says goes to a file. It ends when its standard input does."""
    with log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *_command(words),
            stdin=asyncio.subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=environment(),
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
        )
    with suppress(OSError):  # it may be over already
        os.setpriority(os.PRIO_PROCESS, process.pid, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    return process


async def ask(words: Sequence[str], codes: tuple[int, ...] = (0,)) -> bytes:
    """What it prints, asked something short. Raises SuiteError."""
    process = await asyncio.create_subprocess_exec(
        *_command(words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            printed, said = await process.communicate()
    except TimeoutError:
        raise SuiteError(f"meshproof {words[0]} has not answered within {ANSWER_S_MAX:g} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in codes:
        raise SuiteError(
            f"meshproof {words[0]} ended with {process.returncode}: {said.decode(errors='replace')[-1000:]}"
        )
    return printed


async def offers() -> Offers:
    """What it offers. Raises SuiteError."""
    try:
        return msgspec.json.decode(await ask(["offers"]), type=Offers)
    except msgspec.MsgspecError as error:
        raise SuiteError(f"meshproof offers printed something else than it should: {error}.") from error


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "meshproof.cli", *words]
