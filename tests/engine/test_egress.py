"""The way out: what may be reached, how an answer is read, and how each failure is told. Against a real server."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.engine.processes import free_port

from meshhook.egress import Egress
from meshhook.errors import ConfigError
from meshhook.model import CallError, Request, Response
from meshhook.reach import AllowList, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1",
        "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::127.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused_in_whatever_form(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_an_allow_list_opens_names_suffixes_and_ranges() -> None:
    allow = AllowList.parse(" localhost, *.Internal.example ,10.0.0.0/8, fd00::/8")
    inside = ipaddress.ip_address("10.1.2.3")
    elsewhere = ipaddress.ip_address("192.168.0.1")
    assert allow.opens("x", inside)
    assert allow.opens("LOCALHOST.", elsewhere)
    assert allow.opens("a.internal.example", elsewhere)
    assert not allow.opens("internal.example", elsewhere)
    assert not allow.opens("notinternal.example", elsewhere)
    assert not AllowList.parse("").opens("", elsewhere)
    with pytest.raises(ConfigError, match="outbound_allow"):
        AllowList.parse("10.0.0.0/99")


class Sink:
    """A server that does as its path says, and remembers what came."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.port = free_port()
        self.held = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        match request.path.split("/")[1:]:
            case ["status", status]:
                return web.Response(status=int(status), headers={"retry-after": "7"})
            case ["to", target]:
                return web.Response(status=302, headers={"location": bytes.fromhex(target).decode()})
            case ["to", status, target]:
                return web.Response(status=int(status), headers={"location": bytes.fromhex(target).decode()})
            case ["hang"]:
                await self.held.wait()
            case ["reset"]:
                assert request.transport is not None
                request.transport.abort()
            case ["bomb"]:
                packed = gzip.compress(b"\0" * 50_000_000)
                return web.Response(body=packed, headers={"content-encoding": "gzip"})
            case ["large"]:
                return web.Response(body=b"x" * 100_000)
            case ["text"]:
                return web.Response(text="hello", headers={"set-cookie": "a=1"})
            case ["liar"]:
                return web.Response(body=b"{no", content_type="application/json")
            case ["binary"]:
                return web.Response(body=b"\xff\x00")
        return web.json_response({"path": request.path, "method": request.method})


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    made = Sink()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    made.held.set()
    await runner.cleanup()


@pytest.fixture
async def open_way() -> AsyncIterator[Egress]:
    egress = Egress(AllowList.parse("127.0.0.0/8, localhost"))
    yield egress
    await egress.close()


def request_to(url: str, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "method": "GET", "url": url, "headers": {}, "body": None, "connect_timeout_s": 2, "timeout_s": 10,
        "response_limit_bytes": 10_000, "redirects": 3,
    }  # fmt: skip
    return Request(**(fields | changes))


async def test_an_answer_comes_back_as_data(sink: Sink, open_way: Egress) -> None:
    base = f"http://127.0.0.1:{sink.port}"
    answer = await open_way.send(
        request_to(f"{base}/x?q=1", method="POST", body=b"{}", headers={"a": "b"}), {"idempotency-key": '"k"'}
    )
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (200, {"path": "/x", "method": "POST"})
    assert sink.bodies == [b"{}"]
    assert (sink.seen[0].headers["a"], sink.seen[0].headers["idempotency-key"]) == ("b", '"k"')
    texts = [await open_way.send(request_to(f"{base}/{path}"), {}) for path in ("text", "liar", "binary", "status/204")]
    assert [text.body for text in texts if isinstance(text, Response)] == ["hello", "{no", {"base64": "/wA="}, None]
    assert isinstance(texts[0], Response)
    assert "set-cookie" not in texts[0].headers


async def test_each_failure_says_whether_it_was_sent(sink: Sink, open_way: Egress) -> None:
    base = f"http://127.0.0.1:{sink.port}"
    cases = {
        f"{base}/hang": ("timeout", "unknown"),
        f"{base}/reset": ("broken", "unknown"),
        f"{base}/large": ("too-large", "yes"),
        f"{base}/bomb": ("too-large", "yes"),  # 50 kB on the wire
        f"http://127.0.0.1:{free_port()}/": ("connect", "no"),
        "http://no-such-host.invalid/": ("connect", "no"),
    }
    for url, expected in cases.items():
        result = await open_way.send(request_to(url, timeout_s=0.2 if "hang" in url else 10), {})
        assert isinstance(result, CallError), url
        assert (result.type, result.sent) == expected, url
        assert result.reason


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_is_sent_once_even_when_a_connection_in_use_breaks(
    sink: Sink, open_way: Egress, method: str
) -> None:
    base = f"http://127.0.0.1:{sink.port}"
    assert isinstance(await open_way.send(request_to(f"{base}/x"), {}), Response)  # the connection is kept
    result = await open_way.send(request_to(f"{base}/reset", method=method, body=b"{}"), {})
    assert isinstance(result, CallError)
    assert (result.type, result.sent) == ("broken", "unknown")
    assert [request.path for request in sink.seen] == ["/x", "/reset"]


