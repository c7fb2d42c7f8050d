"""The pictures of the documentation: `pytest tests/browser --pictures` makes them anew, from real runs on an engine of their own.

Without the option these are left out: what the pages do is for the other tests to say.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine, numbers
from tests.browser.test_editor import ORDERS
from tests.conftest import execute, in_database
from tests.engine.processes import Running

from meshhook.key_source import write_keys
from meshhook.sealing import SealingKey

Picture = Callable[[Page, str], Awaitable[None]]


def line(*nodes: dict[str, Any]) -> dict[str, Any]:
    """Nodes one behind the other."""
    ids = ["trigger", *(each["id"] for each in nodes)]
    return {"nodes": list(nodes), "edges": [{"from": a, "to": b} for a, b in itertools.pairwise(ids)]}


def workflows(url: str) -> dict[str, dict[str, Any]]:
    """What a small shop may have; `url` answers every call."""
    total = {"id": "totals", "type": "transform", "config": {"template": {"total": "{{ sum(input.items[].price) }}"}}}
    each = {
        "id": "reserve_all",
        "type": "loop",
        "config": {
            "items": "trigger.body.items",
            "items_max": 100,
            "body": line({"id": "reserve", "type": "http_call", "config": {"url": f"{url}/healthz"}}),
        },
    }
    refund = {
        "id": "tell_bank",
        "type": "http_call",
        "config": {
            "url": "http://127.0.0.1:9/refunds",
            "retry": {"attempts": 3, "backoff_s": 0.2, "backoff_max_s": 0.4},
        },
    }
    paid = {"id": "paid", "type": "wait_event", "config": {"event": "order.paid", "key": "{{ trigger.body.id }}"}}
    done = {"id": "done", "type": "transform", "config": {"template": {"order": "{{ trigger.body.id }}"}}}
    return {
        "invoices": line(total, done),
        "order-intake": line(total, each, done),
        "payments": line(paid, done),
        "refunds": line(total, each, refund),
        "stock-report": line({"id": "ask", "type": "http_call", "config": {"url": f"{url}/healthz"}}),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """An engine nobody else uses, with a Lab, the workflows of a shop, and their endpoints."""
    name = f"pictures_{next(numbers)}"
    await execute(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    dsn = in_database(postgres_dsn, name)
    folder = tmp_path_factory.mktemp("pictures")
    write_keys(folder / "secrets.key", [SealingKey.make()])
    settings = {"outbound_allow": "127.0.0.0/8, ::1, localhost", "secrets_key_file": folder / "secrets.key"}
    async with AsyncExitStack() as stack:
        serve = await stack.enter_async_context(Running("serve", dsn, **settings, lab="true", data_dir=folder))
        await stack.enter_async_context(Running("work", dsn, **settings))
        made = Engine(serve.url, dsn, settings)
        stack.callback(made.http.close)
        for workflow, definition in workflows(made.url).items():
            made.publish(workflow, definition)
        yield made


@pytest.fixture
def take(engine: Engine, picture: Picture) -> Picture:
    """A picture with nothing under the pointer and no message in the way, while orders keep coming in."""

    async def taken(page: Page, name: str) -> None:
        await asyncio.to_thread(traffic, engine)
        await page.mouse.move(640, 4)
        toasts = page.locator(".toasts").get_by_role("button", name="Close")  # not that of a dialog
        while await toasts.count():
            await toasts.first.click()
        await picture(page, name)

    return taken


def traffic(engine: Engine, rounds: int = 6) -> None:
    """Orders, invoices and what else a shop hears; few of them can't be worked on."""
    for _ in range(rounds):
        at = next(numbers)
        order = {
            "id": f"A-{1000 + at}",
            "customer": "Ada",
            "items": [{"sku": "tea", "price": 12 + at % 7}] * (1 + at % 4),
        }
        for path in ("order-intake", "invoices", "order-intake", "stock-report"):
            engine.send(path, order)
        if at % 6 == 1:
            engine.send("payments", order)
        if at % 9 == 2:
            engine.send("invoices", {"id": order["id"], "items": [{"sku": "tea", "price": "twelve"}]})
        if at % 11 == 3:
            engine.send("refunds", order)


async def test_building(page: Page, engine: Engine, take: Picture) -> None:
    await asyncio.to_thread(traffic, engine, 20)
    engine.call("PUT", "/api/v1/workflows/order-fulfilment?faulty=true", ORDERS)
    await page.emulate_media(reduced_motion="reduce")
    await page.set_viewport_size({"width": 1600, "height": 820})
    await page.goto("/workflows/order-fulfilment")
    await page.get_by_role("tab", name="List").click()
    await page.get_by_role("button", name="Wait for approval").click()
    await expect(page.get_by_role("textbox", name="Id")).to_have_value("approval")
    await page.get_by_role("button", name="Fit").click()
    await take(page, "editor")

    await page.set_viewport_size({"width": 1280, "height": 800})
    engine.call("PUT", "/api/v1/workflows/invoice-check", workflows(engine.url)["order-intake"])
    await page.goto("/workflows/invoice-check")
    await page.get_by_role("button", name="Test", exact=True).click()
    panel = page.get_by_role("region", name="Test run")
    await panel.get_by_label("Body of the delivery").fill(
        '{\n  "id": "A-7",\n  "items": [\n    {"sku": "tea", "price": 12}\n  ]\n}'
    )
    await panel.get_by_role("button", name="Run test").click()
    steps = panel.get_by_role("list", name="Steps")
    await expect(steps.get_by_role("button", name="done")).to_contain_text("completed")
    await steps.get_by_role("button", name="totals").click()
    await page.get_by_role("button", name="Fit").click()
    await take(page, "test-run")


