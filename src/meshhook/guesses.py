"""How often a password may be guessed: so many times from one address, and from all of them together. Bounded memory.

Each limit is a bucket told by one number, the time at which it will be full again (the virtual scheduling of GCRA, ITU-T I.371). An
address whose bucket is full needs no number, so only those that guessed lately are remembered.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Hashable
from typing import Final

from meshhook.addresses import Address
from meshhook.quota import Quota

EACH: Final = Quota(10, 300.0)
"""Of one address: ten at once, then one in 30 s."""

ALL: Final = Quota(60, 120.0)
"""Of all addresses, whatever a net of machines has: 60 at once, then one in 2 s. It also bounds the time of the processor."""

_KNOWN_MAX: Final = 10_000
_V6_BITS: Final = 64  # what one customer has of IPv6


class Guesses:
    """The guesses of one process. ``clock``: seconds that only grow."""

    def __init__(self, each: Quota = EACH, all: Quota = ALL, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._all, self._clock = each, all, clock
        self._full_at: dict[Hashable, float] = {}
        self._all_full_at = 0.0

    def take(self, address: Address | None) -> float:
        """Take one guess; 0 when there was one, else in how many seconds there is."""
        now, who = self._clock(), _who(address)
        mine = max(self._full_at.get(who, 0.0), now)
        everybody = max(self._all_full_at, now)
        wait_s = max(_wait_s(mine - now, self._each), _wait_s(everybody - now, self._all))
        if wait_s > 0:
            return wait_s
        self._make_room(now)
        self._full_at[who] = mine + 1 / self._each.per_s
        self._all_full_at = everybody + 1 / self._all.per_s
        return 0.0

    def give_back(self, address: Address | None) -> None:
        """The last guess was none: it was right."""
        who = _who(address)
        if who in self._full_at:
            self._full_at[who] -= 1 / self._each.per_s
        self._all_full_at -= 1 / self._all.per_s

    @property
    def known(self) -> int:
        """How many addresses are remembered."""
        return len(self._full_at)

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < _KNOWN_MAX:
            return
        self._full_at = {who: full_at for who, full_at in self._full_at.items() if full_at > now}
        while len(self._full_at) >= _KNOWN_MAX:  # the limit of all is what holds now
            del self._full_at[next(iter(self._full_at))]


def _wait_s(ahead_s: float, quota: Quota) -> float:
    """How long until a bucket that will be full in ``ahead_s`` has one to give."""
    return max(0.0, ahead_s + 1 / quota.per_s - quota.window_s)


def _who(address: Address | None) -> Hashable:
    if isinstance(address, ipaddress.IPv6Address):
        return int(address) >> (128 - _V6_BITS)
    return address
