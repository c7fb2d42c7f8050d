"""How things are, on one page that keeps itself up to date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine
from tests.engine.conftest import chain

Check = Callable[[Page], Awaitable[None]]
SLEEPS = {
    "nodes": [{"id": "nap", "type": "delay", "config": {"seconds": 3600}}],
    "edges": [{"from": "trigger", "to": "nap"}],
}


async def test_what_happens_is_drawn_and_what_waits_is_counted(page: Page, engine: Engine, accessible: Check) -> None:
    name, sleeps = engine.name("figures"), engine.name("sleeps")
    engine.publish(name, chain("sum(input)"))
    engine.publish(sleeps, SLEEPS)
    for body in ([1], [2], "no list"):
        engine.send(name, body)
    await page.goto(f"/metrics-board?workflow={name}&last=15m")
    figures = page.get_by_label("In this time")
    await expect(figures).to_contain_text("Accepted 3")
    await expect(figures).to_contain_text("Failed 1")
    for chart in ("Throughput", "Latency"):
        await expect(page.get_by_role("region", name=chart).locator("canvas")).to_be_visible()
    workers = page.get_by_role("region", name="Workers", exact=True)
    await expect(workers.get_by_role("row").filter(has_text="alive")).to_have_count(1)
    await expect(page.get_by_role("region", name="What the doctor finds")).to_be_visible()
    await expect(page.get_by_role("region", name="Database")).to_contain_text("Connections")
    await accessible(page)

    backlog = page.get_by_role("region", name="Backlog")
    before = int(await backlog.locator("strong").inner_text())
    engine.send(sleeps, 1)
    await expect(backlog.locator("strong")).to_have_text(str(before + 1))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_figures_are_read_on_a_narrow_screen(page: Page, accessible: Check, scheme: Any) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    await page.goto("/metrics-board")
    await expect(page.get_by_role("region", name="Throughput").locator("canvas")).to_be_visible()
    await expect(page.get_by_role("region", name="Database").locator("canvas").first).to_be_visible()
    await page.get_by_text("Tables and sessions").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)


async def test_figures_that_can_not_be_read_are_told(page: Page) -> None:
    await page.route("**/api/v1/overview", lambda route: route.fulfill(status=503, json={"title": "No figures yet"}))
    await page.goto("/metrics-board")
    await expect(page.get_by_role("alert")).to_contain_text("No figures yet")
    await page.unroute("**/api/v1/overview")
    await expect(page.get_by_role("region", name="Workers", exact=True)).to_be_visible()
