"""Outgoing HTTP: sends one request of a node, to where it may go and nowhere else, and says how it ended.

Where it may go is for ``reach`` to say, and ``connections`` leads nowhere else, at every redirect anew. Nothing is sent twice: an
attempt that nobody journaled is not made.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import msgspec
from yarl import URL

from meshhook import __version__
from meshhook.connections import ConnectError, Connections, Origin
from meshhook.http1 import Answer, BrokenError, request_head, unpacked
from meshhook.jsontext import deeper_than
from meshhook.model import CallError, Request, Response
from meshhook.reach import AddressRefusedError, AllowList
from meshhook.signatures import standard_webhooks
from meshhook.signatures.scheme import BadSecret, CannotSign
from meshhook.signatures.standard_webhooks import StandardWebhooks

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEPTH_MAX: Final = 100
_URLS_REMEMBERED: Final = 1_000
_KEPT_HEADERS_MAX: Final = 100
_DEFAULTS: Final = {"user-agent": f"meshhook/{__version__}", "accept": "*/*", "accept-encoding": "gzip, deflate"}


class Egress:
    """The way out of one worker process: one pool of connections.

    Args:
        allow: what may be reached although it is not public. clock: Unix seconds, for signatures.
    """

    def __init__(self, allow: AllowList, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # How many calls there are at once is for `hosts` to say: here a call would wait under a lease.
        self._connections = Connections(allow)

    async def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    async def send(self, request: Request, headers: Mapping[str, str]) -> Response | CallError:
        """Send ``request`` with further ``headers``, following redirects; never raises for what the other side does.

        A redirect may change the method as RFC 9110, section 15.4, says. Another origin gets neither headers that could be
        credentials, nor a body, nor anything of a request that holds secrets.
        """
        try:
            signature = self._signature(request, headers.get("idempotency-key", ""))
        except (BadSecret, CannotSign) as error:
            return CallError("secret", f"the call can't be signed: {error}", "no")
        carried = {**request.headers, **headers, **signature}
        way = _Way(request.method, request.url, request.body, carried, request.confidential)
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._follow(request, way)
        except TimeoutError:
            return CallError("timeout", f"no complete answer within {request.timeout_s:g} s", "unknown")
        except AddressRefusedError as error:
            return CallError("refused", str(error), way.sent)
        except ConnectError as error:
            return CallError("connect", str(error), way.sent)
        except BrokenError as error:
            return CallError("broken", f"the connection broke: {error}", "unknown")
        except ValueError as error:
            return CallError("invalid", f"the request can't be sent: {error}", way.sent)

    def _signature(self, request: Request, key: str) -> dict[str, str]:
        """The headers of Standard Webhooks: the id is one over all attempts, as the key is, the time is that of this one."""
        if request.signing_secret is None:
            return {}
        id = "msg_" + hashlib.sha256(key.encode()).hexdigest()[:32]
        secret = request.signing_secret.encode()
        return standard_webhooks.sign(StandardWebhooks(), secret, request.body or b"", id, int(self._clock()))

    async def _follow(self, request: Request, way: _Way) -> Response | CallError:
        for _ in range(request.redirects + 1):
            answer = await self._exchange(request, way)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or target is None or request.redirects == 0:
                return _read(answer, request.response_limit_bytes)
            refusal = way.redirect(answer.status, target)
            if refusal is not None:
                return CallError("refused", refusal, "yes")
        return CallError("redirects", f"redirected more than {request.redirects} times", "yes")

    async def _exchange(self, request: Request, way: _Way) -> Answer:
        origin, host, target = _place(way.url)
        head = request_head(way.method, host, target, _DEFAULTS | way.headers, way.body)
        connection = await self._connections.take(origin, request.connect_timeout_s)
        answer = await connection.exchange(head, way.body, request.response_limit_bytes, no_body=way.method == "HEAD")
        self._connections.give_back(origin, connection)
        return answer


@dataclass(slots=True)
class _Way:
    """What is sent next on the way of one request through its redirects, and whether anything was ``sent`` before."""

    method: str
    url: str
    body: bytes | None
    headers: dict[str, str]
    confidential: bool
    sent: Literal["yes", "no"] = "no"

    def redirect(self, status: int, target: str) -> str | None:
        """Turn to where a redirect leads; the reason when it may not be followed."""
        self.sent = "yes"
        there = urljoin(self.url, target)
        if urlsplit(there).scheme not in ("http", "https"):
            return "redirected to what is no http(s) URL"
        if status == 303 or (status in (301, 302) and self.method == "POST"):
            self.method, self.body = "GET" if self.method != "HEAD" else "HEAD", None
            self.headers = {name: value for name, value in self.headers.items() if not name.startswith("content-")}
        if not _same_origin(self.url, there):
            if self.confidential:
                return "redirected to another origin, and the request holds secrets"
            if self.body is not None:
                return "redirected to another origin, which does not get the body"
            self.headers = {name: value for name, value in self.headers.items() if name in _FOR_ANYBODY}
        self.url = there
        return None


_FOR_ANYBODY: Final = frozenset({"accept", "accept-language", "idempotency-key", "traceparent", "tracestate"})
"""What another origin than the one a request was made for gets to see of it. Any other header may be a credential."""


def _same_origin(here: str, there: str) -> bool:
    """Whether two URLs are of one origin, or the second is the first's secure door (the same host, 80 → 443)."""
    before, after = _place(here)[0], _place(there)[0]
    return before == after or (before == Origin(False, after.host, 80) and after == Origin(True, before.host, 443))


@lru_cache(maxsize=_URLS_REMEMBERED)
def _place(url: str) -> tuple[Origin, str, str]:
    """Where a URL leads, how that is called in a request, and what is asked for there.

    Raises:
        ValueError: nowhere.
    """
    parsed = URL(url)
    host, port, name = parsed.raw_host, parsed.port, parsed.host_port_subcomponent
    if parsed.scheme not in ("http", "https") or not host or port is None or name is None:
        raise ValueError("it is no http(s) URL")
    return Origin(parsed.scheme == "https", host, port), name, parsed.raw_path_qs


def _read(answer: Answer, limit: int) -> Response | CallError:
    coding = answer.headers.get("content-encoding", "")
    data = None if answer.body is None else unpacked(answer.body, coding, limit)
    if data is None:
        return CallError("too-large", f"the answer is larger than {limit} bytes", "yes")
    kept = list(answer.headers.items())[:_KEPT_HEADERS_MAX]
    headers = {name: value for name, value in kept if name != "set-cookie"}
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Response(answer.status, headers, _decoded(data, media_type))


def _decoded(data: bytes, content_type: str) -> Any:
    if not data:
        return None
    if (content_type == "application/json" or content_type.endswith("+json")) and not deeper_than(data, _DEPTH_MAX):
        try:
            return msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            pass  # it says JSON and is none: then it is text
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
