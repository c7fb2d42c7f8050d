"""How long the processor may be at one step: a second bound, should the counted one (``budget``) ever miss something.

It is time of the processor in this process, so a machine that is busy or a stopped process makes nothing fail. A step that is
cut fails as timed out, which a repetition takes as it was: what a clock does is nobody else's to repeat.
"""

from __future__ import annotations

import signal
from types import TracebackType
from typing import Final

from meshhook import budget

STEP_PROCESSOR_S_MAX: Final = 10.0
"""Five times what the worst expressions take before their budget is spent, on a busy machine."""


class Patience:
    """With it, steps are advanced for ``hold_s`` seconds, and then the last one has ``step_s`` of the processor to come to its end.

    Made in the main thread, for that is where signals arrive. Nothing may be awaited in its block.
    """

    def __init__(self, hold_s: float, step_s: float = STEP_PROCESSOR_S_MAX) -> None:
        self._processor_s = hold_s + step_s
        signal.signal(signal.SIGVTALRM, lambda *_: budget.stop())

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, self._processor_s)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
