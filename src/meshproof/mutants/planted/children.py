"""Bugs of runs that start runs."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "keep-the-end-of-a-child",
        "A run that was started by another does not tell it of its end.",
        (
            Patch(
                "outbox.py",
                """        box.signals.append(Signal(UUID(parent["run_id"]), "child", _encode(end).decode()))
""",
                "",
            ),
        ),
        trial="families",
        caught_by=("children.told",),
    ),
    Mutant(
        "forget-to-start-a-child",
        "A child stands in the journal of its parent as started, and is not stored.",
        (
            Patch(
                "store.py",
                "        (_START_CHILDREN, [child for box in said for child in box.children]),\n",
                "",
            ),
        ),
        trial="families",
        caught_by=("children.stored",),
    ),
)
