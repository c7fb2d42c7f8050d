"""A share of a plan: every machine plays the same plan, and sends only the attempts of its own share."""

from __future__ import annotations

import re
from typing import NamedTuple


class Slice(NamedTuple):
    """Share `number` of `of`, counted from 0."""

    number: int = 0
    of: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the share whose machine sets the scenarios up and looks on, for all."""
        return self.number == 0

    @property
    def is_part(self) -> bool:
        """Whether there are others."""
        return self.of > 1

    def share(self, process: int, processes: int) -> tuple[int, int]:
        """The part of the whole plan that one of several processes of this share sends: attempts with `n` % second = first.

        Shares are disjoint, and together they are the plan, whatever number of processes each of them has.
        """
        return self.number + self.of * process, self.of * processes


WHOLE = Slice()


def parse(text: str) -> Slice:
    """`i/N` with 0 ≤ i < N, as Kubernetes counts. Raises ValueError, which says so."""
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
    if found is None or not int(found[1]) < int(found[2]):
        raise ValueError(f"{text} is no slice. Slices are counted from 0: of four there are 0/4, 1/4, 2/4 and 3/4.")
    return Slice(int(found[1]), int(found[2]))
