"""A circuit breaker: a host that fails again and again is left alone for a while, and then asked once whether it is back.

*Closed* lets everything through. When enough calls failed within the window, and they were nearly all, it is *open* and
lets nothing through until a pause is over. Then it is *half-open*: one call at a time tries the host. The first success closes
it; a failure opens it again, for twice as long. Pure: the time is an argument, in monotonic seconds.

Source: Nygard, "Release It!", 2nd edition, chapter 5.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

WINDOW_S: Final = 10.0
_SHARE: Final = 0.8
"""A host that answers every fifth call is not down; that is what trying again is for."""
_PAUSE_GROWTH_MAX: Final = 16
_REMEMBERED_MAX: Final = 1_000

CircuitState = Literal["closed", "open", "half-open"]


class Circuit:
    """The breaker of one host.

    Args:
        failures: so many within ``WINDOW_S`` open it; 0 is never. pause_s: how long it stays open the first time.
    """

    __slots__ = ("_failures", "_opened_at", "_pause_s", "_pauses", "_recent", "_try_at")

    def __init__(self, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._recent: deque[tuple[float, bool]] = deque(maxlen=max(_REMEMBERED_MAX, 2 * failures))
        self._opened_at = 0.0
        self._try_at: float | None = None
        self._pauses = 0

    def state(self, now: float) -> CircuitState:
        """Where the circuit stands."""
        if self._try_at is None:
            return "closed"
        return "open" if now < self._try_at else "half-open"

    def wait_s(self, now: float) -> float:
        """0 when a call may be made, else the seconds until one may try the host.

        Half-open, this lets one through. Should nothing be heard of that one, the next may try after another pause.
        """
        if self._try_at is None:
            return 0.0
        if now < self._try_at:
            return self._try_at - now
        self._try_at = now + self._open_s()
        return 0.0

    def note(self, now: float, began: float, *, failed: bool) -> bool:
        """A call that began at ``began`` has ended. Returns whether that opened the circuit."""
        if self._try_at is None:
            return self._note_closed(now, failed=failed)
        if began < self._opened_at:
            return False  # it was under way when the circuit opened, and says nothing new
        if not failed:
            self._try_at, self._pauses = None, 0
            self._recent.clear()
            return False
        self._open(now)
        return True

    def _note_closed(self, now: float, *, failed: bool) -> bool:
        self._recent.append((now, failed))
        while self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()
        if not failed or not self._failures:
            return False
        failures = sum(was_failure for _, was_failure in self._recent)
        if failures < self._failures or failures < _SHARE * len(self._recent):
            return False
        self._open(now)
        return True

    def _open(self, now: float) -> None:
        self._pauses += 1
        self._opened_at = now
        self._try_at = now + self._open_s()

    def _open_s(self) -> float:
        return self._pause_s * min(_PAUSE_GROWTH_MAX, 2.0 ** (self._pauses - 1))
