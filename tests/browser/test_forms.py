"""The inspector: what a node does is told by a form, tried with real data, and what is wrong stands at its field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]
Picture = Callable[[Page, str], Awaitable[None]]
ORDERS: dict[str, Any] = {
    "nodes": [
        {"id": "totals", "type": "transform", "config": {"expression": "sum(input.items[].price)"}},
        {"id": "call", "type": "http_call", "config": {"url": "http://127.0.0.1:9/none"}, "on_error": "continue"},
    ],
    "edges": [{"from": "trigger", "to": "totals"}, {"from": "totals", "to": "call"}],
}


async def test_an_expression_is_completed_and_tried_with_the_data_of_the_last_run(
    page: Page, engine: Engine, accessible: Check, picture: Picture
) -> None:
    name = engine.name("tried")
    engine.publish(name, ORDERS)
    engine.send(name, {"items": [{"price": 40, "name": "a"}, {"price": 2, "name": "b"}]})
    await page.goto(f"/workflows/{name}")
    inspector = page.get_by_role("complementary", name="Inspector")
    await page.get_by_role("tab", name="List").click()
    await page.get_by_role("tabpanel").get_by_role("button", name="totals", exact=True).click()
    field = inspector.get_by_label("Expression")
    await expect(inspector.get_by_role("status").filter(has_text="42")).to_be_visible()

    await field.click()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("input.items[].")
    await page.get_by_role("option", name="price").click()
    await expect(field).to_have_text("input.items[].price")
    await expect(inspector.get_by_role("status").filter(has_text="40")).to_be_visible()
    await accessible(page)
    await picture(page, "editor-forms")

    await page.keyboard.type(")")
    await expect(inspector.get_by_role("status").first).to_contain_text("Unexpected token")


async def test_a_curl_command_becomes_a_call(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("curled")
    engine.publish(name, ORDERS)
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("tab", name="List").click()
    await page.get_by_role("tabpanel").get_by_role("button", name="call", exact=True).click()
    inspector = page.get_by_role("complementary", name="Inspector")
    await inspector.get_by_role("button", name="Paste curl").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Command").fill("wget x")
    await dialog.get_by_role("button", name="Take it over").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("no curl command")
    command = "curl https://api.example.com/orders -H 'x-shop: 7' -H 'content-type: application/json' -d '{\"id\": 1}'"
    await dialog.get_by_label("Command").fill(command)
    await accessible(page)
    await dialog.get_by_role("button", name="Take it over").click()
    await expect(inspector.get_by_label("Url")).to_have_text("https://api.example.com/orders")
    while (config := engine.call("GET", f"/api/v1/workflows/{name}")["draft"]["nodes"][1]["config"]) == ORDERS["nodes"][
        1
    ]["config"]:
        await page.evaluate("new Promise(requestAnimationFrame)")  # it is saved by itself, a moment later
    assert config == {
        "method": "POST",
        "url": "https://api.example.com/orders",
        "json": {"id": 1},
        "headers": {"x-shop": "7"},
    }


async def test_a_key_in_a_curl_command_becomes_a_secret(page: Page, engine: Engine, accessible: Check) -> None:
    """The token is in the secret, and nowhere in the definition; a secret there is already is not overwritten."""
    name, token = engine.name("keyed"), "token-of-ada-0123456789"
    engine.publish(name, ORDERS)
    taken = engine.name("TAKEN").replace("-", "_")
    engine.call("PUT", f"/api/v1/secrets/{taken}", {"value": "of somebody else"})
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("tab", name="List").click()
    await page.get_by_role("tabpanel").get_by_role("button", name="call", exact=True).click()
    inspector = page.get_by_role("complementary", name="Inspector")
    await inspector.get_by_role("button", name="Paste curl").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Command").fill(f"curl https://api.shop.example/me -H 'Authorization: Bearer {token}'")
    await dialog.get_by_role("button", name="Take it over").click()
    await expect(dialog.get_by_role("checkbox", name="Bearer token …6789 as a secret")).to_be_checked()
    secret = dialog.get_by_label("Name of the secret")
    await expect(secret).to_have_value("SHOP_TOKEN")
    await secret.fill(taken)
    await accessible(page)
    await dialog.get_by_role("button", name="Store and take it over").click()
    await expect(dialog.get_by_role("alert")).to_contain_text(f"There is a secret {taken} already")
    own = engine.name("OWN").replace("-", "_")
    await secret.fill(own)
    await dialog.get_by_role("button", name="Store and take it over").click()
    await expect(dialog).to_be_hidden()
    while (detail := engine.call("GET", f"/api/v1/workflows/{name}"))["draft"]["nodes"][1] == ORDERS["nodes"][1]:
        await page.evaluate("new Promise(requestAnimationFrame)")  # it is saved by itself, a moment later
    assert detail["draft"]["nodes"][1]["config"]["auth"] == {"type": "bearer", "token": f"{{{{ secrets.{own} }}}}"}
    assert token not in str(detail)
    versions = {secret["name"]: secret["version"] for secret in engine.call("GET", "/api/v1/secrets")["items"]}
    assert (versions[own], versions[taken]) == (1, 1)
