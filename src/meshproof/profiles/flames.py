"""Flame graphs of API and workers while the load goes on (`--profile`): py-spy looks into them from outside."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from meshproof.profiles.session import Session

Format = Literal["flamegraph", "speedscope"]
SUFFIX: Final[dict[Format, str]] = {"flamegraph": "svg", "speedscope": "json"}
RATE_PER_S: Final = 100
WRITTEN_S_MAX: Final = 30.0


@asynccontextmanager
async def flames(run: Session) -> AsyncIterator[None]:
    """Look on while the block goes on, if that was asked for; what comes of it is said in the display."""
    form = run.settings.flames
    if form is None:
        yield
        return
    program = py_spy()
    if program is None:
        run.display.note("no flame graphs: py-spy is not installed (pip install py-spy)")
        yield
        return
    folder = run.folder / "flames"
    folder.mkdir(parents=True, exist_ok=True)
    watched = []
    for role in ("api", "worker"):
        for number, pid in enumerate(run.target.pids().get(role, []), start=1):
            path = folder / f"{role}-{number}.{SUFFIX[form]}"
            process = await asyncio.create_subprocess_exec(
                *words(program, pid, path, form), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            run.reaper.watch(process.pid)
            watched.append((path, process))
    try:
        yield
    finally:
        said = [await _written(path, process) for path, process in watched]
        run.display.note("; ".join(said) or "no flame graphs: the processes of this target are not known")


def py_spy() -> Path | None:
    """Its program, from this environment or the path."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    return Path(found) if found else None


def words(program: Path, pid: int, path: Path, form: Format) -> list[str]:
    """The command that looks into a process until it is interrupted. It does not stop the process for that."""
    options = ["--nonblocking", "--rate", str(RATE_PER_S), "--format", form, "--output", str(path)]
    return [str(program), "record", "--pid", str(pid), *options]


def told(path: Path, error: str) -> str:
    """What is to be said when there is no graph."""
    if "ermission" in error or "Operation not permitted" in error:
        return (
            f"no {path.name}: py-spy may not look into other processes here. Run as root, or give it CAP_SYS_PTRACE"
            " (in a container: --cap-add SYS_PTRACE)"
        )
    last = (error.strip().splitlines() or ["it wrote nothing"])[-1]
    return f"no {path.name}: {last}"


async def _written(path: Path, process: asyncio.subprocess.Process) -> str:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        _, error = await asyncio.wait_for(process.communicate(), WRITTEN_S_MAX)
    except TimeoutError:
        process.kill()
        return told(path, f"it was not written within {WRITTEN_S_MAX:g} s")
    return (
        f"flames/{path.name}" if path.exists() and path.stat().st_size else told(path, error.decode(errors="replace"))
    )
