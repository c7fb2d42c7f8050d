"""The process between MeshHook and its embedded Postgres: it starts the postmaster and sees to it that it ends.

    meshhook ──stdin pipe──► lifeline ──child, PR_SET_PDEATHSIG──► postgres

The pipe is the lifeline: it closes when meshhook asks for a stop and when meshhook dies, however it dies. Then the
postmaster is stopped as the plan says (fast, immediate after a bound, killed after another), the folders that the plan
names are removed, and this process ends. If this process is killed, Linux tells the postmaster to stop; elsewhere the
next start does.

It runs as a script on its own, in a session of its own, so neither Ctrl-C nor a signal to a process group reaches it.
Standard library only, and as little of it as will do: it lives as long as the database.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    plan = json.loads(sys.argv[1])
    wakeup = wake_on_signals()
    try:
        postmaster = start(plan)
        print(postmaster.pid, flush=True)  # noqa: T201 - read by EmbeddedPostgres
        wait_for_end(postmaster, wakeup)
        died = postmaster.poll() is not None
        stop(postmaster, plan)
    finally:
        for folder in plan["remove"]:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if died else 0


def wake_on_signals() -> int:
    """A file descriptor that becomes readable when a signal arrives, so that one select sees everything."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(signum, lambda *_: None)
    return readable


def start(plan: dict[str, Any]) -> subprocess.Popen[bytes]:
    with open(plan["log"], "ab") as log:  # noqa: PTH123 - pathlib would double the memory of this process
        return subprocess.Popen(
            plan["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=plan["env"],
            cwd=plan["cwd"],
            pass_fds=(plan["lock_fd"],),
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            start_new_session=True,
            user=plan["uid"],
            group=plan["gid"],
            extra_groups=None if plan["uid"] is None else [],
        )


def die_with(parent: int) -> Callable[[], None]:
    """Run in the child after the change of user, which would clear the request."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def ask_for_signal() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask_for_signal


def wait_for_end(postmaster: subprocess.Popen[bytes], wakeup: int) -> None:
    """Return when the pipe is closed, a stop signal came, or the postmaster ended by itself."""
    while postmaster.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), wakeup], [], [])
        if sys.stdin.fileno() in ready:
            return
        if set(os.read(wakeup, 4096)) & set(STOP_SIGNALS):
            return


def stop(postmaster: subprocess.Popen[bytes], plan: dict[str, Any]) -> None:
    for name, bound_s in plan["stop"]:
        if postmaster.poll() is None:
            postmaster.send_signal(signal.Signals[name])
            try:
                postmaster.wait(bound_s)
            except subprocess.TimeoutExpired:
                continue
    if postmaster.poll() is None:
        postmaster.kill()  # its backends notice and end by themselves
        postmaster.wait()


if __name__ == "__main__":
    sys.exit(main())
