"""Running two commands in turn: A B A B …, each round into a folder of its own."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

OUT: Final = "{out}"
FAIR: Final = frozenset({0, 1, 3})
"""Exit codes of a run that came to its end: what it was worth is in its summary."""


class CommandError(RuntimeError):
    """A command did not come to its end, or left nothing to compare; the message holds the last of what it said."""


def run(commands: tuple[str, str], rounds: int, out: Path, tell: Callable[[str], object]) -> tuple[Path, Path]:
    """Run both commands `rounds` times in turn; returns the folder of A's rounds and that of B's.

    `{out}` in a command stands for the folder of the round; without it, `--out FOLDER` is put behind.
    """
    folders = (out / "A", out / "B")
    strangers = [folder for folder in folders if folder.exists() and any(folder.iterdir())]
    if strangers:
        raise CommandError(f"{strangers[0]} is not empty. Choose another folder with --out.")
    for number in range(1, rounds + 1):
        for folder, command in zip(folders, commands, strict=True):
            tell(f"round {number} of {rounds}, {folder.name}: {command}")
            _run(command, folder / f"{number:02d}")
    return folders


def words(command: str, folder: Path) -> list[str]:
    """The words of a command that leaves its files in a folder."""
    said = shlex.split(command)
    return [word.replace(OUT, str(folder)) for word in said] if OUT in command else [*said, "--out", str(folder)]


def _run(command: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            words(command, folder), check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError as error:
        raise CommandError(f"{command!r} can't be started: {error.strerror}.") from None
    left = any((folder / name).exists() for name in ("summary.json", "bench.json"))
    if done.returncode not in FAIR or not left:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CommandError(
            f"{command!r} ended with exit code {done.returncode} and left no summary in {folder}:\n{last}"
        )
