"""What watchers were told, held against what the journals hold. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from meshproof.tape import Key


class Stored:
    """Every event of the journals, by the path of the stream that has to tell it, and by its run."""

    def __init__(self) -> None:
        self._all: set[Key] = set()
        self._of_path: defaultdict[str, set[Key]] = defaultdict(set)
        self._of_run: defaultdict[str, set[Key]] = defaultdict(set)

    def add(self, path: str, key: Key) -> None:
        """There is such an event in the stream of its workflow."""
        self._all.add(key)
        self._of_path[path].add(key)
        self._of_run[key[0]].add(key)

    def of_path(self, path: str) -> Set[Key]:
        """What a stream has to tell; that of the whole project has no filter."""
        return self._of_path[path] if "?" in path else self._all

    def of_run(self, run_id: str) -> Set[Key]:
        """What the stream of a run has to tell."""
        return self._of_run[run_id]


def faults_of(seen: Sequence[Key], stored: Set[Key]) -> list[str]:
    """What is wrong with what one watcher saw; `stored` is what it had to see. Empty: nothing is."""
    faults = []
    distinct = set(seen)
    if len(distinct) < len(seen):
        twice = [key for key, count in Counter(seen).items() if count > 1]
        faults.append(f"{len(twice)} events twice, such as {twice[0]}")
    if missing := stored - distinct:
        faults.append(f"{len(missing)} events missing, such as {min(missing)}")
    if foreign := distinct - stored:
        faults.append(f"{len(foreign)} events that are not its own, such as {min(foreign)}")
    last: dict[str, int] = {}
    for run_id, seq in seen:
        if seq < last.get(run_id, 0):
            faults.append(f"event {seq} of run {run_id} behind event {last[run_id]}")
            break
        last[run_id] = seq
    return faults
