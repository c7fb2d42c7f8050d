"""What people may call things: workflows, projects and keys."""

from __future__ import annotations

import re
from typing import Final

from meshhook.errors import Refusal

NAME_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_NAME: Final = re.compile(NAME_PATTERN[1:-1])


def is_name(text: str) -> bool:
    """Whether ``text`` may be a name. What may not, nothing is called: there is no need to ask the database."""
    return _NAME.fullmatch(text) is not None


def check_name(of: str, text: str) -> None:
    """Refuse what may not be a name; ``of`` says for what, such as ``a workflow``.

    Raises:
        Refusal: it is not allowed.
    """
    if not is_name(text):
        raise Refusal(
            400,
            "bad-name",
            "This name is not allowed",
            f"{text[:120]!r} is no name for {of}: 1 to 100 letters, digits, '.', '_' and '-', the first a letter or digit.",
        )
