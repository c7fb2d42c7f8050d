"""Answers that are remembered for a moment: however many ask, and however often, the question is put once in a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Briefly(Generic[Answer]):
    """Remembers answers for ``keep_s``, ``size_max`` of them. Those who ask the same at once wait for the same answer.

    Errors are told to all who wait, and not remembered. Who goes away while he waits takes nobody's answer with him.
    """

    def __init__(self, keep_s: float, size_max: int = 1_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._size_max = size_max
        self._clock = clock
        self._known: dict[Hashable, tuple[float, Answer]] = {}
        self._asking: dict[Hashable, asyncio.Task[Answer]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What ``ask`` answered lately, or answers now."""
        if key in self._known:
            at, answer = self._known[key]
            if self._clock() - at < self._keep_s:
                return answer
        if key not in self._asking:
            task = self._asking[key] = asyncio.ensure_future(self._ask(key, ask))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await ask()
        self._known.pop(key, None)
        if len(self._known) >= self._size_max:
            del self._known[next(iter(self._known))]
        self._known[key] = self._clock(), answer
        return answer

    def _forget(self, key: Hashable, done: asyncio.Task[Answer]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # whoever waits has it; when nobody does any more, it is nobody's
