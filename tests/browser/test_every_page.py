"""What holds for every page: it is read by anybody in any theme and width, nothing in it jumps, and it says when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect
from tests.browser.conftest import Engine
from tests.conftest import execute
from tests.engine.conftest import chain

Check = Callable[[Page], Awaitable[None]]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1280, 390)

# Pages, and what they are called in the tab of the browser.
PAGES = {
    "/welcome": "Welcome · MeshHook",
    "/workflows": "Workflows · MeshHook",
    "/workflows/{name}": "{name} · Workflows · MeshHook",
    "/runs": "Runs · MeshHook",
    "/runs/{run}": "{name} {short} · Runs · MeshHook",
    "/endpoints": "Endpoints · MeshHook",
    "/endpoints/{name}": "/hooks/{name} · Endpoints · MeshHook",
    "/schedules": "Schedules · MeshHook",
    "/dead-letters": "Dead letters · MeshHook",
    "/metrics-board": "Metrics · MeshHook",
    "/lab": "Lab · MeshHook",
    "/lab/compare": "Compare · Lab · MeshHook",
    "/settings": "Settings · MeshHook",
    "/sign-in": "Sign in · MeshHook",
    "/no/such/page": "No such page · MeshHook",
}
SILENT = {"/no/such/page"}  # nothing is asked of the server

# What moves by itself between two frames: https://wicg.github.io/layout-instability/
NOTE_SHIFTS = """() => {
    window.shifts = [];
    const told = ({value, sources, hadRecentInput}) => {
        const what = sources.map(({node}) => (node?.outerHTML ?? node?.textContent ?? '?').slice(0, 160)).join(' | ');
        if (!hadRecentInput) window.shifts.push([value, what]);
    };
    new PerformanceObserver((list) => list.getEntries().forEach(told)).observe({type: 'layout-shift', buffered: true});
}"""
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
SHIFT_MAX = 0.001
"""A line of text that moves by its own height through a tenth of the page is more; a word that grows by a letter is less."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(engine: Engine) -> dict[str, str]:
    """Something to show on each page: a workflow that ran, for as long as takes most room to say, and failed; its endpoint, a
    schedule, a secret."""
    name = engine.name("shown")
    engine.publish(name, chain("input", "sum(input.prices)"))
    for below in range(12):
        engine.call(
            "PUT", f"/api/v1/workflows/{name}-{below}", chain("input")
        )  # enough to see it when a row above them grows
    run = engine.send(name, {"prices": [1, 2]})
    engine.send(name, {"prices": "none"})
    assert engine.http.get(f"/api/v1/runs/{run}/stream").is_success  # which ends when the run does
    long = f"UPDATE meshhook.runs SET finished_at = finished_at + interval '125 s' WHERE id = '{run}'"
    await execute(engine.dsn, f"SET session_replication_role = replica; {long}")  # else a finished run never changes
    engine.call("PUT", f"/api/v1/schedules/{name}", {"workflow": name, "cron": "0 7 * * *"})
    engine.call("PUT", "/api/v1/secrets/shown", {"value": "x" * 20})
    return {"name": name, "run": run, "short": run[-8:]}


async def answer_one_by_one(page: Page, asked: asyncio.Queue[Route]) -> None:
    """What a page asks for, in order, each answer painted before the next comes: whatever comes late has its place already."""
    while True:
        route = await asked.get()
        async with page.expect_response(lambda response, route=route: response.request == route.request):
            await route.continue_()
        await page.evaluate(TWO_FRAMES)
        asked.task_done()


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_read_by_anybody_and_nothing_in_it_jumps(
    page: Page, filled: dict[str, str], accessible: Check, path: str
) -> None:
    """While it loads, when it is there, in any theme and width; and what it is called is said in the tab of the browser."""
    asked: asyncio.Queue[Route] = asyncio.Queue()
    await page.add_init_script(f"({NOTE_SHIFTS})()")
    await page.route("**/api/v1/**", asked.put)
    await page.goto(path.format(**filled))
    if path not in SILENT:
        await expect(page.locator(".loading").first).to_be_visible()
    answering = asyncio.create_task(answer_one_by_one(page, asked))
    await expect(page.locator(".loading")).to_have_count(0)
    await expect(page).to_have_title(PAGES[path].format(**filled))
    await asked.join()
    answering.cancel()
    await page.evaluate(TWO_FRAMES)
    shifts = await page.evaluate("window.shifts")
    assert sum(value for value, _ in shifts) <= SHIFT_MAX, shifts
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            await accessible(page)


@pytest.mark.parametrize("path", [path for path in PAGES if path not in SILENT])
async def test_a_page_says_that_nobody_answers_and_goes_on_by_itself(
    page: Page, filled: dict[str, str], path: str
) -> None:
    await page.route("**/api/v1/**", lambda route: route.abort())
    await page.goto(path.format(**filled))
    await expect(page.get_by_role("alert").first).to_contain_text("MeshHook does not answer")
    await page.unroute("**/api/v1/**")
    await expect(page.get_by_text("MeshHook does not answer")).to_have_count(0)
    await expect(page.locator(".loading")).to_have_count(0)
