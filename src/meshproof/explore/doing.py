"""What an actor is doing: a coroutine that stops at every question to the server, and goes on when it is told to."""

from __future__ import annotations

from collections.abc import Coroutine


class Doing:
    """One move under way. There is no event loop: the scheduler alone decides when it goes on."""

    def __init__(self, move: Coroutine[None, None, str]) -> None:
        self._move = move
        self.said = ""
        """What it was and what came of it, once it is done."""

    def goes_on(self) -> bool:
        """Go on to the next question; False when it is done. Raises what the move raises."""
        try:
            self._move.send(None)
        except StopIteration as done:
            self.said = done.value
            return False
        return True


def done(move: Coroutine[None, None, str]) -> str:
    """Do a move that nobody is in the way of, to its end."""
    doing = Doing(move)
    while doing.goes_on():
        pass
    return doing.said
