"""A circuit breaker: a host that fails again and again is left alone for a while, and then asked whether it is back.

*Closed* lets everything through. When enough calls failed within the window, and they were nearly all, it is *open* and
lets nothing through until a pause is over. Then it is *half-open*: a few calls try the host. The first success closes it; when all
of them fail it is open again, for twice as long, up to a bound: a host that is well again is to be found soon. Pure: the time is
an argument, in monotonic seconds.

Source: Nygard, "Release It!", 2nd edition, chapter 5.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

WINDOW_S: Final = 10.0
TRIES: Final = 5
"""One call may fail for a reason of its own; that must not cost all others another pause."""
PAUSE_S_MAX: Final = 30.0
"""A pause does not grow beyond this, unless it was set longer."""
_SHARE: Final = 0.8
"""A host that answers every fifth call is not down; that is what trying again is for."""
_REMEMBERED_MAX: Final = 1_000

CircuitState = Literal["closed", "open", "half-open"]


class Circuit:
    """The breaker of one host.

    Args:
        failures: so many within ``WINDOW_S`` open it; 0 is never. pause_s: how long it stays open the first time.
    """

    __slots__ = (
        "_failed",
        "_failures",
        "_opened_at",
        "_pause_s",
        "_pauses",
        "_recent",
        "_tries_failed",
        "_tries_left",
        "_try_at",
    )

    def __init__(self, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._recent: deque[tuple[float, bool]] = deque(maxlen=max(_REMEMBERED_MAX, 2 * failures))
        self._failed = 0
        self._opened_at = 0.0
        self._try_at: float | None = None
        self._tries_left = 0
        self._tries_failed = 0
        self._pauses = 0

    def state(self, now: float) -> CircuitState:
        """Where the circuit stands."""
        if self._try_at is None:
            return "closed"
        return "half-open" if self.tries(now) else "open"

    def tries(self, now: float) -> int | None:
        """How many calls may be made now; ``None`` for as many as there are."""
        if self._try_at is None:
            return None
        return TRIES if now >= self._try_at else self._tries_left

    def wait_s(self, now: float) -> float:
        """0 when a call may be made, else the seconds until one may try the host.

        Half-open, this lets a few through. Should nothing be heard of them, the next may try after another pause.
        """
        if self._try_at is None:
            return 0.0
        if now >= self._try_at:
            self._try_at = now + self._open_s()
            self._tries_left, self._tries_failed = TRIES, 0
        if not self._tries_left:
            return self._try_at - now
        self._tries_left -= 1
        return 0.0

    def note(self, now: float, began: float, *, failed: bool) -> bool:
        """A call that began at ``began`` has ended. Returns whether that opened the circuit."""
        if self._try_at is None:
            return self._note_closed(now, failed=failed)
        if began < self._opened_at:
            return False  # it was under way when the circuit opened, and says nothing new
        if not failed:
            self._try_at, self._pauses, self._tries_left = None, 0, 0
            self._recent.clear()
            self._failed = 0
            return False
        self._tries_failed += 1
        if self._tries_failed < TRIES:
            return False
        self._open(now)
        return True

    def _note_closed(self, now: float, *, failed: bool) -> bool:
        if not self._failures:
            return False
        recent = self._recent
        while recent and (recent[0][0] <= now - WINDOW_S or len(recent) == recent.maxlen):
            self._failed -= recent.popleft()[1]
        recent.append((now, failed))
        self._failed += failed
        if not failed or self._failed < self._failures or self._failed < _SHARE * len(recent):
            return False
        self._open(now)
        return True

    def _open(self, now: float) -> None:
        self._pauses += 1
        self._opened_at = now
        self._tries_left = self._tries_failed = 0
        self._try_at = now + self._open_s()

    def _open_s(self) -> float:
        return min(self._pause_s * 2.0 ** min(self._pauses - 1, 30), max(self._pause_s, PAUSE_S_MAX))
