"""Endpoints: made, guarded, tried, and what was refused there."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]
ECHO = {
    "nodes": [{"id": "same", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "same"}],
}


async def test_an_endpoint_is_made_guarded_for_github_and_hears_github_alone(
    page: Page, engine: Engine, accessible: Check
) -> None:
    name = engine.name("guarded")
    engine.publish(name, ECHO)
    await page.goto("/endpoints")
    await page.get_by_role("button", name="New endpoint").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Path").fill(f"{name}/pushes")
    await dialog.get_by_label("Workflow").select_option(name)
    await accessible(page)
    await dialog.get_by_role("button", name="Make the endpoint").click()
    await expect(page.get_by_text("Everybody who knows the address may send")).to_be_visible()

    await page.get_by_role("button", name="Ask for a signature").click()
    await page.get_by_label("Sender").fill("git hub")
    await page.get_by_role("button", name="GitHub").click()
    secret = await page.get_by_label("Secret", exact=True).input_value()
    await expect(page.get_by_role("dialog")).to_contain_text("Settings → Webhooks → Add webhook")
    await accessible(page)
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Only deliveries signed as GitHub does it")).to_be_visible()

    # As GitHub sends it, and as somebody who does not know the secret.
    body = b'{"ref": "refs/heads/main"}'
    signed = {
        "x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "x-github-delivery": "d-1",
    }
    json = {"content-type": "application/json"}
    assert engine.http.post(f"/hooks/{name}/pushes", content=body, headers=json | signed).status_code == 202
    assert engine.http.post(f"/hooks/{name}/pushes", content=body, headers=json).status_code == 401
    deliveries = page.get_by_role("region", name="Deliveries")
    refused = deliveries.get_by_role("link", name="signature-missing")
    while not await refused.count():  # what is refused is written down in batches
        await deliveries.get_by_role("button", name="Read again").click()
        await page.wait_for_load_state("networkidle")
    await expect(deliveries.get_by_role("cell", name="d-1")).to_be_visible()

    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_text("Answered 202")).to_be_visible()
    await accessible(page)

    await page.get_by_role("button", name="Rotate the secret").click()
    await page.get_by_role("dialog").get_by_role("button", name="Make one").click()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The one before is good for 24 h more")).to_be_visible()
    again = signed | {"x-github-delivery": "d-2"}
    assert engine.http.post(f"/hooks/{name}/pushes", content=body, headers=json | again).status_code == 202


async def test_settings_that_are_not_understood_are_refused_with_their_place(page: Page, engine: Engine) -> None:
    name = engine.name("ruled")
    engine.publish(name, ECHO)
    await page.goto(f"/endpoints/{name}")
    rules = page.get_by_role("region", name="Settings")
    await rules.get_by_label("Addresses that may send").fill("192.0.2.0/33")
    await rules.get_by_label("Addresses that may send").blur()
    await rules.get_by_role("button", name="Save the settings").click()
    await expect(rules.get_by_role("alert")).to_contain_text("$.config.allow_ips")
    await rules.get_by_label("Addresses that may send").fill("192.0.2.0/24")
    await rules.get_by_label("Deliveries a minute").fill("30")
    await rules.get_by_label("Deliveries a minute").blur()
    await rules.get_by_role("button", name="Save the settings").click()
    await expect(page.get_by_text("in force within two seconds")).to_be_visible()
    config = engine.call("GET", f"/api/v1/endpoints/{name}")["config"]
    assert (config["allow_ips"], config["rate_limit"]["quota"]) == (["192.0.2.0/24"], 30)


async def test_a_delivery_is_delivered_again_and_an_endpoint_deleted(page: Page, engine: Engine) -> None:
    name = engine.name("again")
    engine.publish(name, ECHO)
    engine.send(name, {"n": 1})
    await page.goto(f"/endpoints/{name}")
    await page.get_by_role("button", name="Redeliver").click()
    await expect(page.get_by_text("Delivered again")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("heading", name="Endpoints", level=1)).to_be_visible()
    assert engine.http.post(f"/hooks/{name}", json={}).status_code == 404


async def test_on_a_narrow_screen_nothing_sticks_out(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("narrow")
    engine.publish(name, ECHO)
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(f"/endpoints/{name}")
    await expect(page.get_by_role("region", name="Deliveries")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)
