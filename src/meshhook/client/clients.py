"""``Client`` and ``AsyncClient``: the same calls, by waiting and by awaiting. Each knows how to do one act of a talk, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, ParamSpec, Protocol, Self, TypeVar

import httpx

from meshhook import __version__
from meshhook.client.answers import RunDetail
from meshhook.client.calls import Calls
from meshhook.client.operation import Answer, Awaits, Event, Operation, Request, Waits
from meshhook.client.talk import (
    Act,
    Item,
    Open,
    Patience,
    Pause,
    Read,
    Send,
    Talk,
    each,
    exchange,
    follow,
    wait,
)

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

URL: Final = "http://127.0.0.1:8080"
_QUIET_S: Final = 60.0
"""A stream that says nothing for so long, not even that it is there, is opened anew."""


class Page(Protocol[T_co]):
    """What a call answers that lists something."""

    @property
    def items(self) -> Sequence[T_co]:
        """What this page lists."""
        ...


class Client(Calls, Waits):
    """A client that answers.

    Args:
        url: where `serve` is reached. key: an API key; none is needed where the server asks for none.
        timeout_s: how long one answer may take. retries: how often a request is sent again, where that is safe, and how often in a
            row a stream is opened anew. pause_s_max: when the server asks for a longer pause, that is an error instead.
        http: an httpx client to use, with proxies and certificates of your own; it is yours to close.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        pause_s_max: float = 30.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._wire = _Wire(url, key, timeout_s)
        self._patience = Patience(retries, pause_s_max)
        self._http = http or httpx.Client()
        self._is_ours = http is None

    def perform(self, request: Request) -> Any:
        """Send a request, and say what was answered."""
        return self._result(Talk(exchange(request, self._patience)))

    def follow(self, request: Request) -> Iterator[Event]:
        """The events of a live stream."""
        return self._items(Talk(follow(request, self._patience)))

    def each(self, operation: Operation[P, Page[T]], *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Everything that a call lists, over all of its pages: ``client.each(Client.list_runs, workflow="orders")``."""
        given = operation.__signature__.bind(*args, **kwargs).arguments
        return self._items(Talk(each(operation, given, self._patience)))

    def wait(self, id: str, *, timeout_s: float | None = None) -> RunDetail:
        """A run when it has ended, well or not.

        Raises:
            TimeoutError: it has not within ``timeout_s``.
        """
        run: RunDetail = self._result(Talk(wait(Calls.get_run, id, timeout_s, self._patience)))
        return run

    def close(self) -> None:
        """Close all connections."""
        if self._is_ours:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._wire.url!r})"

    def _result(self, talk: Talk[T]) -> T:
        while not talk.over:
            self._step(talk, _Opened())
        return talk.result

    def _items(self, talk: Talk[Any]) -> Iterator[Any]:
        opened = _Opened()
        try:
            while not talk.over:
                if isinstance(talk.act, Item):
                    yield talk.act.value
                    talk.reply(None)
                else:
                    self._step(talk, opened)
        finally:
            opened.close()

    def _step(self, talk: Talk[Any], opened: _Opened) -> None:
        try:
            value = self._do(talk.act, opened)
        except httpx.TransportError as error:
            talk.fail(error)
        else:
            talk.reply(value)

    def _do(self, act: Act, opened: _Opened) -> object:
        match act:
            case Send(request):
                return _answer(self._http.send(self._http.build_request(**self._wire.told(request))))
            case Open(request):
                opened.close()
                sent = self._http.build_request(**self._wire.told(request, quiet_s=_QUIET_S))
                opened.response = self._http.send(sent, stream=True)
                if opened.response.status_code != 200:
                    opened.response.read()
                    return _answer(opened.response)
                opened.pieces = opened.response.iter_bytes()
                return _answer(opened.response, is_whole=False)
            case Read():
                return next(opened.pieces, None)
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case Item():
                raise AssertionError("an item is not done")


class AsyncClient(Calls, Awaits):
    """A client whose methods are awaited; the arguments are those of ``Client``."""

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        pause_s_max: float = 30.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._wire = _Wire(url, key, timeout_s)
        self._patience = Patience(retries, pause_s_max)
        self._http = http or httpx.AsyncClient()
        self._is_ours = http is None

    async def perform(self, request: Request) -> Any:
        """Send a request, and say what was answered."""
        return await self._result(Talk(exchange(request, self._patience)))

    def follow(self, request: Request) -> AsyncIterator[Event]:
        """The events of a live stream."""
        return self._items(Talk(follow(request, self._patience)))

    def each(self, operation: Operation[P, Page[T]], *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Everything that a call lists, over all of its pages: ``client.each(AsyncClient.list_runs, workflow="orders")``."""
        given = operation.__signature__.bind(*args, **kwargs).arguments
        return self._items(Talk(each(operation, given, self._patience)))

    async def wait(self, id: str, *, timeout_s: float | None = None) -> RunDetail:
        """A run when it has ended, well or not.

        Raises:
            TimeoutError: it has not within ``timeout_s``.
        """
        run: RunDetail = await self._result(Talk(wait(Calls.get_run, id, timeout_s, self._patience)))
        return run

    async def close(self) -> None:
        """Close all connections."""
        if self._is_ours:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._wire.url!r})"

    async def _result(self, talk: Talk[T]) -> T:
        while not talk.over:
            await self._step(talk, _Opened())
        return talk.result

    async def _items(self, talk: Talk[Any]) -> AsyncIterator[Any]:
        opened = _Opened()
        try:
            while not talk.over:
                if isinstance(talk.act, Item):
                    yield talk.act.value
                    talk.reply(None)
                else:
                    await self._step(talk, opened)
        finally:
            await opened.aclose()

    async def _step(self, talk: Talk[Any], opened: _Opened) -> None:
        try:
            value = await self._do(talk.act, opened)
        except httpx.TransportError as error:
            talk.fail(error)
        else:
            talk.reply(value)

    async def _do(self, act: Act, opened: _Opened) -> object:
        match act:
            case Send(request):
                return _answer(await self._http.send(self._http.build_request(**self._wire.told(request))))
            case Open(request):
                await opened.aclose()
                sent = self._http.build_request(**self._wire.told(request, quiet_s=_QUIET_S))
                opened.response = await self._http.send(sent, stream=True)
                if opened.response.status_code != 200:
                    await opened.response.aread()
                    return _answer(opened.response)
                opened.async_pieces = opened.response.aiter_bytes()
                return _answer(opened.response, is_whole=False)
            case Read():
                return await anext(opened.async_pieces, None)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case Item():
                raise AssertionError("an item is not done")


class _Wire:
    """How a request is told to httpx: where to, as whom."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        base = httpx.URL(self.url)
        self._headers = {"user-agent": f"meshhook-client/{__version__}", "accept": "*/*"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key.strip()}"
        else:  # who has signed in by a cookie must say where he comes from
            self._headers["origin"] = f"{base.scheme}://{base.netloc.decode()}"

    def told(self, request: Request, *, quiet_s: float | None = None) -> Mapping[str, Any]:
        """The arguments of ``build_request``."""
        return {
            "method": request.method,
            "url": self.url + request.path,
            "params": request.query or None,
            "headers": {**self._headers, **request.headers},
            "content": request.body,
            "timeout": httpx.Timeout(self._timeout_s, read=quiet_s or self._timeout_s),
        }


class _Opened:
    """The stream that is read just now, if there is one."""

    response: httpx.Response | None = None
    pieces: Iterator[bytes]
    async_pieces: AsyncIterator[bytes]

    def close(self) -> None:
        if self.response is not None:
            self.response.close()

    async def aclose(self) -> None:
        if self.response is not None:
            await self.response.aclose()


def _answer(response: httpx.Response, *, is_whole: bool = True) -> Answer:
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        content=response.content if is_whole else b"",
    )
