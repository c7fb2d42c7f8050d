"""How much work one step may do. Counted, not timed: the same step on the same data always ends the same way.

A clock would stop a hostile expression as well, but then a run that failed on a busy machine would not fail when it is repeated.
So everything that can grow — lists gone through, values made, text built, comparisons of whole structures — is charged *before*
it is done, and what is charged depends on nothing but the expression and the data. One unit is about one value visited or made,
or 16 characters of text; it takes 0.1 µs or so.

Somebody who does have a clock can still end a step (``stop``): should anything ever get past the counting, it ends then.

One thread evaluates at a time: the worker's loop, or a command. The meter is therefore one for the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

from meshhook.errors import StepTooLongError

WORK_MAX: Final = 5_000_000
"""Units one step may spend: half a second or so, and far more than any ordinary step needs."""

RESULT_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
VALUE_DEPTH_MAX: Final = 200

_CHARACTERS_PER_UNIT_LOG2: Final = 4
Result = TypeVar("Result")
Argument = TypeVar("Argument")


_STOPPED: Final = -math.inf


class OverBudgetError(ArithmeticError):
    """A step wants to do more than one step may; the message says what of it was too much."""


class _Meter:
    """What is left for the step that is being evaluated. ``running`` tells that a step has begun, so that its parts share."""

    __slots__ = ("left", "running")

    def __init__(self) -> None:
        self.left: float = WORK_MAX
        self.running = False


meter = _Meter()


def charge(units: int) -> None:
    """Spend ``units``.

    Raises:
        OverBudgetError: nothing is left.
        StepTooLongError: somebody has stopped the step.
    """
    meter.left -= units
    if meter.left < 0:
        if meter.left == _STOPPED:
            raise StepTooLongError("…", "the processor was at this step for too long")
        raise OverBudgetError(f"more work than one step may do ({WORK_MAX:,} values visited or made)")


def charge_text(characters: int) -> None:
    """Spend what going through, or making, so much text costs."""
    charge(characters >> _CHARACTERS_PER_UNIT_LOG2)


def stop() -> None:
    """End the step that is being evaluated when it next spends anything; a step that begins later is not touched."""
    meter.left = _STOPPED


def spent() -> int:
    """Units spent since the step began."""
    return WORK_MAX if meter.left == _STOPPED else WORK_MAX - int(meter.left)


def one_budget(work: Callable[[Argument], Result]) -> Callable[[Argument], Result]:
    """``work`` with one budget for all of it. Inside other work that has one, it spends from that."""

    def bounded(argument: Argument) -> Result:
        if meter.running:
            return work(argument)
        meter.running, meter.left = True, WORK_MAX
        try:
            return work(argument)
        finally:
            meter.running = False

    return bounded


def weigh(value: Any) -> int:
    """Go through a JSON value as it would be written, and return how many values that are; all of them are charged.

    Values share structure (``[@, @]`` holds one value twice), so what is small in memory can be without end on paper.

    Raises:
        OverBudgetError: it is larger than ``RESULT_SIZE_MAX_BYTES``, deeper than ``VALUE_DEPTH_MAX``, or costs too much.
    """
    level, count, size, depth = [value], 0, 0, 0
    while level:
        depth += 1
        if depth > VALUE_DEPTH_MAX + 1:
            raise OverBudgetError(f"the value is nested deeper than {VALUE_DEPTH_MAX} levels")
        charge(len(level))
        count += len(level)
        below: list[Any] = []
        for part in level:
            kind = type(part)
            if kind is str:
                size += len(part)
            elif kind is dict:
                size += sum(map(len, part))
                _extend(below, part.values())
            elif kind is list:
                _extend(below, part)
        if size + count > RESULT_SIZE_MAX_BYTES:
            raise OverBudgetError(f"the value is larger than {RESULT_SIZE_MAX_BYTES} bytes")
        level = below
    charge_text(size)
    return count


def _extend(below: list[Any], parts: Any) -> None:
    # A level made of one long list many times over would fill the memory before it is counted.
    if len(below) + len(parts) > WORK_MAX:
        charge(WORK_MAX)
    below.extend(parts)
