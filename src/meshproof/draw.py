"""Seeded draws that are the same on every machine and with every Python.

`random.Random` keeps only `random()` stable between Python versions, and costs more to seed than a whole payload costs
to make. These draws are bits of BLAKE2b over their key, so the n-th payload can be made without making those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A stream of draws that depends on its key alone."""

    __slots__ = ("_bits", "_block", "_key", "_left")

    def __init__(self, *key: object) -> None:
        self._key = repr(key).encode()
        self._block = 0
        self._bits = 0
        self._left = 0

    def bits(self, count: int) -> int:
        """The next `count` bits as a number; at most 512."""
        if self._left < count:
            digest = blake2b(self._key, salt=self._block.to_bytes(16, "little")).digest()
            self._bits, self._left = int.from_bytes(digest, "little"), 512
            self._block += 1
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._left -= count
        return value

    def below(self, bound: int) -> int:
        """A number in 0 … bound - 1; the bias is below 2⁻³² for every bound under 2³²."""
        return self.bits(64) % bound

    def between(self, low: int, high: int) -> int:
        """A number in low … high, both included."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A number in [0, 1)."""
        return self.bits(53) / 9007199254740992.0

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]
