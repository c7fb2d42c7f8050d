"""What the sink answers, as a text the sender brings along: one word an attempt, the last of them again and again.

    503;after=1 reset hang 200;ms=50      a refusal that asks for a second, a broken connection, silence, and then success

| word | what happens |
|---|---|
| `200`, or another status | that answer; `after=S` asks for a pause (`Retry-After`), `slow=MS` sends the body bit by bit |
| `reset` | the connection is broken instead of an answer |
| `cut` | the connection is broken in the middle of the answer |
| `hang` | there is no answer, ever |

`ms=MS` lets the sink wait so long before it does any of that. Since the text is part of a payload, and payloads are made of the
seed, the script of every call is known before the run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

DEFAULT: Final = "200"
WORDS_MAX: Final = 100


class ScriptError(ValueError):
    """The text is no script; the message says which word is wrong."""


class Answer(NamedTuple):
    """What the sink does with one request."""

    what: str
    """`answer`, `reset`, `cut` or `hang`."""
    status: int = 0
    wait_ms: int = 0
    """How long it waits before."""
    slow_ms: int = 0
    """How long the body takes."""
    after_s: int | None = None
    """What `Retry-After` asks for."""

    @property
    def told(self) -> str:
        """The answer in one word, as the ledger has it."""
        return str(self.status) if self.what == "answer" else self.what


@lru_cache(maxsize=10_000)
def parse(text: str) -> tuple[Answer, ...]:
    """The answers of a script in their order, at least one; raises ScriptError."""
    words = (text.strip() or DEFAULT).split()
    if len(words) > WORDS_MAX:
        raise ScriptError(f"a script has at most {WORDS_MAX} words, not {len(words)}")
    return tuple(map(_answer, words))


def _answer(word: str) -> Answer:
    what, *options = word.split(";")
    given = [option.partition("=") for option in options]
    try:
        numbers = {name: int(value) for name, _, value in given}
        status = None if what in ("reset", "cut", "hang") else int(what)
    except ValueError:
        raise ScriptError(f"{word!r} is no word of a script") from None
    if numbers.keys() - {"ms", "slow", "after"} or (status is not None and not 200 <= status <= 599):
        raise ScriptError(f"{word!r} is no word of a script")
    return Answer(
        "answer" if status else what, status or 0, numbers.get("ms", 0), numbers.get("slow", 0), numbers.get("after")
    )
