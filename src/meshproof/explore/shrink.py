"""From a schedule that fails to one of fewer moves that fails the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from meshproof.explore.moves import Move

ATTEMPTS_MAX: Final = 300


def shrink(moves: Sequence[Move], failing: Callable[[list[Move]], list[Move] | None]) -> list[Move]:
    """Leave out moves, half of them at once and in the end one by one, as long as what is left fails.

    ``failing`` plays moves; it returns those that were possible if they fail, else None.
    """
    left, size, attempts = list(moves), max(1, len(moves) // 2), 0
    while True:
        before, end = len(left), len(left)
        while end > 0 and attempts < ATTEMPTS_MAX:  # from behind: what comes late makes little else possible
            start = max(0, end - size)
            attempts += 1
            shorter = failing(left[:start] + left[end:])
            left = left if shorter is None else shorter
            end = min(start, len(left))
        if attempts >= ATTEMPTS_MAX or (size == 1 and len(left) == before):
            return left
        size = max(1, size // 2)
