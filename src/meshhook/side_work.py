"""What the API has done beside it, in a process of its own: ``python -m meshhook.side_work``.

Expressions and definitions come from whoever is typing them. Their work is bounded, but seconds of it would hold up the webhooks
of a process that does it itself, even in a thread; and the budget of a step is counted in one place a process (see ``budget``). One
question at a time comes in on standard input, and its answer goes out on standard output: each a length of four bytes, and JSON.
The process ends when its standard input does.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from meshhook.checking import Checked, check
from meshhook.evaluating import Evaluated, EvaluateWanted, evaluate

LENGTH: Final = struct.Struct(">I")


class ToEvaluate(msgspec.Struct, frozen=True, tag="evaluate"):
    """Expressions to be evaluated: an ``EvaluateWanted`` as it came, so that no digit of it is lost on the way."""

    wanted: msgspec.Raw


class ToCheck(msgspec.Struct, frozen=True, tag="check"):
    """A definition, as text, to be checked."""

    text: str


Question = ToEvaluate | ToCheck
_question: Final = msgspec.json.Decoder(Question)
_wanted: Final = msgspec.json.Decoder(EvaluateWanted)
_encode: Final = msgspec.json.Encoder().encode


def answer(question: bytes) -> bytes:
    """The answer to a question, both JSON."""
    asked = _question.decode(question)
    result: list[Evaluated] | Checked = (
        evaluate(_wanted.decode(asked.wanted)) if isinstance(asked, ToEvaluate) else check(asked.text)
    )
    return _encode(result)


def main() -> None:
    """Answer until there are no more questions."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that is printed by chance may stand between answers
    while (question := _read(questions)) is not None:
        said = answer(question)
        answers.write(LENGTH.pack(len(said)) + said)
        answers.flush()


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else None


if __name__ == "__main__":
    main()
