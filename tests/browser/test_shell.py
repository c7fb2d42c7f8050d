"""The frame of all pages: they are served, need no key, keep their policy, and can be used by anybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]


async def test_the_start_leads_to_the_workflows(page: Page, engine: Engine, accessible: Check) -> None:
    only = {"id": "same", "type": "transform", "config": {"expression": "input"}}
    engine.send(
        engine.publish(engine.name("begun"), {"nodes": [only], "edges": [{"from": "trigger", "to": "same"}]}), 1
    )
    await page.goto("/")  # who has run nothing yet is led to the guided start
    await expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()
    await accessible(page)


async def test_every_page_has_a_link_that_says_where_one_is(page: Page) -> None:
    await page.goto("/workflows")
    pages = page.get_by_role("navigation", name="Pages")
    await pages.get_by_role("link", name="Runs").click()
    await expect(pages.get_by_role("link", name="Runs")).to_have_attribute("aria-current", "page")


async def test_on_a_narrow_screen_the_pages_are_behind_a_button(page: Page, accessible: Check) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto("/runs")
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    await expect(page.get_by_role("link", name="Workflows")).to_be_hidden()
    await page.get_by_role("button", name="Pages").click()
    await page.get_by_role("link", name="Workflows").click()
    await expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)


async def test_the_theme_is_kept(page: Page, accessible: Check) -> None:
    await page.goto("/runs")
    await page.get_by_role("button", name="System theme").click()
    await page.get_by_role("button", name="Light theme").click()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.get_by_role("button", name="Dark theme")).to_be_visible()
    await accessible(page)


async def test_an_address_that_is_no_page_says_so(page: Page) -> None:
    await page.goto("/no/such/page")
    await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/runs", "/workflows/any"])
async def test_pages_let_no_script_in_but_their_own(engine: Engine, path: str) -> None:
    answer = engine.http.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.text


async def test_who_asks_for_no_page_gets_the_answer_of_the_api(engine: Engine) -> None:
    answer = engine.http.get("/no/such/page", headers={"accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_files_come_compressed_and_are_kept_by_the_browser(engine: Engine) -> None:
    page = engine.http.get("/", headers={"accept": "text/html"})
    script = page.text.partition('<script src="/_app/')[2].partition('"')[0]
    answer = engine.http.get(f"/_app/{script}", headers={"accept-encoding": "br"})
    assert answer.headers["content-encoding"] == "br"
    assert "immutable" in answer.headers["cache-control"]
    again = engine.http.get("/", headers={"accept": "text/html", "if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert page.headers["cache-control"] == "no-cache"


async def test_the_server_that_is_gone_is_told_and_its_return_too(page: Page) -> None:
    await page.goto("/runs")
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    await page.route("**/api/v1/**", lambda route: route.abort())
    await page.get_by_role("link", name="Workflows").click()
    await expect(page.get_by_role("alert")).to_contain_text("MeshHook does not answer")
    await page.unroute("**/api/v1/**")
    await expect(page.get_by_role("alert")).to_be_hidden()  # it is tried again by itself
    await expect(page.get_by_text("MeshHook does not answer")).to_be_hidden()


def test_a_path_is_told_apart_from_the_api() -> None:
    from meshhook.api.workbench import is_api

    assert [
        path for path in ("/api/v1/runs", "/hooks/x", "/metrics", "/openapi.json", "/problems") if not is_api(path)
    ] == []
    assert [path for path in ("/", "/runs", "/apis", "/metrics-board", "/hooksmith") if is_api(path)] == []


def test_head_is_answered_without_a_body(engine: Engine) -> None:
    answer = httpx.head(f"{engine.url}/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.content) == (200, b"")
