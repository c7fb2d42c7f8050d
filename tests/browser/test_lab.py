"""The Lab: a test is begun in the browser, watched to its verdict, read, compared and deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine
from tests.engine.processes import Running

Check = Callable[[Page], Awaitable[None]]
SHIPPING = {
    "nodes": [
        {"id": "total", "type": "transform", "config": {"expression": "{id: input.id, cents: input.amount}"}},
        {"id": "later", "type": "delay", "config": {"seconds": 3600}},
    ],
    "edges": [{"from": "trigger", "to": "total"}, {"from": "total", "to": "later"}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Another API process on the same database, which has a Lab."""
    folder: Path = tmp_path_factory.mktemp("lab")
    async with Running("serve", engine.dsn, **engine.settings, lab="true", data_dir=folder) as serve:
        yield serve.url


async def test_a_workflow_is_tested_to_its_verdict(page: Page, engine: Engine, lab: str, accessible: Check) -> None:
    name = engine.name("shipping")
    engine.publish(name, SHIPPING)
    await page.goto(f"{lab}/lab?workflow={name}")
    await expect(page.get_by_role("heading", name="No test yet")).to_be_visible()
    await expect(page.get_by_label("Workflow", exact=True)).to_have_value(name)
    await page.get_by_role("spinbutton", name="Seconds").fill("3")
    await page.get_by_label("Requests a second").fill("30")
    await accessible(page)
    await page.get_by_role("button", name="Begin the test").click()

    await expect(page.get_by_role("heading", name=f"{name} at 30/s", level=1)).to_be_visible()
    await expect(page.get_by_role("img", name=re.compile("Throughput: sent [1-9]"))).to_be_visible()
    await expect(page.get_by_text("later: it waits for 2 s, not for 3600 s.")).to_be_visible()
    verdict = page.get_by_role("region", name="Verdict")
    # On a busy machine the generator may be late: then the run was no fair test, and the page has to say so.
    await expect(verdict).to_contain_text(re.compile(r"All \d+ invariants hold|no fair test"))
    proved = page.get_by_role("region", name="What was proved")
    await proved.get_by_text("completion", exact=True).click()
    await expect(proved.get_by_text("completion.alike")).to_be_visible()
    await expect(page.get_by_role("heading", name="Not proved")).to_be_visible()
    await accessible(page)
    await page.evaluate("scrollTo(0, 0)")

    async with page.expect_popup() as opened:
        await page.get_by_role("link", name="Report").click()
    report = await opened.value
    await expect(report.get_by_role("heading", name="What was proved")).to_be_visible()
    # It draws its charts, and reaches nothing of ours.
    await expect(report.locator("#charts canvas").first).to_be_attached()
    assert await report.evaluate("window.origin") == "null"
    assert await report.evaluate("fetch('/api/v1/runs').then(() => 'answered', () => 'refused')") == "refused"
    await report.close()
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Download").click()
    assert (await saved.value).suggested_filename.endswith(".html")

    await page.get_by_role("link", name="Lab", exact=True).last.click()
    chosen = page.get_by_role("checkbox", name=f"Compare {name}")
    await chosen.check()
    await expect(page.get_by_text("Choose one more to compare it with")).to_be_visible()
    id = await chosen.get_attribute("value")
    await page.goto(f"{lab}/lab/compare?a={id}&b={id}")
    await expect(page.get_by_role("row", name=re.compile("End to end, ms p99 "))).to_contain_text("+0.0 %")
    await accessible(page)

    await page.goto(f"{lab}/lab")
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.get_by_role("button", name=f"Delete the test of {name}").click()
    await expect(page.get_by_role("heading", name="No test yet")).to_be_visible()


async def test_what_is_wrong_is_told_before_anything_begins(page: Page, engine: Engine, lab: str) -> None:
    name = engine.name("draft-only")
    engine.call("PUT", f"/api/v1/workflows/{name}", SHIPPING)
    await page.goto(f"{lab}/lab?workflow={name}")
    await expect(page.get_by_label("Version")).to_have_value("draft")
    await page.get_by_label("Payload").fill('{"id": ')
    await expect(page.get_by_role("alert")).to_contain_text("This is no JSON")
    await expect(page.get_by_role("button", name="Begin the test")).to_be_disabled()
    await page.get_by_role("button", name="Take that of its last run").click()
    await expect(page.get_by_text("This workflow has no run yet")).to_be_visible()
    await page.get_by_role("radio", name="Load and faults").check()
    await page.get_by_role("button", name="None").click()
    await page.get_by_role("radio", name="A scenario of the suite").check()
    await page.get_by_role("button", name="Begin the test").click()
    await expect(page.get_by_role("alert")).to_contain_text("choose at least one fault")


async def test_where_there_is_no_lab_the_page_says_what_to_do(page: Page, accessible: Check) -> None:
    await page.goto("/lab")
    await expect(page.get_by_role("heading", name="No tests can be begun here")).to_be_visible()
    await expect(page.get_by_text("Set lab to true")).to_be_visible()
    await accessible(page)