async def test_nothing_private_is_reached_directly_by_name_or_by_redirect(sink: Sink) -> None:
    closed = Egress(AllowList.parse(""))
    half_open = Egress(AllowList.parse("127.0.0.1/32"))
    try:
        for url in (
            "http://127.0.0.1",
            "http://localhost",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
            "http://127.1",
        ):
            result = await closed.send(request_to(f"{url}:{sink.port}/"), {})
            assert isinstance(result, CallError), url
            assert result.type in ("refused", "invalid"), (url, result)
            assert result.sent == "no"
        for target in (f"http://127.0.0.2:{sink.port}/", "http://169.254.169.254/latest", "file:///etc/passwd"):
            result = await half_open.send(request_to(f"http://127.0.0.1:{sink.port}/to/{target.encode().hex()}"), {})
            assert isinstance(result, CallError), target
            assert result.type == "refused", (target, result)
    finally:
        await closed.close()
        await half_open.close()
    assert all(seen.path.startswith("/to/") for seen in sink.seen)


async def test_redirects_are_followed_so_far_and_drop_what_is_not_for_others(sink: Sink, open_way: Egress) -> None:
    base, other = f"http://127.0.0.1:{sink.port}", f"http://localhost:{sink.port}"
    there = f"{base}/to/{f'{other}/end'.encode().hex()}"
    request = request_to(
        there, method="POST", body=b"secret", headers={"authorization": "x", "x-api-key": "x", "content-type": "a/b"}
    )
    answer = await open_way.send(request, {"idempotency-key": '"k"'})
    assert isinstance(answer, Response)
    assert answer.body == {"path": "/end", "method": "GET"}
    assert "authorization" not in sink.seen[-1].headers
    assert sink.bodies[-1] == b""
    assert "x-api-key" not in sink.seen[-1].headers
    assert sink.seen[-1].headers["idempotency-key"] == '"k"'
    loop = f"{base}/to/"
    for _ in range(5):
        loop = f"{base}/to/{loop.encode().hex()}"
    result = await open_way.send(request_to(loop, redirects=2), {})
    assert isinstance(result, CallError)
    assert result.type == "redirects"
    assert json.dumps(result)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"), (308, "POST", "POST"),
        (301, "PUT", "PUT"), (302, "DELETE", "DELETE"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"), (308, "PATCH", "PATCH"),
    ],
)  # fmt: skip
async def test_a_redirect_changes_the_method_as_the_standard_says(
    sink: Sink, open_way: Egress, status: int, method: str, then: str
) -> None:
    base = f"http://127.0.0.1:{sink.port}"
    request = request_to(
        f"{base}/to/{status}/{f'{base}/end'.encode().hex()}", method=method, body=b"b", headers={"authorization": "x"}
    )
    answer = await open_way.send(request, {})
    assert isinstance(answer, Response)
    assert (sink.seen[-1].path, sink.seen[-1].method) == ("/end", then)
    assert sink.bodies[-1] == (b"b" if then == method and method != "HEAD" else b"")
    assert sink.seen[-1].headers["authorization"] == "x"  # the same origin may have it


async def test_a_body_is_not_for_another_origin(sink: Sink, open_way: Egress) -> None:
    there = f"http://localhost:{sink.port}/end".encode().hex()
    request = request_to(f"http://127.0.0.1:{sink.port}/to/307/{there}", method="POST", body=b"secret")
    result = await open_way.send(request, {})
    assert isinstance(result, CallError)
    assert (result.type, result.sent) == ("refused", "yes")
    assert len(sink.seen) == 1


async def test_what_fails_behind_a_redirect_was_sent_before_it(sink: Sink, open_way: Egress) -> None:
    base = f"http://127.0.0.1:{sink.port}"
    for target, expected in (
        (f"http://127.0.0.1:{free_port()}/", "connect"),
        ("http://169.254.169.254/", "refused"),
        ("http://[bad/", "invalid"),
    ):
        result = await open_way.send(request_to(f"{base}/to/{target.encode().hex()}"), {})
        assert isinstance(result, CallError), target
        assert (result.type, result.sent) == (expected, "yes"), target
