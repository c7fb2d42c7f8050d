"""The reaper: whatever becomes of the suite, nothing of a run stays behind.

    suite ──stdin pipe──► reaper        watch <pid>     end this process when the suite is gone
                                        folder <path>   remove this folder when the suite is gone

It is a process in a session of its own, so neither Ctrl-C nor the end of a terminal reaches it. The pipe ends when the
suite closes it and when the suite dies, however it dies. Then every watched process that is still the same process (a
process id may have been given to another in the meantime) is asked to end, together with its children, killed after a
bound, and the folders are removed.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

TERM_S_MAX = 20.0
KILL_S_MAX = 10.0
POLL_S = 0.02
READY = "ready\n"


class Reaper:
    """The reaper as the suite sees it. Leaving it ends what it watches, removes its folders, and waits for that."""

    folder: Path
    """A folder that goes with the run. Everybody may enter it: Postgres may run as another user."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "meshproof.reaper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        # Until it says so, a signal could still end it.
        assert self._process.stdout is not None
        if self._process.stdout.readline() != READY:
            raise OSError("The reaper could not be started, so nothing is: nobody would clear up.")
        self._process.stdout.close()
        self.folder = Path(tempfile.mkdtemp(prefix="meshproof-"))
        self._tell(f"folder {self.folder}")
        self.folder.chmod(0o711)
        # Whatever in this process asks for a temporary file gets it in there, and so it is removed too.
        tempfile.tempdir = str(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        tempfile.tempdir = None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def watch(self, pid: int) -> None:
        """See to the end of this process."""
        self._tell(f"watch {pid}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def main() -> None:
    """Listen until the suite is gone, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.write(READY)
    sys.stdout.flush()
    processes: list[psutil.Process] = []
    folders: list[Path] = []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        match word:
            case "watch":
                with suppress(psutil.Error):
                    processes.append(psutil.Process(int(rest)))
            case "folder":
                folders.append(Path(rest))
            case _:
                raise ValueError(f"The reaper was told {line!r}, which means nothing to it.")
    end(processes)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end(processes: Iterable[psutil.Process]) -> None:
    """End these processes and their children: the processes are asked, what is left after a bound is killed."""
    # psutil compares the time a process was started before every signal, so a reused process id is never hit.
    running = [process for process in processes if process.is_running()]
    everyone = [one for process in running for one in family(process)]
    for process in running:
        with suppress(psutil.Error):
            process.terminate()
            # One that is frozen hears of nothing until it goes on.
            process.resume()
    for process in wait(everyone, TERM_S_MAX):
        with suppress(psutil.Error):
            process.kill()
    wait(everyone, KILL_S_MAX)


def wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, so long at most; returns those that have not.

    They are no children of ours, so there is nothing to wait on but their state. One that has ended stays a zombie
    for as long as its parent does not ask for it, which may be waiting for us.
    """
    deadline = time.monotonic() + seconds
    alive = list(processes)
    while alive := [process for process in alive if not has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return alive


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or all but its exit code."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


if __name__ == "__main__":
    main()
