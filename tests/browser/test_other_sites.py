"""What a page of another site can do with the session of who looks at it, in a real browser: nothing.

Both servers are on this machine, so for the browser they are one *site* with two origins: `SameSite=Strict` does not keep the
cookie back, and what refuses is the server. It is the harder case; a page from elsewhere has not even the cookie.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page
from tests.conftest import execute, in_database
from tests.engine.processes import Running

from meshhook import keys, passwords, sessions
from meshhook.db.connect import Database
from meshhook.passwords import Cost

PASSWORD = "correct horse battery"


class Stranger(BaseHTTPRequestHandler):
    """Another site: whatever is asked for, an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The address of another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """A server that wants to be signed in to."""
    await execute(postgres_dsn, f"CREATE DATABASE other_sites TEMPLATE {template}")
    dsn = in_database(postgres_dsn, "other_sites")
    database = Database(dsn, size=1, name="test")
    await database.connect()
    await sessions.set_password(database, keys.DEFAULT_PROJECT, passwords.hash_password(PASSWORD, Cost(4, 1, 1)))
    await database.close()
    async with Running("serve", dsn, require_key="true") as serve:
        yield serve.url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def signed_in(browser: Browser, guarded: str) -> AsyncIterator[BrowserContext]:
    """A browser that has signed in from a page of the server."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{guarded}/runs")
    assert await asked(page, f"{guarded}/api/v1/session", "POST", f'{{"password": "{PASSWORD}"}}') == 200
    assert [cookie["httpOnly"] for cookie in await context.cookies()] == [True]
    assert await page.evaluate("document.cookie") == ""
    yield context
    await context.close()


async def asked(page: Page, url: str, method: str, body: str | None = None, kind: str = "application/json") -> Any:
    """The status that a script of the page sees; ``None`` when it sees nothing."""
    return await page.evaluate(
        """async ([url, method, body, kind]) => {
            try {
                const headers = body === null ? {} : { 'content-type': kind };
                return (await fetch(url, { method, body, headers, credentials: 'include' })).status;
            } catch { return null; }
        }""",
        [url, method, body, kind],
    )


async def test_a_page_of_the_server_reads_changes_and_watches(signed_in: BrowserContext, guarded: str) -> None:
    page = await signed_in.new_page()
    await page.goto(f"{guarded}/runs")
    assert await asked(page, f"{guarded}/api/v1/runs", "GET") == 200
    assert await asked(page, f"{guarded}/api/v1/schedules/none/pause", "POST") == 404  # let in: there is just none
    opened = await page.evaluate(
        """(url) => new Promise((resolve) => {
            const events = new EventSource(url);
            events.onopen = () => { events.close(); resolve('open'); };
            events.onerror = () => { events.close(); resolve('error'); };
        })""",
        f"{guarded}/api/v1/stream",
    )
    assert opened == "open"


async def test_a_page_of_another_site_reads_nothing_and_changes_nothing(
    signed_in: BrowserContext, guarded: str, elsewhere: str
) -> None:
    page = await signed_in.new_page()
    seen: list[tuple[str, int, str]] = []
    page.on("response", lambda answer: seen.append((answer.request.method, answer.status, answer.url)))
    await page.goto(elsewhere)

    for method, body, kind in (
        ("GET", None, ""),
        ("PUT", '{"nodes": [], "edges": []}', "application/json"),
        ("POST", '{"kind": "cancel"}', "text/plain"),
        ("DELETE", None, ""),
    ):
        path = {"GET": "runs", "PUT": "workflows/planted", "POST": "operations", "DELETE": "session"}[method]
        assert await asked(page, f"{guarded}/api/v1/{path}", method, body, kind) is None, method

    async with page.expect_navigation():  # a form needs no leave to send
        await page.evaluate(
            """(url) => {
                const form = document.createElement('form');
                Object.assign(form, { method: 'POST', action: url, enctype: 'text/plain' });
                const field = Object.assign(document.createElement('input'), { name: '{"kind":"cancel","x":"', value: '"}' });
                form.append(field);
                document.body.append(form);
                form.submit();
            }""",
            f"{guarded}/api/v1/operations",
        )
    assert ("POST", 403, f"{guarded}/api/v1/operations") in seen
    assert not [answer for answer in seen if answer[2].startswith(guarded) and answer[1] < 400], seen

    cookie = next(iter(await signed_in.cookies(guarded)))
    headers = {"cookie": f"{cookie['name']}={cookie['value']}"}
    async with httpx.AsyncClient(base_url=guarded, headers=headers) as inside:
        assert (await inside.get("/api/v1/workflows/planted")).status_code == 404
        assert (await inside.get("/api/v1/operations")).json()["items"] == []
        assert (await inside.get("/api/v1/session")).json()["signed_in"]


async def test_no_page_stands_in_a_frame_of_another_site(
    signed_in: BrowserContext, guarded: str, elsewhere: str
) -> None:
    page = await signed_in.new_page()
    await page.goto(elsewhere)
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    async with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        await page.evaluate(
            "(url) => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))",
            guarded + "/",
        )
    assert any("frame-ancestors 'none'" in text for text in refused)
