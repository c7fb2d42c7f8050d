"""A scratch copy of the engine, and patches to its text: Python and SQL alike, since the engine brings its SQL along as files.

Nothing of a planted bug is in the engine, and nothing is imported from it: a copy of its package is put into a folder, changed
there, and found before the installed one by the processes that are started with that folder on their `PYTHONPATH`. The SQL
functions of the copy reach the scratch database as they always do, by `meshhook migrate`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGE: Final = "meshhook"


class PatchError(RuntimeError):
    """A patch does not fit the engine any more; the message says which, and what to do."""


@dataclass(frozen=True)
class Patch:
    """One change of one file: the text `old`, which stands there exactly once, becomes `new`."""

    file: str
    """Its path in the package of the engine."""
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The text of the file with the bug in it. Raises PatchError."""
        if (found := text.count(self.old)) != 1:
            line = self.old.strip().splitlines()[0]
            raise PatchError(
                f"{self.file} has the text of a patch {found} times, not once: {line!r} …. The engine has changed there:"
                " look what the bug would be like now, and write the patch anew."
            )
        return text.replace(self.old, self.new)


def engine() -> Path:
    """The folder of the engine's package, found without importing it. Raises PatchError when there is none."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PatchError("There is no MeshHook to plant bugs into. Install it into the same environment as the suite.")
    return Path(spec.submodule_search_locations[0])


def scratch(folder: Path, patches: Iterable[Patch], source: Path | None = None) -> Path:
    """Put a copy of the engine into an empty folder, and apply patches to it; returns the folder. Raises PatchError."""
    package = folder / PACKAGE
    # What is compiled already comes along, and is compiled anew where the text is younger; what is just being written does not.
    shutil.copytree(source or engine(), package, ignore=shutil.ignore_patterns("*.pyc.*"))
    for patch in patches:
        path = package / patch.file
        if not path.is_file():
            raise PatchError(f"The engine has no {patch.file} any more, which a patch is for. Write the patch anew.")
        path.write_text(patch.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder
