"""Failed runs that nobody has dealt with: they come by themselves, and are replayed, resumed or discarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect
from tests.browser.conftest import Engine
from tests.engine.conftest import chain

Check = Callable[[Page], Awaitable[None]]


def letter(page: Page, run_id: str):  # type: ignore[no-untyped-def]
    """The line of a dead letter."""
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=run_id[-8:]))


async def test_a_failure_appears_and_is_dealt_with(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("letters")
    engine.publish(name, chain("input", "sum(input)"))
    await page.goto(f"/dead-letters?workflow={name}")
    await expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    first, second, third = (engine.send(name, "no list") for _ in range(3))
    for run in (first, second, third):
        await expect(letter(page, run)).to_contain_text("s2")
    await letter(page, first).get_by_role("button").click()
    panel = page.get_by_role("region", name=f"Dead letter {first[-8:]}")
    await expect(panel.get_by_text("s1", exact=True)).to_be_visible()
    await accessible(page)

    await panel.get_by_role("button", name="Discard").click()
    await expect(letter(page, first)).to_have_count(0)
    await letter(page, second).get_by_role("button").click()
    await page.get_by_role("button", name="Resume from s2").click()
    await page.get_by_role("button", name="See the run").click()
    await expect(page.get_by_role("link", name=f"{second[-8:]} from s2")).to_be_visible()
    assert third in str(engine.call("GET", f"/api/v1/dead-letters?workflow={name}"))


async def test_all_that_match_are_dealt_with_by_an_operation(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("many-letters")
    engine.publish(name, chain("sum(input)"))
    for _ in range(12):
        engine.send(name, "no list")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.emulate_media(color_scheme="dark")
    await page.goto("/dead-letters")
    await page.get_by_role("combobox", name="Workflow").select_option(name)
    await page.get_by_role("combobox", name="Error type").select_option("expression")
    await expect(page.get_by_text("12 in all.")).to_be_attached()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)
    await page.get_by_role("button", name="Discard all that match").click()
    dialog = page.get_by_role("dialog", name=f"all dead letters of {name} of type expression")
    await dialog.get_by_role("button", name="Discard 12 runs").click()
    await expect(dialog.get_by_text("Discarded 12 runs.")).to_be_visible()
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(page.get_by_role("heading", name="No dead letter matches")).to_be_visible()
