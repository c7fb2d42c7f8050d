"""One call of the API: how it is described, and what a description becomes on either client.

    @call("GET", "/api/v1/runs/{id}")
    def get_run(self, id: str) -> RunDetail: ...

The function is the description and is never run: its name, parameters and answer are what a client has. Parameters that stand in
the path go there, those under ``query`` and ``headers`` there, one under ``whole`` is the body; the others are members of the body.
On a ``Client`` the method answers, on an ``AsyncClient`` it is awaited; a type checker knows which.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, get_type_hints, overload
from urllib.parse import quote
from uuid import uuid4

import msgspec

from meshhook.errors import UnexpectedAnswer

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Json = Mapping[str, Any]
"""A document such as a definition or the settings of an endpoint."""

_ONE_KEY: Final = "idempotency_key"
_KEYS: Final = (_ONE_KEY, "webhook_id")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came: of a webhook, whose workflow may answer what it likes."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            UnexpectedAnswer: it is none.
        """
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(self.status, f"the body is no JSON: {error}") from error


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a live stream.

    ``name`` is empty for what happened to a run; ``lagged``, ``reset`` and ``end`` are of the stream itself, see
    docs/reference/live.md. ``id`` is what to resume behind.
    """

    id: str
    name: str
    data: dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready to be sent.

    ``repeatable``: sending it twice does what sending it once does. ``answer``: the type of what is answered, unless ``by_status``
    has another.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes | None
    repeatable: bool
    answer: Any
    by_status: Mapping[int, Any] = {}

    def decoded(self, answer: Answer) -> Any:
        """What a good answer says.

        Raises:
            UnexpectedAnswer: something else, so it is not the API that answered.
        """
        if self.answer is Answer:
            return answer
        if self.answer is type(None):
            return None
        if self.answer is str:
            return answer.text
        try:
            return msgspec.json.decode(answer.content, type=self.by_status.get(answer.status, self.answer))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(answer.status, f"{self.method} {self.path}: {error}") from error


class Waits:
    """What a client is whose methods answer."""

    def perform(self, request: Request) -> Any:
        """Send a request, and say what was answered."""
        raise NotImplementedError

    def follow(self, request: Request) -> Iterator[Event]:
        """The events of a live stream."""
        raise NotImplementedError


class Awaits:
    """What a client is whose methods are awaited."""

    async def perform(self, request: Request) -> Any:
        """Send a request, and say what was answered."""
        raise NotImplementedError

    def follow(self, request: Request) -> AsyncIterator[Event]:
        """The events of a live stream."""
        raise NotImplementedError


class _Described(Generic[P]):
    """What both kinds of calls have: which parameter goes where."""

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], Any],
        method: str,
        path: str,
        *,
        query: Sequence[str] = (),
        headers: Sequence[str] = (),
        whole: str | None = None,
        raw: bool = False,
        by_status: Mapping[int, Any] | None = None,
    ) -> None:
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.method, self.path, self.query, self.headers = method, path, query, headers
        self.whole, self.raw, self.by_status = whole, raw, by_status or {}
        self._function = function
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.__signature__ = inspect.Signature(parameters)
        self.in_path = re.findall(r"\{(\w+)\}", path)
        own = {
            *self.in_path,
            *query,
            *headers,
            *([whole] if whole else []),
            *(("content_type", "headers") if raw else ()),
        }
        self.members = [parameter.name for parameter in parameters if parameter.name not in own]

    @functools.cached_property
    def answer(self) -> Any:
        """What is answered when all is well."""
        return get_type_hints(self._function)["return"]

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request:
        """The request of a call with these arguments.

        Raises:
            TypeError: they are not those of the call.
        """
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        headers = self._headers(given)
        body = self._body(given)
        if body is not None:
            headers.setdefault("content-type", given["content_type"] if self.raw else "application/json")
        return Request(
            method=self.method,
            path=re.sub(r"\{(\w+)\}", lambda found: _in_path(found[1], given[found[1]]), self.path),
            query=[pair for name in self.query for pair in _pairs(name, given[name])],
            headers=headers,
            body=body,
            repeatable=self.method == "GET" or "idempotency-key" in headers,
            answer=self.answer,
            by_status=self.by_status,
        )

    def _headers(self, given: Mapping[str, Any]) -> dict[str, str]:
        headers = {name.replace("_", "-"): str(given[name]) for name in self.headers if given[name] is not None}
        if self.raw:
            headers |= {name.lower(): value for name, value in (given["headers"] or {}).items()}
        if _ONE_KEY in self.headers and not headers.keys() & {key.replace("_", "-") for key in _KEYS}:
            headers["idempotency-key"] = str(uuid4())  # so that it can be sent again when its answer is lost
        return headers

    def _body(self, given: Mapping[str, Any]) -> bytes | None:
        if self.whole:
            value = given[self.whole]
            if value is msgspec.UNSET:
                return None
            if self.raw and isinstance(value, bytes | str):
                return value if isinstance(value, bytes) else value.encode()
            return msgspec.json.encode(value)
        if not self.members:
            return None
        return msgspec.json.encode(
            {name.rstrip("_"): given[name] for name in self.members if given[name] is not msgspec.UNSET}
        )


class Operation(_Described[P], Generic[P, T_co]):
    """A call with one answer. Read from a client, it is the method."""

    @overload
    def __get__(self, client: None, owner: Any = None) -> Operation[P, T_co]: ...
    @overload
    def __get__(self, client: Waits, owner: Any = None) -> Callable[P, T_co]: ...
    @overload
    def __get__(self, client: Awaits, owner: Any = None) -> Callable[P, Coroutine[Any, Any, T_co]]: ...
    def __get__(self, client: Any, owner: Any = None) -> Any:
        """The method of a client, or the description itself of a class."""
        if client is None:
            return self

        @functools.wraps(self._function)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.perform(self.request(*args, **kwargs))

        method.__signature__ = self.__signature__  # type: ignore[attr-defined]
        return method


class Stream(_Described[P], Generic[P]):
    """A call whose answer does not end: events, as they commit."""

    @overload
    def __get__(self, client: None, owner: Any = None) -> Stream[P]: ...
    @overload
    def __get__(self, client: Waits, owner: Any = None) -> Callable[P, Iterator[Event]]: ...
    @overload
    def __get__(self, client: Awaits, owner: Any = None) -> Callable[P, AsyncIterator[Event]]: ...
    def __get__(self, client: Any, owner: Any = None) -> Any:
        """The method of a client, or the description itself of a class."""
        if client is None:
            return self

        @functools.wraps(self._function)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.follow(self.request(*args, **kwargs))

        method.__signature__ = self.__signature__  # type: ignore[attr-defined]
        return method


def call(
    method: str,
    path: str,
    *,
    query: Sequence[str] = (),
    headers: Sequence[str] = (),
    whole: str | None = None,
    raw: bool = False,
    by_status: Mapping[int, Any] | None = None,
) -> Callable[[Callable[Concatenate[Any, P], T]], Operation[P, T]]:
    """Describe a call by a function that is never run. ``raw``: bytes and text are sent as they are, with headers of any name."""
    facts: dict[str, Any] = {"query": query, "headers": headers, "whole": whole, "raw": raw, "by_status": by_status}
    return lambda function: Operation(function, method, path, **facts)


def stream(path: str, *, query: Sequence[str] = ()) -> Callable[[Callable[Concatenate[Any, P], Event]], Stream[P]]:
    """Describe a live stream by a function that is never run."""
    return lambda function: Stream(function, "GET", path, query=query)


def _in_path(name: str, value: object) -> str:
    return quote(str(value), safe="/" if name == "path" else "")


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [(name, _text(item)) for item in values]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
