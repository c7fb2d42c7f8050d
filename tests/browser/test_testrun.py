"""Test runs in the editor: a draft is tried, its fault is read at the node, it is mended, and pinned steps give what they gave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]


def doubling(expression: str) -> dict[str, Any]:
    """Adds up what comes in, doubles it by ``expression``, and wraps that."""
    return {
        "nodes": [
            {"id": "total", "type": "transform", "config": {"expression": "sum(input.prices)"}},
            {"id": "double", "type": "transform", "config": {"expression": expression}},
            {"id": "done", "type": "transform", "config": {"template": {"result": "{{ input }}"}}},
        ],
        "edges": [
            {"from": "trigger", "to": "total"},
            {"from": "total", "to": "double"},
            {"from": "double", "to": "done"},
        ],
    }


async def test_a_fault_is_read_at_its_node_mended_and_run_again_with_what_came_before(
    page: Page, engine: Engine, accessible: Check
) -> None:
    name = engine.name("doubling")
    engine.publish(name, doubling("sum([input, input])"))
    engine.send(name, {"prices": [2, 3]})
    engine.call("PUT", f"/api/v1/workflows/{name}", doubling("length(input)"))

    await page.goto(f"/workflows/{name}")
    await page.get_by_role("button", name="Test", exact=True).click()
    panel = page.get_by_role("region", name="Test run")
    await panel.get_by_label("Body of the delivery").fill("{prices}")
    await panel.get_by_role("button", name="Run test").click()
    await expect(panel.get_by_role("alert")).to_contain_text("This is no JSON")

    await panel.get_by_label("Body of the delivery").fill('{"prices": [4, 5]}')
    await page.keyboard.press("Control+Enter")
    steps = panel.get_by_role("list", name="Steps")
    await expect(steps.get_by_role("button", name="double")).to_contain_text("failed")
    await steps.get_by_role("button", name="double").click()
    step = panel.get_by_role("article", name="Step double")
    await expect(step).to_contain_text("length()")
    await expect(step.get_by_role("region", name="Input")).to_contain_text("9")
    canvas = page.get_by_role("region", name=f"Canvas of {name}")
    await expect(canvas.locator("[data-id=double]")).to_contain_text("failed")
    await accessible(page)

    # Pinned, the total is what it was, whatever comes in; and what failed is mended in the draft.
    await steps.get_by_role("button", name="total").click()
    await panel.get_by_role("button", name="Pin output").click()
    await expect(panel.get_by_text("1 node pinned")).to_be_visible()
    await expect(canvas.locator("[data-id=total]").get_by_title("Its output is pinned in test runs")).to_be_visible()
    engine.call("PUT", f"/api/v1/workflows/{name}", doubling("sum([input, input])"))
    await page.reload()
    await page.get_by_role("button", name="Test", exact=True).click()
    await expect(panel.get_by_text("1 node pinned")).to_be_visible()
    await panel.get_by_label("Input", exact=True).select_option(index=1)
    await expect(panel.get_by_role("region", name="Body")).to_contain_text("3")
    await panel.get_by_role("button", name="Run test").click()
    await steps.get_by_role("button", name="done").click()
    done = panel.get_by_role("article", name="Step done")
    await expect(done.get_by_role("region", name="Output")).to_contain_text('"result": 18')

    # Unpinned, it is computed from the delivery; done again from the middle, it is taken from the run before.
    await panel.get_by_role("button", name="Unpin all").click()
    await panel.get_by_role("button", name="Run test").click()
    await expect(done.get_by_role("region", name="Output")).to_contain_text('"result": 10')
    await steps.get_by_role("button", name="double").click()
    await panel.get_by_role("button", name="Run again from here").click()
    await steps.get_by_role("button", name="total pinned").click()
    await expect(panel.get_by_role("article", name="Step total")).to_contain_text("gave what it was pinned to")
    await steps.get_by_role("button", name="done").click()
    await expect(done.get_by_role("region", name="Output")).to_contain_text('"result": 10')
    runs = engine.call("GET", "/api/v1/runs", params={"workflow": name, "test": "true"})["items"]
    again = engine.call("GET", f"/api/v1/runs/{runs[0]['id']}")
    assert (len(runs), again["status"], again["pinned"]) == (4, "completed", ["total"])
    await page.set_viewport_size({"width": 390, "height": 800})
    await expect(panel).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.emulate_media(color_scheme="dark")
    await accessible(page)


async def test_a_draft_with_faults_is_not_run_and_says_where_they_are(page: Page, engine: Engine) -> None:
    name = engine.name("faulty")
    faulty = doubling("sum(")
    engine.call("PUT", f"/api/v1/workflows/{name}?faulty=true", faulty)
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("button", name="Test", exact=True).click()
    panel = page.get_by_role("region", name="Test run")
    await panel.get_by_role("button", name="Run test").click()
    alert = panel.get_by_role("alert")
    await expect(alert).to_contain_text("No run was started: the draft has faults.")
    await expect(alert).to_contain_text("double.config.expression")
    await alert.get_by_role("button", name="Show me").first.click()
    await expect(page.get_by_role("complementary", name="Inspector")).to_contain_text("double")