async def test_hearing(page: Page, engine: Engine, take: Picture) -> None:
    engine.call("PUT", "/api/v1/endpoints/shop/pushes", {"workflow": "order-intake", "methods": ["POST"]})
    await page.goto("/endpoints/shop/pushes")
    await page.get_by_role("button", name="Ask for a signature").click()
    await page.get_by_label("Sender").fill("git hub")
    await page.get_by_role("button", name="GitHub").click()
    await page.get_by_role("dialog").get_by_label("Secret", exact=True).blur()
    await take(page, "signature-wizard")
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Only deliveries signed as GitHub does it")).to_be_visible()
    engine.http.post("/hooks/shop/pushes", json={"id": "A-1"})
    await page.get_by_label("Body", exact=True).fill('{"id": "A-7", "items": [{"sku": "tea", "price": 12}]}')
    for _ in range(2):
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_text("Answered 202")).to_be_visible()
    deliveries = page.get_by_role("region", name="Deliveries")
    while not await deliveries.get_by_role("link", name="signature-missing").count():  # written down in batches
        await page.reload()
        await expect(deliveries.get_by_role("row").nth(1)).to_be_visible()
    await page.set_viewport_size({"width": 1280, "height": 1040})
    await take(page, "endpoint")
    await page.set_viewport_size({"width": 1280, "height": 800})

    for name, when in {
        "nightly-stock": {"cron": "30 2 * * *", "timezone": "Europe/Zurich"},
        "month-end": {"cron": "0 6 1 * *", "timezone": "Europe/London"},
        "pulse": {"every_s": 900},
    }.items():
        engine.call("PUT", f"/api/v1/schedules/{name}", {"workflow": "stock-report", **when})
    engine.call("POST", "/api/v1/schedules/month-end/pause")
    await page.goto("/schedules")
    await page.get_by_role("button", name="nightly-stock", exact=True).click()
    await expect(page.get_by_label("Next ticks of nightly-stock").get_by_role("definition")).to_have_count(5)
    await take(page, "schedules")

    await page.goto("/settings")
    await expect(page.get_by_role("region", name="Secrets").get_by_role("row", name="GITHUB")).to_be_visible()
    await expect(page.get_by_role("region", name="Audit log").first.get_by_role("row").nth(3)).to_be_visible()
    await take(page, "settings")

    await page.goto("/welcome")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.get_by_text("Listening")).to_be_visible()
    await page.get_by_role("button", name="Or send it from here").click()
    await expect(page.get_by_text("Hello, Ada!")).to_be_visible()
    await take(page, "welcome")


async def test_running(page: Page, engine: Engine, take: Picture) -> None:
    await asyncio.to_thread(traffic, engine, 12)
    await page.goto("/workflows")
    await expect(page.get_by_role("row", name="order-intake")).to_be_visible()
    await take(page, "workflows")

    await page.goto("/runs")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await take(page, "runs")

    order = {"id": "A-7", "items": [{"sku": f"tea-{at}", "price": 12} for at in range(24)]}
    await page.goto(f"/runs/{engine.send('refunds', order)}?tab=timeline")
    timeline = page.get_by_role("table", name="Timeline of the steps")
    await expect(timeline.get_by_role("row").filter(has_text="tell_bank")).to_contain_text("×3")
    await expect(page.get_by_role("main").get_by_text("failed", exact=True).first).to_be_visible()
    await timeline.get_by_role("button", name="tell_bank").click()
    await expect(page.get_by_role("region", name="Step tell_bank").get_by_role("row")).to_have_count(4)
    await take(page, "run")

    await page.goto("/dead-letters")
    await page.get_by_role("row").filter(has_text="refunds").first.get_by_role("button").first.click()
    await expect(page.get_by_role("region", name=re.compile("Dead letter"))).to_be_visible()
    await take(page, "dead-letters")

    await page.goto("/metrics-board?last=15m")
    await expect(page.get_by_role("region", name="Latency").locator("canvas")).to_be_visible()
    await expect(page.get_by_role("region", name="What the doctor finds")).to_be_visible()
    await take(page, "metrics")


async def test_proving(page: Page, engine: Engine, take: Picture) -> None:
    await page.goto("/lab?workflow=invoices")
    await page.get_by_role("spinbutton", name="Seconds").fill("12")
    await page.get_by_label("Requests a second").fill("40")
    await page.get_by_label("Payload").fill('{"id": "A-7", "items": [{"sku": "tea", "price": 12}]}')
    await page.get_by_role("button", name="Begin the test").click()
    await expect(page.get_by_role("region", name="Verdict")).to_contain_text(
        re.compile(r"All \d+ invariants hold|no fair test")
    )
    await expect(page.get_by_role("heading", name="Not proved")).to_be_visible()
    await page.evaluate("scrollTo(0, 0)")
    await take(page, "lab")
