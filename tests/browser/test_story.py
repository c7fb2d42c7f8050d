"""One story: a workflow is drawn, published, guarded, sent to by curl, broken, repaired, and its failed run resumed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Page, expect
from tests.browser.canvas import connect, drag_to, node, saved
from tests.browser.conftest import Engine

TOTAL = "sum(input.items[].price)"


class Stock:
    """A service a workflow calls. Until it is `open` it knows no page, which no engine tries again."""

    def __init__(self) -> None:
        self.open = True
        self.asked = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        status = b"200 OK" if self.open else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 17\r\nconnection: close\r\n")
        writer.write(b"content-type: application/json\r\n\r\n" + b'{"reserved":true}')
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stock() -> AsyncIterator[Stock]:
    made = Stock()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def curl(url: str, secret: str, id: str, payload: Any) -> dict[str, Any]:
    """Sends a webhook as the specification of Standard Webhooks has it signed; what was answered, and with which status."""
    body, at = json.dumps(payload), str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, f"{id}.{at}.{body}".encode(), hashlib.sha256)).decode()
    headers = ("content-type: application/json", f"webhook-id: {id}", f"webhook-timestamp: {at}")
    arguments = [each for header in (*headers, f"webhook-signature: v1,{mac}") for each in ("-H", header)]
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-w", "\n%{http_code}", *arguments, "-d", body, url), stdout=asyncio.subprocess.PIPE
    )
    answer, _, status = (await process.communicate())[0].decode().rpartition("\n")
    assert process.returncode == 0
    return {**json.loads(answer), "http": int(status)}


async def write(page: Page, field: str, text: str) -> None:
    """A field of code in the inspector, written anew by the keyboard."""
    code = page.get_by_role("complementary", name="Inspector").get_by_label(field, exact=True)
    await code.click()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.press("Delete")
    await page.keyboard.type(text)
    await expect(code).to_have_text(text)
    await page.keyboard.press("Escape")


async def publish(page: Page, version: int) -> None:
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    await expect(page.get_by_text(f"Version {version} is published")).to_be_visible()


def edges(engine: Engine, name: str) -> set[str]:
    draft = engine.call("GET", f"/api/v1/workflows/{name}")["draft"]
    return {f"{edge['from']} > {edge['to']}" for edge in draft["edges"]}


async def draw(page: Page, engine: Engine, name: str, url: str) -> None:
    """By the pointer: the sum of an order, then a call; and what each does, by its form."""
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("button", name=f"Begin “{name}”").click()
    await drag_to(page, "Transform", 260, 160)
    await expect(node(page, "transform: ")).to_be_visible()
    await write(page, "Expression", TOTAL)
    await drag_to(page, "HTTP call", 260, 420)
    await expect(node(page, "call: ")).to_be_visible()
    await write(page, "Url", url)
    await saved(page)
    assert edges(engine, name) == {"trigger > transform"}, "what is dropped beside the others is connected by hand"
    await connect(page, node(page, "transform: "), "transform: out", node(page, "call: "))
    await saved(page)
    assert edges(engine, name) == {"trigger > transform", "transform > call"}


async def guard(page: Page, name: str) -> str:
    """An endpoint for the workflow that hears signed deliveries alone; the secret the page made and showed."""
    await page.goto("/endpoints")
    await page.get_by_role("button", name="New endpoint").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Path").fill(name)
    await dialog.get_by_label("Workflow").select_option(name)
    await dialog.get_by_role("button", name="Make the endpoint").click()
    await page.get_by_role("button", name="Ask for a signature").click()
    await dialog.get_by_label("Sender").fill("standard")
    await dialog.get_by_role("button", name="Standard Webhooks").click()
    await dialog.get_by_role("button", name="Make one").click()
    secret = await dialog.get_by_label("Secret", exact=True).input_value()
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Only deliveries signed as Standard Webhooks does it")).to_be_visible()
    return secret


async def test_from_an_empty_canvas_to_a_run_that_was_mended(page: Page, engine: Engine, stock: Stock) -> None:
    name = engine.name("order-intake")
    hook = f"{engine.url}/hooks/{name}"
    await draw(page, engine, name, f"http://127.0.0.1:{stock.port}/reserve")
    await publish(page, 1)
    secret = await guard(page, name)

    # The page of the runs is open, and is not touched, while the webhook comes; who does not know the secret is not heard.
    runs = await page.context.new_page()
    await runs.goto(f"/runs?workflow={name}")
    await expect(runs.get_by_role("heading", name="No run matches")).to_be_visible()
    await expect(runs.get_by_text("Live", exact=True)).to_be_visible()
    order = {"id": "A-1001", "items": [{"sku": "tea", "price": 12}, {"sku": "pot", "price": 30}]}
    assert (await curl(hook, "whsec_" + "AAAA" * 11, "msg_0", order))["http"] == 401
    first = await curl(hook, secret, "msg_1", order)
    assert first["http"] == 202
    line = runs.get_by_role("row").filter(has=runs.get_by_role("link", name=first["run_id"][-8:]))
    await expect(line).to_contain_text("completed")
    assert stock.asked == 1
    again = await curl(hook, secret, "msg_1", order)
    assert (again["run_id"], again["duplicate"]) == (first["run_id"], True)

    # Broken: told below the canvas, shown where it is, not published; mended, and published.
    await page.goto(f"/workflows/{name}")
    await node(page, "transform: ").click()
    await write(page, "Expression", f"{TOTAL})")
    await node(page, "call: ").click()
    await page.get_by_text("1 error", exact=True).click()
    problem = page.get_by_role("listitem").filter(has=page.get_by_role("button", name="Show me"))
    await expect(problem).to_contain_text("Unexpected token")
    await page.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog", name=f"Publish {name}")
    await expect(dialog).to_contain_text("The draft has an error")
    await dialog.get_by_role("button", name="Cancel").click()
    await problem.get_by_role("button", name="Show me").click()
    await expect(page.get_by_role("textbox", name="Id", exact=True)).to_have_value("transform")
    await write(page, "Expression", f"{{total: {TOTAL}}}")
    await expect(page.get_by_text("1 error", exact=True)).to_be_hidden()
    await saved(page)
    await publish(page, 2)

    # What is called fails: the run fails before one's eyes, and goes on from there when it is put right.
    stock.open = False
    second = await curl(hook, secret, "msg_2", order | {"id": "A-1002"})
    line = runs.get_by_role("row").filter(has=runs.get_by_role("link", name=second["run_id"][-8:]))
    await expect(line).to_contain_text("failed")
    await line.get_by_role("link", name=second["run_id"][-8:]).click()
    await runs.get_by_role("tab", name="Timeline").click()
    timeline = runs.get_by_role("table", name="Timeline of the steps")
    await timeline.get_by_role("button", name="call", exact=True).click()
    step = runs.get_by_role("region", name="Step call")
    await expect(step).to_contain_text("404")
    stock.open = True
    await step.get_by_role("button", name="Resume from here").click()
    await expect(runs).not_to_have_url(re.compile(second["run_id"]))
    await expect(runs.get_by_role("link", name=f"{second['run_id'][-8:]} from call")).to_be_visible()
    await expect(runs.get_by_role("main").get_by_text("completed", exact=True).first).to_be_visible()
    await runs.get_by_role("tab", name="Timeline").click()
    await expect(timeline.get_by_role("row").filter(has_text="transform")).to_contain_text("taken over")
    assert stock.asked == 3
