"""The attempts of every call of one run, as its journal tells them: each answer says what is wrong, or nothing at all.

Pure, and written from docs/reference/definition.md and journal.md alone. An attempt is journaled before it is made. Only the claim
that made it can know how it ended; any other can say no more than `unknown`, and then tries again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Attempt:
    """The last attempt of one call."""

    number: int
    epoch: int
    """The claim that makes it."""
    under_way: bool = True
    again: bool = False
    """It failed, and another is to follow."""


class Calls:
    """Every call of one run that was begun."""

    def __init__(self) -> None:
        self._last: dict[str, Attempt] = {}

    @property
    def known(self) -> list[str]:
        """The paths of the calls that were begun."""
        return list(self._last)

    def start(self, node: str, number: int, epoch: int, most: int) -> str:
        """An attempt begins, of `most` in all."""
        last = self._last.get(node)
        self._last[node] = Attempt(number, epoch)
        if last is not None and last.under_way:
            return f"attempt {number} of {node} begins while attempt {last.number} is under way"
        if last is not None and not last.again:
            return f"attempt {number} of {node} begins, though attempt {last.number} was the last"
        if number != (1 if last is None else last.number + 1):
            return f"attempt {number} of {node} follows attempt {0 if last is None else last.number}"
        if number > most:
            return f"attempt {number} of {node}, which has {most} in all"
        return ""

    def fail(self, node: str, number: int, epoch: int, error: str, most: int, *, again: bool, deadline: bool) -> str:
        """An attempt has failed. `deadline`: the step may only take so long, which anybody can tell by the clock."""
        last = self._last.get(node)
        if last is None or not last.under_way or last.number != number:
            return f"attempt {number} of {node} fails, and is not under way"
        last.under_way, last.again = False, again
        if error == "unknown" and epoch == last.epoch:
            return f"attempt {number} of {node} is of unknown fate, but epoch {epoch} made it itself"
        if error != "unknown" and epoch != last.epoch and not (deadline and error == "timeout"):
            return (
                f"attempt {number} of {node} was made under epoch {last.epoch}; epoch {epoch} cannot know how it ended"
            )
        if again and number >= most:
            return f"attempt {number} of {node} is to be followed by another, and has {most} in all"
        return ""

    def end(self, node: str, type: str, epoch: int, error: str) -> str:
        """The step ends."""
        last = self._last.get(node)
        if type == "step.completed":
            if last is None or not last.under_way:
                return f"{node} completes without an attempt under way"
            last.under_way = False
            if epoch != last.epoch:
                return f"attempt {last.number} of {node} was made under epoch {last.epoch}; epoch {epoch} cannot know its answer"
            return ""
        if error == "call" and (last is None or last.under_way or last.again):
            return f"{node} fails for good, though its last attempt did not"
        return ""
