"""What a mutant is: a bug that somebody could have written, how it is planted, and who must catch it."""

from __future__ import annotations

from dataclasses import dataclass

from meshproof.mutants.patch import Patch


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    name: str
    bug: str
    """What is wrong with the engine, in one sentence."""
    patches: tuple[Patch, ...]
    trial: str
    """The run under which it shows; see meshproof.mutants.trials."""
    caught_by: tuple[str, ...]
    """The invariants it is there for: one of them must fail. That others fail as well is no catch."""
