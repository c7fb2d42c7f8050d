"""What a client does, without doing it: every conversation with the server, told as a generator of acts. No I/O.

    exchange ──Send──►      a request, again where that is safe
    each     ──Send, Item   pages, one item after the other
    wait     ──Send, Pause  until a run has ended
    follow   ──Open, Read, Item, Pause   a live stream, resumed

``Client`` and ``AsyncClient`` each know how to do one act; what follows from it is decided here, once for both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import httpx
import msgspec

from meshhook.client.operation import Answer, Operation, Request
from meshhook.client.sse import Parser
from meshhook.errors import ProblemAnswered, ServerUnreachable, UnexpectedAnswer

T = TypeVar("T")

ENDED: Final = ("completed", "failed", "cancelled")
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BACKOFF_S: Final = 0.2
_BACKOFF_S_MAX: Final = 5.0
_LOOK_S: Final = 0.05
_LOOK_S_MAX: Final = 2.0


class Send(NamedTuple):
    """Send a request; the reply is an ``Answer``, or an ``httpx.TransportError``."""

    request: Request


class Open(NamedTuple):
    """Send a request whose answer is read piece by piece; the reply is an ``Answer``, without a body where it is a stream."""

    request: Request


class Read(NamedTuple):
    """The reply is the next piece of what was opened, ``None`` at its end."""


class Pause(NamedTuple):
    """Do nothing for a while."""

    seconds: float


class Item(NamedTuple):
    """Hand this to whoever iterates."""

    value: Any


Act = Send | Open | Read | Pause | Item
Talking = Generator[Act, Any, T]


class Patience(NamedTuple):
    """How often a request is sent again at most, and how long one pause may be."""

    retries: int
    pause_s_max: float


class Talk(Generic[T]):
    """A conversation under way: ``act`` is what is to be done now, ``result`` what came of it when it is ``over``."""

    def __init__(self, talking: Talking[T]) -> None:
        self._talking = talking
        self.act: Act = Read()
        self.over = False
        self.result: T
        self.reply(None)

    def reply(self, value: object) -> None:
        """The act was done."""
        self._go_on(lambda: self._talking.send(value))

    def fail(self, error: httpx.TransportError) -> None:
        """The act could not be done."""
        self._go_on(lambda: self._talking.throw(error))

    def _go_on(self, step: Callable[[], Act]) -> None:
        try:
            self.act = step()
        except StopIteration as end:
            self.over, self.result = True, end.value


def exchange(request: Request, patience: Patience) -> Talking[Any]:
    """Send a request and say what was answered; send it again where nothing was done yet, or where twice is as good as once.

    Raises:
        ProblemAnswered: the server refused it. ServerUnreachable: there was no answer. UnexpectedAnswer: it was not the API.
    """
    for retries in range(patience.retries + 1):
        failure: Exception
        try:
            answer = yield Send(request)
        except httpx.TransportError as error:
            never_sent = isinstance(error, _NEVER_SENT)
            failure = ServerUnreachable(f"{request.method} {request.path}: {_said(error)}", maybe_done=not never_sent)
            is_worth_it, pause_s = never_sent or request.repeatable, _backoff_s(retries)
        else:
            if 200 <= answer.status < 300:
                return request.decoded(answer)
            failure = failure_of(answer)
            is_worth_it, pause_s = _is_worth_it(failure, request), _pause_s(failure, retries)
        if not is_worth_it or pause_s > patience.pause_s_max or retries == patience.retries:
            raise failure
        yield Pause(pause_s)
    raise AssertionError("the last one has answered or failed")


def each(operation: Operation[..., Any], arguments: Mapping[str, Any], patience: Patience) -> Talking[None]:
    """The items of all pages of a call, in their order."""
    cursor = next(name for name in ("cursor", "after", "before", "") if not name or name in operation.query)
    given = dict(arguments)
    while True:
        page = yield from exchange(operation.request(**given), patience)
        for item in page.items:
            yield Item(item)
        behind = getattr(page, "next", None) or getattr(page, "before", None)
        if not cursor or behind is None:
            return
        given[cursor] = behind


def wait(
    get_run: Operation[..., Any],
    id: str,
    timeout_s: float | None,
    patience: Patience,
    clock: Callable[[], float] = time.monotonic,
) -> Talking[Any]:
    """The run when it has ended, looked at less and less often.

    Raises:
        TimeoutError: it has not ended in time.
    """
    began = clock()
    while True:
        run = yield from exchange(get_run.request(id), patience)
        if run.status in ENDED:
            return run
        waited_s = clock() - began
        if timeout_s is not None and waited_s >= timeout_s:
            raise TimeoutError(f"The run {id} is still {run.status} after {timeout_s:g} s. `get_why` says why.")
        pause_s = min(max(_LOOK_S, waited_s / 10), _LOOK_S_MAX)
        yield Pause(pause_s if timeout_s is None else min(pause_s, max(0.0, timeout_s - waited_s)))


def follow(request: Request, patience: Patience) -> Talking[None]:
    """The events of a live stream, over any number of connections: each goes on behind the last event, so none is missing or twice.

    Raises:
        ProblemAnswered: the server refuses it. ServerUnreachable: it was tried ``patience.retries`` times in a row in vain.
    """
    parser = Parser()
    failed = 0
    while True:
        failure: Exception
        try:
            answer = yield Open(_behind(request, parser.last_id))
            if answer.status == 204:
                return
            if answer.status != 200:
                failure = failure_of(answer)
                if not _is_worth_it(failure, request):
                    raise failure
            else:
                failure = ServerUnreachable(f"{request.path}: the stream ended", maybe_done=False)
                parser = Parser(parser.last_id)
                while (piece := (yield Read())) is not None:
                    for event in parser.feed(piece):
                        failed = 0
                        yield Item(event)
                        if event.name == "end":
                            return
        except httpx.TransportError as error:
            failure = ServerUnreachable(f"{request.path}: {_said(error)}", maybe_done=False)
        except ValueError as error:
            raise UnexpectedAnswer(200, f"{request.path}: {error}") from error
        failed += 1
        if failed > patience.retries:
            raise failure
        pause_s = max(_pause_s(failure, failed), parser.retry_s or 0.0)
        if pause_s > patience.pause_s_max:
            raise failure
        yield Pause(pause_s)


def failure_of(answer: Answer) -> ProblemAnswered | UnexpectedAnswer:
    """The error that an answer tells of."""
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    try:
        told = msgspec.json.decode(answer.content) if media_type == "application/problem+json" else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    if not isinstance(told, dict):
        said = answer.text[:200].strip() or "nothing"
        return UnexpectedAnswer(answer.status, f"this is no answer of MeshHook: {said}")
    return ProblemAnswered(
        status=answer.status,
        type=str(told.get("type", "about:blank")),
        title=str(told.get("title", "")),
        detail=str(told.get("detail", "")),
        errors=[error for error in told.get("errors", []) if isinstance(error, dict)],
        retry_after=_seconds(answer.headers.get("retry-after", "")),
        document=told,
    )


def _is_worth_it(failure: Exception, request: Request) -> bool:
    """429 and 503 promise that nothing was done. Behind 504, and what a proxy says, anything may have been."""
    match failure:
        case ProblemAnswered(status=429 | 503):
            return True
        case ProblemAnswered(status=504) | UnexpectedAnswer(status=502 | 503 | 504):
            return request.repeatable
        case _:
            return False


def _pause_s(failure: Exception, retries: int) -> float:
    asked_s = failure.retry_after if isinstance(failure, ProblemAnswered) else None
    return _backoff_s(retries) if asked_s is None else asked_s + random.uniform(0, _BACKOFF_S)


def _backoff_s(retries: int) -> float:
    """Full jitter: many clients that failed together come back one by one."""
    return random.uniform(0, min(_BACKOFF_S_MAX, _BACKOFF_S * 2**retries))


def _behind(request: Request, last_id: str) -> Request:
    if not last_id:
        return request
    return msgspec.structs.replace(request, headers={**request.headers, "last-event-id": last_id})


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
