"""``{{ secrets.NAME }}``: the one way a definition speaks of a secret, and where it may.

The placeholder stands alone between the braces, in the templates of an ``http_call``. Nothing can be computed from a secret, so
whatever shows up of it later looks as it was stored, and can be masked. Expressions never see secrets: they are beside the
context, not in it, so ``{{ @ }}`` holds none.

A ``Call`` that uses secrets carries their names and a function ``fill`` that makes the request from their values; that is
called just before sending (see ``secret_calls``), and what it makes is written nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
_IS_NAME: Final = re.compile(_NAME)
_PLACEHOLDER: Final = re.compile(rf"secrets\.({_NAME})")

ONLY_HERE: Final = (
    "a secret stands alone between the braces, {{ secrets.NAME }}, "
    "and only in url, headers, query, body and auth of an http_call"
)


def is_secret_name(text: str) -> bool:
    """Whether a secret may be called so: letters, digits and ``_``, no digit first, at most 100."""
    return _IS_NAME.fullmatch(text) is not None


class SecretRef:
    """What stands for one secret in a compiled template."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: Final = name

    @staticmethod
    def parse(text: str) -> SecretRef | None:
        """The reference that ``text`` between braces is, if it is one."""
        found = _PLACEHOLDER.fullmatch(text)
        return None if found is None else SecretRef(found[1])

    def search(self, context: Mapping[str, Any]) -> str:
        """The value, or what stands in for it while there is none."""
        return context.secrets[self.name] if isinstance(context, Filled) else STAND_IN


STAND_IN: Final = "https://secret.invalid/"
"""A secret may be a whole URL, a header, or a part of either: this passes for all of them until the value is there."""


class Filled(dict[str, Any]):
    """A context with the values of secrets beside it: as an attribute, where no expression gets at them."""

    def __init__(self, context: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        super().__init__(context)
        self.secrets: Final = secrets

    def __repr__(self) -> str:
        return "Filled()"


def speaks_of_secrets(node: Mapping[str, Any]) -> bool:
    """Whether a parsed JMESPath expression looks up ``secrets`` at the root of the context.

    What stands behind a dot, a projection or a pipe is looked up in something else: ``input.secrets`` is nobody's secret.
    """
    return any(node["value"] == "secrets" for node in _at_root(node))


_CHAINS: Final = frozenset({"subexpression", "pipe"})
_FIRST_CHILD_AT_ROOT: Final = frozenset(
    {"index_expression", "projection", "value_projection", "filter_projection", "flatten", *_CHAINS}
)


def _at_root(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The fields that are looked up in the context itself."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        children = node.get("children") or []
        if node["type"] == "field":
            yield node
        elif node["type"] in _FIRST_CHILD_AT_ROOT:
            # ``@.secrets`` and ``@ | secrets`` are ``secrets``.
            behind_current = node["type"] in _CHAINS and children[0]["type"] == "current"
            waiting += children[: 2 if behind_current else 1]
        elif node["type"] not in ("expref", "slice"):
            waiting += children
