"""Signing in: asked for by whatever page is wanted, by key, by password, by the setup token of a first start; and the settings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from tests.browser.conftest import BOUND_MS, Engine, numbers
from tests.conftest import execute, in_database
from tests.engine.processes import Running

from meshhook import keys
from meshhook.db.connect import Database
from meshhook.key_source import write_keys
from meshhook.sealing import SealingKey

Check = Callable[[Page], Awaitable[None]]
PASSWORD = "four words and 1 number"
ECHO = {
    "nodes": [{"id": "same", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "same"}],
}


class Closed(Engine):
    """An engine that wants a key, and the log of its server."""

    def __init__(self, serve: Running, dsn: str) -> None:
        super().__init__(serve.url, dsn, {})
        self.serve = serve

    async def setup_token(self) -> str:
        """What ``serve`` printed at its first start."""
        found: list[str] = []

        async def printed() -> bool:
            found.extend(re.findall(r'"setup_token": "(mhi_[^"]+)"', self.serve.log.decode()))
            return bool(found)

        await self.serve.until(printed)
        return found[0]

    async def key(self, name: str) -> str:
        """A new API key, used by ``call`` from now on."""
        database = Database(self.dsn, size=1, name="test")
        await database.connect()
        try:
            key = await keys.create_key(database, keys.DEFAULT_PROJECT, name)
        finally:
            await database.close()
        self.http.headers["authorization"] = f"Bearer {key}"
        return key


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def closed(postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Closed]:
    """`serve` alone, with `require_key`, before anybody has come."""
    name = f"closed_{next(numbers)}"
    await execute(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    dsn = in_database(postgres_dsn, name)
    file = tmp_path_factory.mktemp("keys") / "secrets.key"
    write_keys(file, [SealingKey.make()])
    async with AsyncExitStack() as stack:
        serve = await stack.enter_async_context(
            Running("serve", dsn, require_key="true", heartbeat_s="0.2", secrets_key_file=file)
        )
        made = Closed(serve, dsn)
        stack.callback(made.http.close)
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, closed: Closed) -> AsyncIterator[Page]:
    """An empty page of a new profile, at the closed engine. Fails the test if a script fails."""
    context = await browser.new_context(base_url=closed.url, viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(BOUND_MS)
    expect.set_options(timeout=BOUND_MS)
    opened = await context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    await context.close()
    assert not faults, f"the page logged errors: {faults}"


async def test_from_the_first_password_to_the_end_of_a_session(page: Page, closed: Closed, accessible: Check) -> None:
    # The first start: the start of the pages asks for a password to be chosen, with the token of the log.
    await page.goto("/")
    await expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
    assert page.url == f"{closed.url}/sign-in"
    await accessible(page)
    await page.get_by_label("Setup token").fill("mhi_" + "x" * 43)
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("alert")).to_contain_text("This setup token opens nothing")
    await page.get_by_label("Setup token").fill(await closed.setup_token())
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("heading", name="Welcome to MeshHook", level=1)).to_be_visible()
    pages = page.get_by_role("navigation", name="Pages")
    await expect(pages).to_contain_text("Signed in with the password")
    await pages.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()

    # A wrong password says so, and moves nothing.
    button = page.get_by_role("button", name="Sign in")
    before = await button.bounding_box()
    await page.get_by_label("Password", exact=True).last.fill("not the password")
    await button.click()
    await expect(page.get_by_role("alert")).to_contain_text("This is not the password")
    assert await button.bounding_box() == before
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)

    # By key, back to what was wanted; streams come with the cookie.
    key = await closed.key("browser")
    path = closed.publish(closed.name("wanted"), ECHO)
    await page.set_viewport_size({"width": 1280, "height": 800})
    wanted = f"/runs?workflow={path}"
    await page.goto(wanted)
    await expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    await page.get_by_role("radio", name="API key").check(force=True)
    await page.get_by_label("API key").last.fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    assert page.url == closed.url + wanted
    await expect(pages).to_contain_text("Signed in as browser")
    run_id = closed.send(path, {"n": 1})
    await expect(page.locator(f"a[href^='/runs/{run_id}']").first).to_be_visible()

    # A session that ends elsewhere closes the stream; the page that was watching leads to signing in by itself.
    token = next(cookie for cookie in await page.context.cookies() if cookie.get("name") == "meshhook")["value"]
    async with httpx.AsyncClient(headers={"cookie": f"meshhook={token}", "sec-fetch-site": "same-origin"}) as client:
        assert (await client.delete(f"{closed.url}/api/v1/session")).status_code == 204
    await expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    assert page.url.startswith(f"{closed.url}/sign-in?to=%2Fruns%3Fworkflow")


async def test_too_many_guesses_are_told_with_the_time_to_wait(page: Page, closed: Closed) -> None:
    await _has_password(closed)
    await page.route(
        "**/api/v1/session",
        lambda route: (
            route.fulfill(
                status=429,
                headers={"retry-after": "90", "content-type": "application/problem+json"},
                body='{"type": "/problems/too-many-attempts", "title": "There were too many attempts", "status": 429}',
            )
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    await page.goto("/sign-in?to=//evil.example/runs")
    await page.get_by_label("Password", exact=True).last.fill("one guess too many")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("too many attempts")
    await expect(page.get_by_role("button", name="Again in 1 min")).to_be_disabled()
    # Keys are not limited; and the way back leads nowhere but here.
    await page.unroute("**/api/v1/session")
    await page.get_by_role("radio", name="API key").check(force=True)
    await page.get_by_label("API key").last.fill(await closed.key("guesser"))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_contain_text("Signed in as guesser")
    assert page.url.startswith(f"{closed.url}/")


async def test_secrets_are_set_rotated_deleted_and_told_in_the_log(
    page: Page, closed: Closed, accessible: Check
) -> None:
    await _has_password(closed)
    await page.context.request.post(
        f"{closed.url}/api/v1/session",
        data={"key": await closed.key("keeper")},
        headers={"sec-fetch-site": "same-origin"},
    )
    await page.goto("/settings")
    await page.get_by_role("button", name="New secret").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("API_TOKEN")
    await dialog.get_by_label("Value", exact=True).fill("a value to keep")
    await dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("region", name="Secrets").get_by_role("row", name="API_TOKEN")
    await expect(row).to_contain_text("never")
    await row.get_by_role("button", name="Rotate API_TOKEN").click()
    await dialog.get_by_role("button", name="Make one").click()
    await dialog.get_by_label("Hours").fill("2")
    await accessible(page)
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("still verifies")
    assert "a value to keep" not in await page.content()
    await row.get_by_role("button", name="Delete API_TOKEN").click()
    await dialog.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_text("No secret yet")).to_be_visible()

    log = page.get_by_role("region", name="Audit log").first
    await log.get_by_label("Show").select_option("Secrets")
    await page.reload()
    await log.get_by_label("Show").select_option("Secrets")
    await expect(log.get_by_role("row", name=re.compile("secret.deleted.*API_TOKEN"))).to_contain_text("key:keeper")
    await expect(log.get_by_role("row", name=re.compile("secret.set.*API_TOKEN.*version 2"))).to_be_visible()

    # The password: the old one is asked for.
    await page.get_by_label("Old password").fill("not the old password")
    await page.get_by_label("New password").fill("another four words")
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_role("alert")).to_contain_text("This is not the password")
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)


async def _has_password(closed: Closed) -> None:
    """There is a password, whichever test came first."""
    async with httpx.AsyncClient(base_url=closed.url, headers={"sec-fetch-site": "same-origin"}) as client:
        if not (await client.get("/api/v1/session")).json()["password_set"]:
            body = {"setup_token": await closed.setup_token(), "password": PASSWORD}
            assert (await client.post("/api/v1/session/password", json=body)).status_code == 200
