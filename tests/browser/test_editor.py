"""The editor: workflows are built by pointer and by keys, saved by themselves, kept apart between tabs, published, rolled back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Locator, Page, expect
from tests.browser.canvas import connect, drag_to, node, saved
from tests.browser.conftest import Engine

Check = Callable[[Page], Awaitable[None]]

ORDERS: dict[str, Any] = {
    "nodes": [
        {"id": "totals", "type": "transform", "config": {"template": {"total": "{{ sum(input.items[].price) }}"}}},
        {
            "id": "size",
            "type": "branch",
            "config": {"conditions": [{"port": "big", "when": "input.total >= `100`"}], "default": "small"},
        },
        {
            "id": "approval",
            "type": "wait_event",
            "name": "Wait for approval",
            "config": {"event": "order.approved", "key": "{{ trigger.body.id }}", "timeout_s": 86400},
        },
        {"id": "refuse", "type": "terminate", "config": {"status": "failed", "reason": "nobody approved it"}},
        {
            "id": "each",
            "type": "loop",
            "config": {
                "items": "trigger.body.items",
                "items_max": 100,
                "body": {
                    "nodes": [
                        {
                            "id": "reserve",
                            "type": "http_call",
                            "on_error": "port",
                            "config": {"method": "PUT", "url": "https://stock.example.com/{{ input.sku }}"},
                        },
                        {"id": "missing", "type": "transform", "config": {"expression": "{sku: steps.reserve.error}"}},
                    ],
                    "edges": [
                        {"from": "trigger", "to": "reserve"},
                        {"from": "reserve", "port": "error", "to": "missing"},
                    ],
                },
            },
        },
        {"id": "done", "type": "transform", "config": {"expression": "{reserved: input}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "totals"},
        {"from": "totals", "to": "size"},
        {"from": "size", "port": "big", "to": "approval"},
        {"from": "size", "port": "small", "to": "each"},
        {"from": "approval", "to": "each"},
        {"from": "approval", "port": "timeout", "to": "refuse"},
        {"from": "each", "to": "done"},
    ],
}


def save(engine: Engine, name: str, definition: dict[str, Any]) -> None:
    engine.call("PUT", f"/api/v1/workflows/{name}?faulty=true", definition)


def drafted(engine: Engine, name: str) -> dict[str, Any]:
    draft: dict[str, Any] = engine.call("GET", f"/api/v1/workflows/{name}")["draft"]
    return draft


def edges(definition: dict[str, Any]) -> set[str]:
    return {f"{edge['from']}.{edge.get('port', 'out')} > {edge['to']}" for edge in definition["edges"]}


async def opened(page: Page, name: str) -> None:
    """The editor of a workflow, all of it in sight, and nothing under way that would move it."""
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"/workflows/{name}")
    await expect(node(page, "Start").first).to_be_visible()
    await page.get_by_role("button", name="Fit").click()


async def test_a_workflow_is_built_by_drag_and_drop_and_published(
    engine: Engine, page: Page, accessible: Check
) -> None:
    name = engine.name("built")
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("button", name=f"Begin “{name}”").click()
    await expect(page.get_by_text("Begin with what is to happen")).to_be_visible()
    await accessible(page)

    await drag_to(page, "Transform", 260, 200)
    await drag_to(page, "Branch", 260, 400)
    await expect(node(page, "transform: ")).to_be_visible()
    await connect(page, node(page, "transform: "), "transform: out", node(page, "branch: "))
    await saved(page)
    assert edges(drafted(engine, name)) == {"trigger.out > transform", "transform.out > branch"}

    await node(page, "branch: ").click()
    await page.get_by_role("button", name="Undo").click()
    assert await page.get_by_role("button", name="Undo").get_attribute("title") == "Undo: Add Branch (Ctrl Z)"
    await page.get_by_role("button", name="Redo").click()
    await saved(page)
    assert edges(drafted(engine, name)) == {"trigger.out > transform", "transform.out > branch"}

    await page.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog", name=f"Publish {name}")
    await dialog.get_by_label("Note").fill("The first one")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(page.get_by_text("Version 1 is published")).to_be_visible()
    (version,) = engine.call("GET", f"/api/v1/workflows/{name}/versions")["items"]
    assert version["note"] == "The first one"


async def test_a_connection_that_can_not_be_is_refused_with_its_reason(engine: Engine, page: Page) -> None:
    name = engine.name("refused")
    await page.set_viewport_size({"width": 1800, "height": 900})
    save(engine, name, ORDERS)
    await opened(page, name)
    await connect(page, node(page, "done"), "done: out", node(page, "totals"))
    await expect(
        page.get_by_text("“totals” leads to “done” already, so both would wait for each other")
    ).to_be_visible()
    await connect(page, node(page, "missing"), "missing: out", node(page, "done"))
    await expect(page.get_by_text("cannot cross the border of the loop “each”")).to_be_visible()
    await saved(page)
    assert edges(drafted(engine, name)) == edges(ORDERS)


async def middle(target: Locator) -> tuple[float, float]:
    """Of a thing on the page, in pixels of the page."""
    box = await target.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def test_what_the_pointer_does_besides(engine: Engine, page: Page) -> None:
    """Dropping into a loop, a line dropped on nothing, choosing by a rectangle, importing, laying out."""
    name = engine.name("pointer")
    await page.set_viewport_size({"width": 1800, "height": 900})
    save(engine, name, ORDERS)
    await opened(page, name)
    canvas = await page.get_by_label("Canvas of").bounding_box()
    assert canvas is not None
    x, y = await middle(node(page, "Start").nth(1))
    await drag_to(page, "Delay", x - canvas["x"], y - canvas["y"] + 30)
    await expect(node(page, "delay: ")).to_be_visible()
    await saved(page)
    body = drafted(engine, name)["nodes"][4]["config"]["body"]
    assert [each["id"] for each in body["nodes"]] == ["reserve", "missing", "delay"]

    x, y = await middle(node(page, "done: ").get_by_title("done: out"))
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x, y + 150, steps=5)
    await page.mouse.up()
    await page.get_by_role("combobox", name="Type of node").fill("respond")
    await page.keyboard.press("Enter")
    await expect(node(page, "respond: ")).to_be_visible()
    await saved(page)
    assert edges(drafted(engine, name)) - edges(ORDERS) == {"done.out > respond"}

    await page.get_by_role("button", name="Fit").click()
    x, y = await middle(node(page, "refuse: "))
    await page.keyboard.down("Shift")
    await page.mouse.move(x - 100, y + 50)
    await page.mouse.down()
    await page.mouse.move(x + 100, y - 30, steps=5)
    await page.mouse.up()
    await page.keyboard.up("Shift")
    await page.keyboard.press("Delete")
    await expect(node(page, "refuse: ")).to_be_hidden()
    await page.get_by_role("button", name="Lay out").click()
    await saved(page)
    assert edges(ORDERS) - edges(drafted(engine, name)) == {"approval.timeout > refuse"}

    files = [{"name": "orders.json", "mimeType": "application/json", "buffer": json.dumps(ORDERS).encode()}]
    await page.get_by_label("File to import").set_input_files(files)  # type: ignore[arg-type]
    await expect(node(page, "refuse: ")).to_be_visible()
    await page.get_by_label("File to import").set_input_files([{**files[0], "buffer": b"no JSON"}])  # type: ignore[list-item]
    await expect(page.get_by_text("orders.json is not imported.")).to_be_visible()
    await saved(page)
    assert drafted(engine, name) == ORDERS


async def test_what_is_only_looked_at_stays_as_it_is(engine: Engine, page: Page, accessible: Check) -> None:
    name = engine.name("looked")
    await page.set_viewport_size({"width": 1900, "height": 900})
    save(engine, name, ORDERS)
    await opened(page, name)
    await expect(node(page, "reserve: ")).to_be_visible()
    await page.get_by_role("tab", name="List").click()
    await page.get_by_role("button", name="Wait for approval").click()
    await expect(page.get_by_role("textbox", name="Id")).to_have_value("approval")
    await accessible(page)
    await page.get_by_role("button", name="Fit").click()
    await page.keyboard.press("Control+s")
    assert drafted(engine, name) == ORDERS


async def test_everything_can_be_done_by_keys(engine: Engine, page: Page) -> None:
    name = engine.name("keys")
    save(engine, name, {"nodes": [], "edges": []})
    await opened(page, name)
    for typed, id in (("if", "branch"), ("post", "call"), ("merge", "join")):
        await page.keyboard.press("/")
        await page.keyboard.type(typed)
        await page.keyboard.press("Enter")
        await expect(node(page, f"{id}: ")).to_be_visible()

    await page.keyboard.press("Shift+Tab")  # from the canvas to where nodes can be reached, and back into it
    await node(page, "branch: ").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="Connect branch")
    await expect(dialog.get_by_label("From port")).to_be_focused()
    await page.keyboard.type("no")
    await page.keyboard.press("Tab")
    await page.keyboard.type("join")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await saved(page)
    built = drafted(engine, name)
    assert edges(built) == {"trigger.out > branch", "branch.yes > call", "call.out > join", "branch.no > join"}

    await node(page, "call: ").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Shift+ArrowDown")
    await saved(page)
    places = {each["id"]: each["position"] for each in built["nodes"]}
    now = {each["id"]: each["position"] for each in drafted(engine, name)["nodes"]}
    assert now["call"] == {"x": places["call"]["x"], "y": places["call"]["y"] + 5 * 16}
    assert now["join"] == places["join"]

    await page.keyboard.press("Control+d")
    await expect(node(page, "call_2: ")).to_be_visible()
    await page.keyboard.press("Delete")
    await expect(node(page, "call_2: ")).to_be_hidden()
    for _ in range(4):
        await page.keyboard.press("Control+z")
    await saved(page)
    assert "call_2" not in json.dumps(drafted(engine, name))
    assert edges(drafted(engine, name)) == {"trigger.out > branch", "branch.yes > call", "call.out > join"}


async def test_nodes_are_copied_to_another_tab(engine: Engine, page: Page) -> None:
    here, there = engine.name("copied"), engine.name("pasted")
    save(engine, here, ORDERS)
    save(engine, there, ORDERS)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await opened(page, here)
    await node(page, "Wait for approval").click()
    await node(page, "refuse").click(modifiers=["Control"])
    await page.keyboard.press("Control+c")
    other = await page.context.new_page()
    await opened(other, there)
    await other.keyboard.press("Control+v")
    await expect(node(other, "refuse_2: ")).to_be_visible()
    await saved(other)
    assert edges(drafted(engine, there)) - edges(ORDERS) == {"approval_2.timeout > refuse_2"}


async def test_renaming_is_followed_by_what_names_the_node(engine: Engine, page: Page) -> None:
    name = engine.name("renamed")
    save(engine, name, ORDERS)
    await opened(page, name)
    await node(page, "reserve: ").click()
    await page.get_by_role("textbox", name="Id").fill("missing")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Another node has the id “missing” already.")).to_be_visible()
    await page.get_by_role("textbox", name="Id").fill("hold")
    await page.keyboard.press("Enter")
    await expect(node(page, "hold: ")).to_be_visible()
    await saved(page)
    body = drafted(engine, name)["nodes"][4]["config"]["body"]
    assert body["nodes"][1]["config"] == {"expression": "{sku: steps.hold.error}"}
    assert edges(body) == {"trigger.out > hold", "hold.error > missing"}


async def test_two_tabs_do_not_overwrite_each_other(engine: Engine, page: Page, accessible: Check) -> None:
    name = engine.name("tabs")
    save(engine, name, ORDERS)
    await opened(page, name)
    other = await page.context.new_page()
    await opened(other, name)
    await page.get_by_role("button", name="Delay", exact=True).click()
    await saved(page)

    await other.get_by_role("button", name="Respond", exact=True).click()
    dialog = other.get_by_role("dialog", name="The draft was changed somewhere else")
    await expect(dialog).to_be_visible()
    await dialog.get_by_text("See the difference").click()
    await expect(dialog.get_by_text("respond (respond)")).to_be_visible()
    await expect(dialog.get_by_text("delay (delay)")).to_be_visible()
    await accessible(other)
    assert "respond" not in {each["id"] for each in drafted(engine, name)["nodes"]}
    await dialog.get_by_role("button", name="Take theirs").click()
    await expect(node(other, "delay: ")).to_be_visible()
    await expect(node(other, "respond: ")).to_be_hidden()

    await other.get_by_role("button", name="Respond", exact=True).click()
    await saved(other)
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_role("button", name="Keep mine").click()
    await saved(page)
    assert {each["id"] for each in drafted(engine, name)["nodes"]} == {each["id"] for each in ORDERS["nodes"]}


async def test_a_version_is_compared_rolled_back_to_and_undo_brings_the_draft_back(
    engine: Engine, page: Page, accessible: Check
) -> None:
    name = engine.name("versions")
    engine.publish(name, ORDERS)
    later = {"nodes": [{"id": "alone", "type": "join"}], "edges": [{"from": "trigger", "to": "alone"}]}
    save(engine, name, later)
    await opened(page, name)
    await page.get_by_label("More").click()
    await page.get_by_role("button", name="Versions, roll back").click()
    await page.get_by_role("button", name="Compare the draft with version 1").click()
    changes = page.get_by_role("region", name="What the draft changes in version 1").get_by_role("listitem")
    await expect(changes.filter(has_text="alone (join)")).to_contain_text("Added")
    await expect(changes.filter(has_text="totals (transform)")).to_contain_text("Removed")
    await accessible(page)
    await page.get_by_role("button", name="Take as draft version 1").click()
    await expect(node(page, "totals")).to_be_visible()
    await saved(page)
    assert drafted(engine, name) == ORDERS
    await page.get_by_role("button", name="Undo").first.click()
    await expect(node(page, "alone")).to_be_visible()


async def test_hostile_and_huge_drafts_break_nothing(engine: Engine, page: Page) -> None:
    name = engine.name("hostile")
    strange = "<img src=x onerror=alert(1)>\u202e" + "x" * 5_000
    hostile = {
        "nodes": [
            {
                "id": "a",
                "type": "transform",
                "name": strange,
                "config": {"expression": strange},
                "position": {"x": 1e308, "y": -1e308},
            },
            {"id": "b", "type": "no_such_type", "config": {"url": {"deep": [strange]}}},
            {"id": "c", "type": "branch", "config": {"conditions": [{"port": strange, "when": 3}, 7]}},
            {"id": "d", "type": "loop", "config": {"items": 5}},
        ],
        "edges": [
            {"from": "trigger", "to": "a"},
            {"from": "a", "to": "nowhere"},
            {"from": "c", "to": "a"},
            {"from": "a", "to": "c"},
        ],
    }
    save(engine, name, hostile)
    await opened(page, name)
    await expect(page.get_by_text("<img src=x").first).to_be_visible()
    await expect(page.get_by_text("errors").first).to_be_visible()
    await page.get_by_role("button", name="Delay", exact=True).click()
    await saved(page)

    many = [{"id": f"n{at}", "type": "join"} for at in range(5_000)]
    links = [{"from": f"n{at - 1}" if at else "trigger", "to": f"n{at}"} for at in range(5_000)]
    save(engine, name, {"nodes": many, "edges": links})
    await page.reload()
    await expect(page.get_by_text("5000 nodes: a definition has at most 1000")).to_be_visible()
    assert await page.locator(".svelte-flow__node").count() < 200, "what is out of sight is not drawn"

    save(engine, name, {"nodes": "none"})
    await page.reload()
    await expect(page.get_by_role("heading", name="This draft can't be drawn")).to_be_visible()
    await page.get_by_label("Draft as JSON").fill(json.dumps(ORDERS))
    await page.get_by_role("button", name="Save").click()
    await expect(node(page, "totals")).to_be_visible()


WATCH = """() => {
    const seen = (window.seen = new Set());
    const nodes = document.querySelector('.svelte-flow__nodes');
    const note = (changes) => changes.forEach(({target}) => {
        const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
        const node = element.closest('.svelte-flow__node');
        if (node) seen.add(node.dataset.id);
    });
    new MutationObserver(note).observe(nodes, {attributes: true, childList: true, characterData: true, subtree: true});
    const frames = (window.frames_ms = []);
    let last = performance.now();
    const tick = (now) => { frames.push(now - last); last = now; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
}"""


async def test_of_300_nodes_only_the_one_that_is_dragged_is_drawn_anew(engine: Engine, page: Page) -> None:
    name = engine.name("large")
    nodes = [
        {"id": f"n{at}", "type": "join", "position": {"x": at % 20 * 300, "y": at // 20 * 130}} for at in range(300)
    ]
    links = [{"from": f"n{at - 1}" if at % 20 else "trigger", "to": f"n{at}"} for at in range(300)]
    save(engine, name, {"nodes": nodes, "edges": links})
    await opened(page, name)
    await expect(page.locator(".svelte-flow__node")).to_have_count(301)
    await page.evaluate(WATCH)
    box = await node(page, "n150: ").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 10, box["y"] + 4)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 60, box["y"] + 44, steps=30)
    dragged = await page.evaluate("[...window.seen]")
    frames = sorted(await page.evaluate("window.frames_ms"))
    print(
        f"300 nodes, one dragged: a frame every {frames[len(frames) // 2]:.1f} ms, the longest after {frames[-1]:.0f} ms"
    )
    assert dragged == ["n150"]
    await page.mouse.up()
    await saved(page)
    moved = {each["id"]: each["position"] for each in drafted(engine, name)["nodes"]}
    assert [id for id, at in moved.items() if at != next(each["position"] for each in nodes if each["id"] == id)] == [
        "n150"
    ]


async def test_on_a_narrow_screen_nodes_are_added_and_changed(engine: Engine, page: Page, accessible: Check) -> None:
    name = engine.name("narrow")
    save(engine, name, ORDERS)
    await page.set_viewport_size({"width": 390, "height": 800})
    await opened(page, name)
    await page.get_by_role("button", name="Add and list").click()
    await page.get_by_role("button", name="Delay", exact=True).click()
    await expect(page.get_by_role("textbox", name="Id")).to_have_value("delay")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await accessible(page)


async def test_work_that_can_not_be_saved_is_told_and_tried_again(engine: Engine, page: Page) -> None:
    name = engine.name("offline")
    save(engine, name, ORDERS)
    await opened(page, name)
    await page.route(f"**/api/v1/workflows/{name}?*", lambda route: route.abort())
    await page.get_by_role("button", name="Delay", exact=True).click()
    await expect(page.get_by_text("Not saved: MeshHook does not answer")).to_be_visible()
    page.once("dialog", lambda asked: asked.dismiss())
    await page.get_by_role("link", name="Runs", exact=True).click()
    await expect(node(page, "delay: ")).to_be_visible()
    await page.unroute(f"**/api/v1/workflows/{name}?*")
    await page.get_by_role("button", name="Try again").click()
    await saved(page)
    assert "delay" in {each["id"] for each in drafted(engine, name)["nodes"]}


async def test_publishing_and_rolling_back_show_what_differs_and_ask(
    page: Page, engine: Engine, accessible: Check
) -> None:
    name = engine.name("asked")
    one = {"nodes": [{"id": "first", "type": "transform", "config": {"expression": "input.old"}}]}
    one["edges"] = [{"from": "trigger", "to": "first"}]
    engine.publish(name, one)
    two = json.loads(json.dumps(one).replace("input.old", "input.new"))
    engine.call("PUT", f"/api/v1/workflows/{name}", two)
    await page.goto(f"/workflows/{name}")
    await page.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog", name=f"Publish {name}")
    differs = dialog.get_by_role("region", name="What differs from version 1")
    await expect(differs).to_contain_text("input.old")
    await expect(differs).to_contain_text("input.new")
    await accessible(page)
    await dialog.get_by_label("Note").fill("Newer")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(page.get_by_text("version 2 runs")).to_be_visible()

    async def ask() -> None:
        await page.get_by_label("More", exact=True).click()
        await page.get_by_role("button", name="Versions, roll back").click()
        await page.get_by_role("button", name="Roll back … to version 1").click()

    await ask()
    back = page.get_by_role("dialog", name=f"Roll {name} back to version 1")
    await expect(back.get_by_role("region", name="What differs from version 2")).to_contain_text("input.old")
    await expect(back.get_by_label("Note")).to_have_value("Roll back to version 1")
    await accessible(page)
    await back.get_by_role("button", name="Cancel").click()
    assert engine.call("GET", f"/api/v1/workflows/{name}")["published"] == 2
    await page.keyboard.press("Escape")
    await ask()
    await back.get_by_role("button", name="Roll back").click()
    await expect(back).to_be_hidden()
    now = engine.call("GET", f"/api/v1/workflows/{name}")
    version = engine.call("GET", f"/api/v1/workflows/{name}/versions/{now['published']}")
    assert version["definition"]["nodes"][0]["config"]["expression"] == "input.old"
