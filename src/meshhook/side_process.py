"""The one process that does the ``side_work`` of an API process: started when first asked, ended with who asks."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from meshhook.checking import Checked
from meshhook.errors import Refusal
from meshhook.side_work import LENGTH, Question, ToCheck

WAITING_MAX: Final = 16
ANSWER_S_MAX: Final = 20.0
"""Far more than the bounds on size and work let anything take; then the process is ended, and with it what it does."""

Answer = TypeVar("Answer")
_encode: Final = msgspec.json.Encoder().encode


class SideProcess:
    """Asks one question after the other; ``waiting_max`` may wait for their turn. Safe to use by many tasks of one loop."""

    def __init__(self, *, waiting_max: int = WAITING_MAX, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._turn = asyncio.Lock()
        self._waiting_max = waiting_max
        self._answer_s_max = answer_s_max
        self._waiting = 0
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, question: Question, answer: type[Answer]) -> Answer:
        """The answer to a question.

        Raises:
            Refusal: 503, too many wait already, or the answer took too long.
        """
        if self._waiting >= self._waiting_max:
            raise _busy("Too many definitions and expressions wait to be looked at.")
        self._waiting += 1
        try:
            async with self._turn:
                said = await self._exchange(_encode(question))
        finally:
            self._waiting -= 1
        return msgspec.json.decode(said, type=answer)

    async def check(self, text: str) -> Checked:
        """What there is to say of a definition.

        Raises:
            Refusal: as for ``ask``.
        """
        return await self.ask(ToCheck(text), Checked)

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _exchange(self, question: bytes) -> bytes:
        whole = False
        try:
            async with asyncio.timeout(self._answer_s_max):
                process = await self._started()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(LENGTH.pack(len(question)) + question)
                await process.stdin.drain()
                size: int = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
                said = await process.stdout.readexactly(size)
                whole = True
                return said
        except TimeoutError:
            raise _busy(f"It was not done after {self._answer_s_max:g} s, and given up.") from None
        except (asyncio.IncompleteReadError, OSError):
            raise _busy("The process that looks at definitions and expressions has ended.") from None
        finally:
            if not whole:  # the rest of this answer would pass for the next one
                await self._end()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "meshhook.side_work"), stdin=pipe, stdout=pipe
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _busy(detail: str) -> Refusal:
    return Refusal(
        503, "overloaded", "Too busy at the moment", f"{detail} Send it again later.", headers={"retry-after": "1"}
    )
