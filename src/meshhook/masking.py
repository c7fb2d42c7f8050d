"""Masking: values of secrets are taken out of whatever comes back, and out of every line of the log.

A value is found plainly, whatever the case, with any of its characters percent-encoded or escaped as in JSON and HTML, and within
base64 wherever it begins there (so also in ``user:password``). What was computed from a value in another way, such as a hash, is
not the value, and stays. Values have at least 8 bytes: a shorter one would tear holes into everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    return Mask.of([(name, value) for value, name in _known.items()]).text(line)


class Mask:
    """Takes the values of some secrets out of texts and data.

    Args:
        values: by the name of the secret.
    """

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._take(values.items())

    @staticmethod
    def of(values: Iterable[tuple[str, bytes]]) -> Mask:
        """A mask of several values by one name."""
        mask = Mask({})
        mask._take(values)
        return mask

    def _take(self, values: Iterable[tuple[str, bytes]]) -> None:
        # The longer first: one value may hold another.
        ordered = sorted(values, key=lambda item: -len(item[1]))
        self._needles = [value.lower() for _, value in ordered]
        self._marks = [mark(name).encode() for name, _ in ordered]

    def __repr__(self) -> str:
        return f"Mask({len(self._marks)} values)"

    def text(self, text: str) -> str:
        """``text`` without the values."""
        data = text.encode("utf-8", "surrogatepass")
        pieces, at = [], 0
        for (start, end), needle in places(data, self._needles):
            pieces += [data[at:start], self._marks[needle]]
            at = end
        return b"".join([*pieces, data[at:]]).decode("utf-8", "replace") if pieces else text

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
