"""Masking: values of secrets are taken out of whatever comes back, and out of every line of the log.

A value is found plainly, whatever the case, with any of its characters percent-encoded or escaped as in JSON and HTML, and in
base64 at each of the three places it can begin in (so also inside ``user:password``). What was computed from a value in another
way, such as a hash, is not the value, and stays. Values have at least 8 bytes: a shorter one would tear holes into everything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from meshhook.escapes import places
from meshhook.model import CallError, Response

VALUE_BYTES_MIN: Final = 8
_KNOWN_MAX: Final = 1_000
_known: dict[bytes, str] = {}


def mark(name: str) -> str:
    """What stands where the secret ``name`` stood."""
    return f"[secret {name}]"


def remember(name: str, values: Iterable[bytes]) -> None:
    """From now on keep these values of the secret ``name`` out of the log of this process."""
    for value in values:
        _known.pop(value, None)
        _known[value] = name
        if len(_known) > _KNOWN_MAX:
            del _known[next(iter(_known))]


def mask_line(_logger: Any, _method: str, line: Any) -> Any:
    """The last processor of structlog: a finished line without the values this process has ever held."""
    if not isinstance(line, str):
        return line
    for value, name in list(_known.items()):
        line = _Form.of(value).masked(line, mark(name))
    return line


class Mask:
    """Takes the values of some secrets out of texts and data.

    Args:
        values: by the name of the secret.
    """

    def __init__(self, values: Mapping[str, bytes]) -> None:
        # The longer first: one value may hold another.
        ordered = sorted(values.items(), key=lambda item: -len(item[1]))
        self._forms = [(_Form.of(value), mark(name)) for name, value in ordered]

    def __repr__(self) -> str:
        return f"Mask({len(self._forms)} values)"

    def text(self, text: str) -> str:
        """``text`` without the values."""
        for form, instead in self._forms:
            text = form.masked(text, instead)
        return text

    def data(self, data: Any) -> Any:
        """JSON data without the values, in whatever depth; also in the names of members, and as numbers."""
        match data:
            case str():
                return self.text(data)
            case dict():
                return {self.text(name): self.data(value) for name, value in data.items()}
            case list():
                return [self.data(item) for item in data]
            case int() | float() if not isinstance(data, bool):
                shown = str(data)
                masked = self.text(shown)
                return data if masked == shown else masked
            case _:
                return data

    def response(self, response: Response) -> Response:
        """A response as it may be journaled."""
        headers = {self.text(name): self.text(value) for name, value in response.headers.items()}
        return Response(response.status, headers, self.data(response.body))

    def error(self, error: CallError) -> CallError:
        """An error as it may be journaled."""
        return error._replace(reason=self.text(error.reason))


class _Form:
    """What to look for to find one value."""

    __slots__ = ("_needles",)

    def __init__(self, value: bytes) -> None:
        encoded = _base64_forms(value)
        forms = [value, *encoded, *(form.translate(_URL_SAFE) for form in encoded)]
        self._needles = list(dict.fromkeys(form.lower() for form in forms))

    def __repr__(self) -> str:
        return "_Form()"

    @staticmethod
    def of(value: bytes) -> _Form:
        return _form_of(value)

    def masked(self, text: str, instead: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        spans = places(data, self._needles)
        if not spans:
            return text
        pieces, at = [], 0
        for start, end in spans:
            pieces += [data[at:start], instead.encode()]
            at = end
        return b"".join([*pieces, data[at:]]).decode("utf-8", "replace")


@lru_cache(maxsize=_KNOWN_MAX)
def _form_of(value: bytes) -> _Form:
    return _Form(value)


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _base64_forms(value: bytes) -> list[bytes]:
    """What of the value's base64 is the same whatever stands before and behind it, for each of the three alignments.

    Bits of a neighbour are in the first and the last character of some; those are left out.
    """
    forms = []
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value)
        forms.append(encoded[-(-8 * offset // 6) : 8 * (offset + len(value)) // 6])
    return forms
