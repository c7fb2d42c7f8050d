"""The list of workflows, and the way from nothing to a webhook that has run."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]
ECHO = {
    "nodes": [{"id": "same", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "same"}],
}


async def test_the_guided_start_ends_with_ones_own_webhook_having_run(
    page: Page, engine: Engine, accessible: Check
) -> None:
    await page.goto("/welcome")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.get_by_text("Listening")).to_be_visible()
    await accessible(page)
    engine.send("hello", {"name": "Grace"})
    await expect(page.get_by_text("Hello, Grace!")).to_be_visible()
    await page.get_by_role("button", name="Or send it from here").click()
    await expect(page.get_by_text("Hello, Ada!")).to_be_visible()
    await accessible(page)


async def test_the_list_shows_what_ran_and_what_failed(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("orders")
    engine.publish(
        name, ECHO | {"nodes": [{"id": "same", "type": "transform", "config": {"expression": "sum(input)"}}]}
    )
    for body in ([1, 2], [3], "no list"):
        engine.send(name, body)
    other = engine.name("invoices")
    engine.call("PUT", f"/api/v1/workflows/{other}", ECHO)
    await page.goto("/workflows")
    row = page.get_by_role("row", name=name)
    chart = page.get_by_role("img", name="3 runs in 24 hours, 1 of them failed")
    while not await row.filter(has=chart).count():  # the runs end when they end
        await page.reload()
        await expect(row).to_be_visible()
    await expect(page.get_by_role("row", name=other)).to_contain_text("not yet")
    await accessible(page)
    await page.get_by_label("Search by name").fill("INVOI")
    await expect(row).to_be_hidden()
    await page.get_by_label("Search by name").fill("nothing is called so")
    await page.get_by_role("button", name="Show all").click()
    await expect(row).to_be_visible()
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)


@pytest.mark.parametrize(
    "chosen", ["Order intake", "GitHub to chat", "RSS to webhook", "Fan-out with join", "Approval"]
)
async def test_a_template_makes_a_workflow_that_can_be_published(
    page: Page, engine: Engine, accessible: Check, chosen: str
) -> None:
    await page.goto("/workflows")
    await page.get_by_role("button", name="New workflow").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text(chosen, exact=True).click()
    await accessible(page)
    name = await dialog.get_by_label("Name").input_value()
    await dialog.get_by_role("button", name="Make it").click()
    await page.wait_for_url(f"**/workflows/{name}")
    assert engine.call("POST", f"/api/v1/workflows/{name}/versions")["version"] == 1


async def test_a_workflow_goes_out_as_a_file_and_comes_back_in(page: Page, engine: Engine, tmp_path: Path) -> None:
    name = engine.name("carried")
    engine.call("PUT", f"/api/v1/workflows/{name}", ECHO)
    await page.goto("/workflows")
    await page.get_by_role("button", name=f"More for {name}").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export as JSON").click()
    file = tmp_path / (await download.value).suggested_filename
    await (await download.value).save_as(file)
    assert json.loads(file.read_text()) == ECHO

    await page.get_by_role("button", name=f"More for {name}").click()
    await page.get_by_role("button", name="Duplicate").click()
    await expect(page.get_by_role("row", name=f"{name}-copy")).to_be_visible()

    await page.get_by_role("button", name="New workflow").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("A file").set_input_files(file)
    await expect(dialog.get_by_label("Name")).to_have_value(f"{name}-2")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_role("button", name="Make it").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()  # it would have overwritten the other one
    await dialog.get_by_label("Name").fill(f"{name}-again")
    await dialog.get_by_role("button", name="Make it").click()
    await page.wait_for_url(f"**/workflows/{name}-again")
    assert engine.call("GET", f"/api/v1/workflows/{name}-again")["draft"] == ECHO


async def test_a_deleted_workflow_is_found_and_taken_back(page: Page, engine: Engine, accessible: Check) -> None:
    """At once by undo, later from the list of the deleted, or where its name is wanted anew."""
    name = engine.name("put-away")
    engine.publish(name, ECHO)
    await page.goto("/workflows")
    row = page.get_by_role("row", name=name)

    async def delete() -> None:
        await page.get_by_role("button", name=f"More for {name}").click()
        await page.get_by_role("button", name="Delete").click()
        await expect(row).to_be_hidden()

    await delete()
    await page.get_by_role("button", name="Undo").click()
    await expect(row).to_contain_text("version 1")

    await delete()
    await page.get_by_text("Deleted (").click()
    await accessible(page)
    await page.get_by_role("button", name=f"Restore {name}").click()
    await expect(row).to_contain_text("version 1")

    await delete()
    await page.goto(f"/workflows/{name}")
    await expect(page.get_by_role("heading", name=f"“{name}” is deleted")).to_be_visible()
    await page.get_by_role("link", name="To the workflows").click()
    await page.get_by_role("button", name="New workflow").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_role("button", name="Make it").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("was deleted")
    await accessible(page)
    await dialog.get_by_role("button", name=f"Restore “{name}”").click()
    await page.wait_for_url(f"**/workflows/{name}")
    await expect(page.get_by_text("version 1 runs")).to_be_visible()
