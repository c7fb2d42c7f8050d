"""Outgoing HTTP: sends one request of a node, to where it may go and nowhere else, and says how it ended.

Private, loopback, link-local, metadata and reserved addresses are refused unless a setting opens them: a workflow is written
by people whom the network behind this machine should not trust. The address is checked after name resolution and the
connection goes to exactly the addresses that were checked, at every redirect anew (so DNS rebinding finds nothing to rebind).

Source: OWASP, "Server-Side Request Forgery Prevention"; RFC 6890; RFC 4291, section 2.5.5.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from meshhook import __version__
from meshhook.errors import ConfigError
from meshhook.jsontext import deeper_than
from meshhook.model import CallError, Request, Response
from meshhook.signatures import standard_webhooks
from meshhook.signatures.scheme import BadSecret, CannotSign
from meshhook.signatures.standard_webhooks import StandardWebhooks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEPTH_MAX: Final = 100
_URLS_REMEMBERED: Final = 1_000
_KEPT_HEADERS_MAX: Final = 100
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached although it is not public: host names, ``*.suffix`` names, and address ranges."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]

    @staticmethod
    def parse(text: str) -> AllowList:
        """Read a list separated by commas.

        Raises:
            ConfigError: an entry is neither a name nor a range.
        """
        names, suffixes, networks = set(), [], []
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if "/" in entry or ":" in entry:
                    raise ConfigError(
                        f"outbound_allow: {entry!r} is neither a host name nor a range such as 10.0.0.0/8"
                    ) from None
                if entry.startswith("*."):
                    suffixes.append(entry[1:])
                else:
                    names.add(entry)
        return AllowList(frozenset(names), tuple(suffixes), tuple(networks))

    def opens(self, host: str, address: Address) -> bool:
        """Whether ``address``, found under the name ``host``, is opened."""
        name = host.lower().rstrip(".")
        return (
            name in self.names
            or name.endswith(self.suffixes or "\0")
            or any(address in network for network in self.networks if network.version == address.version)
        )


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, whatever form it is dressed in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class AddressRefusedError(OSError):
    """A host leads to addresses that may not be reached."""


class _GuardedResolver(AbstractResolver):
    """Resolves names, and gives out only addresses that may be reached: those are what the connection is made to."""

    def __init__(self, allow: AllowList, *, clock: Callable[[], float] = time.time) -> None:
        self._allow = allow
        self._clock = clock
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if _may_reach(self._allow, host, result["host"])]
        if not allowed:
            raise AddressRefusedError(_refusal(host))
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class Egress:
    """The way out of one worker process: one pool of connections.

    Args:
        allow: what may be reached although it is not public. clock: Unix seconds, for signatures.
    """

    def __init__(self, allow: AllowList, *, clock: Callable[[], float] = time.time) -> None:
        self._allow = allow
        self._clock = clock
        self._refused_literal = lru_cache(maxsize=_URLS_REMEMBERED)(self._check_literal)
        self._session = aiohttp.ClientSession(
            # How many calls there are at once is for `hosts` to say: here a call would wait under a lease.
            connector=aiohttp.TCPConnector(resolver=_GuardedResolver(allow), limit=0, ttl_dns_cache=30),
            trust_env=False,
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": f"meshhook/{__version__}"},
            middlewares=(_send_once,),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

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
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefusedError):
                return CallError("refused", str(error.os_error), way.sent)
            return CallError("connect", f"no connection: {error.os_error.strerror or error}", way.sent)
        except aiohttp.ConnectionTimeoutError:
            return CallError("connect", f"no connection within {request.connect_timeout_s:g} s", way.sent)
        except (aiohttp.InvalidURL, ValueError) as error:
            return CallError("invalid", f"the request can't be sent: {error}", way.sent)
        except (aiohttp.ClientError, OSError) as error:
            return CallError("broken", f"the connection broke: {str(error) or type(error).__name__}", "unknown")

    def _signature(self, request: Request, key: str) -> dict[str, str]:
        """The headers of Standard Webhooks: the id is one over all attempts, as the key is, the time is that of this one."""
        if request.signing_secret is None:
            return {}
        id = "msg_" + hashlib.sha256(key.encode()).hexdigest()[:32]
        secret = request.signing_secret.encode()
        return standard_webhooks.sign(StandardWebhooks(), secret, request.body or b"", id, int(self._clock()))

    async def _follow(self, request: Request, way: _Way) -> Response | CallError:
        for _ in range(request.redirects + 1):
            if (refusal := self._refused_literal(way.url)) is not None:
                raise AddressRefusedError(refusal)
            async with self._session.request(
                way.method,
                way.url,
                data=way.body,
                headers=way.headers,
                allow_redirects=False,
                timeout=_timeout(request.connect_timeout_s),
            ) as answer:
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or target is None or request.redirects == 0:
                    return await _read(answer, request.response_limit_bytes)
            refusal = way.redirect(answer.status, target)
            if refusal is not None:
                return CallError("refused", refusal, "yes")
        return CallError("redirects", f"redirected more than {request.redirects} times", "yes")

    def _check_literal(self, url: str) -> str | None:
        """Why an address that is written out may not be reached: it is never resolved, so it is checked here."""
        host = urlsplit(url).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        return None if _may_reach(self._allow, host, host) else _refusal(host)


class _ConnectionBroke(aiohttp.ClientError):
    """A connection that stood broke before there was an answer."""


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending again by itself, as it does with GET and PUT: an attempt that nobody journaled is not made."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionBroke(str(error) or type(error).__name__) from error


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

_PORTS: Final = {"http": 80, "https": 443}


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _same_origin(here: str, there: str) -> bool:
    """Whether two URLs are of one origin, or the second is the first's secure door (the same host, 80 → 443)."""
    before, after = _origin(here), _origin(there)
    return before == after or (before[1] == after[1] and before[::2] == ("http", 80) and after[::2] == ("https", 443))


@lru_cache(maxsize=100)
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    """What aiohttp watches over: the rest is the business of ``send``."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


def _may_reach(allow: AllowList, host: str, text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    return is_public(address) or allow.opens(host, address)


def _refusal(host: str) -> str:
    return f"{host} is no public address; the setting outbound_allow can open it"


async def _read(answer: aiohttp.ClientResponse, limit: int) -> Response | CallError:
    data = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > limit:
            return CallError("too-large", f"the answer is larger than {limit} bytes", "yes")
    kept = list(answer.headers.items())[:_KEPT_HEADERS_MAX]
    headers = {name.lower(): value for name, value in kept if name.lower() != "set-cookie"}
    return Response(answer.status, headers, _decoded(bytes(data), answer.content_type))


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
