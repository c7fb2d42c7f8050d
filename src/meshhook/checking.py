"""Definitions checked beside the event loop.

Checking a large definition takes a good part of a second: in a thread webhooks are answered meanwhile, and one is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from meshhook.definition import SIZE_MAX_BYTES, parse_text
from meshhook.errors import DefinitionError, Fault
from meshhook.jsontext import deeper_than
from meshhook.lint import Advice, lint
from meshhook.model import Definition

DRAFT_DEPTH_MAX: Final = 200
"""So deep an unfinished draft may nest: deeper than any valid definition, and no deeper than every reader can follow."""

_CHECKER: Final = ThreadPoolExecutor(1, thread_name_prefix="definitions")


class Checked(msgspec.Struct, frozen=True):
    """Every fault of a definition; and of one that has none what may be a mistake in it, and what a version of it is kept with."""

    faults: list[Fault]
    warnings: list[Advice] = []
    limited: bool = False
    priority: int = 1

    def or_refused(self) -> Checked:
        """Itself.

        Raises:
            DefinitionError: there are faults.
        """
        if self.faults:
            raise DefinitionError(self.faults)
        return self


Check = Callable[[str], Awaitable[Checked]]
"""How a definition, as JSON text, is checked: here, in a thread, or by the API in a process of its own."""


def check(text: str) -> Checked:
    """What there is to say of a definition, as far as it can be told without a database."""
    try:
        definition = _parse(text)
    except DefinitionError as error:
        return Checked(error.faults)
    return Checked([], lint(msgspec.json.decode(text)), definition.place is not None, definition.priority)


async def check_here(text: str) -> Checked:
    """The same, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_CHECKER, check, text)


async def compiled(text: str) -> Definition:
    """A definition that was found valid, ready to be run or told of.

    Raises:
        DefinitionError: it has faults all the same.
    """
    return await asyncio.get_running_loop().run_in_executor(_CHECKER, _parse, text)


def check_keepable(text: str) -> None:
    """Refuse what can't even be kept as an unfinished draft: it must be a JSON object, not too large and not too deep.

    Raises:
        DefinitionError: with the one fault that there is.
    """
    if len(text) > SIZE_MAX_BYTES:
        raise _fault("too-large", f"{len(text)} bytes; a definition has at most {SIZE_MAX_BYTES}")
    try:
        document: Any = msgspec.json.decode(text)
    except RecursionError:
        raise _fault("too-deep", "nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _fault("no-json", str(error)) from None
    if deeper_than(text.encode(), DRAFT_DEPTH_MAX):
        raise _fault("too-deep", f"nested deeper than {DRAFT_DEPTH_MAX} levels")
    if not isinstance(document, dict):
        raise _fault("wrong-value", "a definition is a JSON object")


def _parse(text: str) -> Definition:
    try:
        return parse_text(text)
    except RecursionError:
        raise _fault("too-deep", "nested too deeply") from None


def _fault(code: str, message: str) -> DefinitionError:
    return DefinitionError([Fault("$", code, message)])
