"""Schedules: made with a form, their next ticks, paused, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]
ECHO = {
    "nodes": [{"id": "same", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "same"}],
}


async def test_a_schedule_is_made_fires_is_paused_and_deleted(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("nightly")
    engine.publish(name, ECHO)
    await page.goto("/schedules")
    await page.get_by_role("button", name="New schedule").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_label("Workflow").select_option(name)
    await dialog.get_by_label("Cron expression").fill("61 * * * *")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("$.cron")
    await dialog.get_by_role("button", name="every day at 02:30").click()
    await dialog.get_by_label("Time zone").fill("Europe/Zurich")
    await accessible(page)
    await dialog.get_by_role("button", name="Save").click()

    row = page.get_by_role("row", name=name).first  # what it shows when opened is a row below
    await expect(row).to_contain_text("30 2 * * * · Europe/Zurich")
    await row.get_by_role("button", name=name, exact=True).click()
    await expect(page.get_by_label(f"Next ticks of {name}").get_by_role("definition")).to_have_count(5)
    await accessible(page)

    await row.get_by_role("button", name=f"Pause {name}").click()
    await expect(row).to_contain_text("paused")
    assert engine.call("GET", f"/api/v1/schedules/{name}")["paused_at"] is not None
    await row.get_by_role("button", name=f"Resume {name}").click()
    await expect(row.get_by_role("button", name=f"Pause {name}")).to_be_visible()

    await row.get_by_role("button", name=f"Change {name}").click()
    await dialog.get_by_label("every so many seconds").check()
    await dialog.get_by_label("Seconds between ticks").fill("1")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("every 1 s")
    link = row.get_by_role("link").nth(1)
    while not await link.count():  # the worker fires it; the page is read again until it shows
        await page.reload()
        await expect(row).to_be_visible()
    run_id = (await link.get_attribute("href") or "").removeprefix("/runs/")
    assert engine.call("GET", f"/api/v1/runs/{run_id}")["workflow"] == name

    await row.get_by_role("button", name=f"Delete {name}").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(row).to_be_hidden()
