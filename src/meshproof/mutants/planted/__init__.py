"""Every planted bug, by the part of the engine it is in."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.planted import (
    calls,
    changes,
    children,
    door,
    journal,
    leases,
    limits,
    senders,
    signals,
    steps,
    tenants,
    timers,
    watchers,
)

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name: mutant
    for part in (
        door,
        senders,
        changes,
        leases,
        calls,
        journal,
        steps,
        timers,
        limits,
        signals,
        children,
        tenants,
        watchers,
    )
    for mutant in part.MUTANTS
}
"""Every mutant by its name, in the order they are reported."""
