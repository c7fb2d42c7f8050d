"""One run: what it does, live, with any data, why it stands still, and how it is begun again."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine
from tests.engine.conftest import chain

Check = Callable[[Page], Awaitable[None]]
RIGHT_TO_LEFT, INVISIBLE = "\u202e", "\u200b"
DEPTH = 90
WAITS = {
    "nodes": [
        {"id": "note", "type": "transform", "config": {"expression": "input"}},
        {"id": "paid", "type": "wait_event", "config": {"event": "paid", "key": "{{ input.order }}"}},
        {"id": "thanks", "type": "transform", "config": {"expression": "{paid: input.sum}"}},
    ],
    "edges": [
        {"from": "trigger", "to": "note"},
        {"from": "note", "to": "paid"},
        {"from": "paid", "to": "thanks"},
    ],
}


def loops(url: str) -> dict[str, Any]:
    """Calls for each item, and one call that nobody answers."""
    return {
        "nodes": [
            {
                "id": "each",
                "type": "loop",
                "config": {
                    "items": "input.lines",
                    "body": {
                        "nodes": [{"id": "ask", "type": "http_call", "config": {"url": f"{url}/healthz"}}],
                        "edges": [{"from": "trigger", "to": "ask"}],
                    },
                },
            },
            {
                "id": "tell",
                "type": "http_call",
                "config": {
                    "url": "http://127.0.0.1:9/",
                    "timeout_s": 1,
                    "retry": {"attempts": 2, "backoff_s": 0.1, "backoff_max_s": 0.1},
                },
            },
        ],
        "edges": [{"from": "trigger", "to": "each"}, {"from": "each", "to": "tell"}],
    }


async def ended(page: Page, status: str) -> None:
    await expect(page.get_by_role("main").get_by_text(status, exact=True).first).to_be_visible()


async def tab(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=name).click()


async def test_a_run_is_watched_while_it_waits_and_goes_on(page: Page, engine: Engine, accessible: Check) -> None:
    """The event it waits for is sent from its own page; steps, journal and output follow by themselves."""
    name = engine.name("waits")
    engine.publish(name, WAITS)
    run = engine.send(name, {"order": "A-7"})
    await page.goto(f"/runs/{run}")
    why = page.get_by_role("region", name="Why is it not running?")
    await expect(why).to_contain_text("waits for the event paid")
    await expect(page.get_by_role("region", name="The run as a graph")).to_contain_text("thanks")
    await accessible(page)
    await tab(page, "Events")
    await expect(page.get_by_role("button", name="wait.set")).to_be_visible()

    await why.get_by_role("button", name="Send this event").click()
    await page.get_by_role("dialog").get_by_label("Payload").fill('{"sum": 12}')
    await page.get_by_role("dialog").get_by_role("button", name="Send it").click()
    await ended(page, "completed")
    await page.get_by_role("button", name="run.completed").click()
    await expect(page.get_by_role("tree", name=re.compile("event")).get_by_text("paid:")).to_be_visible()
    await tab(page, "Data")
    output = page.get_by_role("tree", name="the output")
    await expect(output.get_by_role("treeitem", name="12")).to_be_visible()
    await tab(page, "Timeline")
    timeline = page.get_by_role("table", name="Timeline of the steps")
    await timeline.get_by_role("button", name="paid").click()
    await expect(page.get_by_role("region", name="Step paid")).to_contain_text("Waited for the event paid")


async def test_a_failed_run_is_done_again_from_a_step(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("loops")
    engine.publish(name, loops(engine.url))
    run = engine.send(name, {"lines": [{"sku": number} for number in range(70)]})
    await page.goto(f"/runs/{run}?tab=timeline")
    await ended(page, "failed")
    timeline = page.get_by_role("table", name="Timeline of the steps")
    await expect(timeline.get_by_role("row").filter(has_text="tell")).to_contain_text("×2")
    await timeline.get_by_role("button", name="tell").click()
    step = page.get_by_role("region", name="Step tell")
    await expect(step.get_by_role("row").filter(has_text="connect")).to_have_count(2)
    await timeline.get_by_role("button", name="Items of each").click()
    await expect(timeline.get_by_text("item 0 · completed")).to_be_visible()
    await accessible(page)
    steps = timeline.get_by_role("rowgroup", name="Steps by time")
    await steps.evaluate("(steps) => steps.scrollTo(0, steps.scrollHeight)")
    await timeline.get_by_role("button", name="20 more items").click()
    await expect(timeline.get_by_role("button", name="20 more items")).to_have_count(
        0
    )  # they are read, and it is longer
    await steps.evaluate("(steps) => steps.scrollTo(0, steps.scrollHeight)")
    await expect(timeline.get_by_text("item 69 · completed")).to_be_visible()
    await step.get_by_role("button", name="Resume from here").click()
    await expect(page).not_to_have_url(re.compile(run))
    await expect(page.get_by_role("link", name=f"{run[-8:]} from tell")).to_be_visible()
    await ended(page, "failed")
    await tab(page, "Timeline")
    await expect(timeline.get_by_role("row").filter(has_text="each")).to_contain_text("taken over")


async def test_a_run_is_paused_resumed_cancelled_and_replayed(page: Page, engine: Engine) -> None:
    name = engine.name("waits")
    engine.publish(name, WAITS)
    run = engine.send(name, {"order": "B-1"})
    await page.goto(f"/runs/{run}")
    await page.get_by_role("button", name="Pause").click()
    await ended(page, "paused")
    await page.get_by_role("region", name="Why is it not running?").get_by_role("button", name="Resume").click()
    await ended(page, "waiting")
    await page.get_by_role("button", name="Cancel …").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("ordered twice")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    await ended(page, "cancelled")
    await expect(page.get_by_text("ordered twice")).to_be_visible()
    await page.get_by_text("Replay", exact=True).click()
    await page.get_by_role("button", name="With version 1, as it was").click()
    await expect(page.get_by_role("link", name=f"replay of {run[-8:]}")).to_be_visible()


async def test_two_runs_are_held_against_each_other(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("two")
    engine.publish(name, chain("input.n", "sum(input)"))
    good, bad = engine.send(name, {"n": [1, 2]}), engine.send(name, {"n": "none"})
    await page.goto(f"/runs/{bad}?tab=compare")
    choice = page.get_by_label("Compare with")
    await choice.select_option(good)
    await expect(page.get_by_text("They part at s1: it was given something else.")).to_be_visible()
    await page.get_by_role("button", name="s2", exact=True).click()
    await expect(page.get_by_role("region", name="s2 of this one")).to_contain_text("sum")
    await accessible(page)


async def test_hostile_data_is_text_and_nothing_else(page: Page, engine: Engine, accessible: Check) -> None:
    """Markup, marks that turn text round, numbers no computer holds, and nesting: shown as they are, and nothing runs."""
    deep: Any = "bottom"
    for _ in range(DEPTH):
        deep = [deep]
    attack = "<script>window.broken=1</script><img src=x onerror='window.broken=1'>"
    numbers = '"huge": 1e308, "id": 12345678901234567890'
    rest = json.dumps(
        {attack: attack, f"name{RIGHT_TO_LEFT}": f"gpj.{RIGHT_TO_LEFT}exe{INVISIBLE}", "__proto__": 1, "deep": deep}
    )
    name = engine.name("hostile")
    engine.publish(name, chain("input"))
    headers = {"content-type": "application/json", "idempotency-key": "<b>key</b>"}
    answer = engine.http.post(f"/hooks/{name}", content=f"{{{numbers}, {rest[1:]}", headers=headers)
    assert answer.status_code == 202, answer.text
    await page.goto(f"/runs/{answer.json()['run_id']}?tab=data")
    body = page.get_by_role("tree", name="the body of the trigger")
    for shown in ("1e+308", "12345678901234567890", attack, r"gpj.\u202eexe\u200b", r"name\u202e:", "__proto__:"):
        await expect(body.get_by_text(shown).first).to_be_visible()
    await expect(page.get_by_text("<b>key</b>", exact=True)).to_be_visible()
    await page.get_by_role("searchbox", name="Search in the body of the trigger").fill("bottom")
    await expect(page.get_by_text("1 of 1", exact=True)).to_be_visible()
    await expect(body.get_by_role("treeitem", name=f"{DEPTH + 1} deep")).to_be_visible()
    await accessible(page)
    await tab(page, "Timeline")
    await page.get_by_role("button", name="s1").click()
    await expect(page.get_by_role("region", name="Step s1")).to_contain_text("<script>")
    assert await page.evaluate("window.broken") is None


async def test_a_megabyte_is_looked_at_line_by_line(page: Page, engine: Engine) -> None:
    name = engine.name("large")
    engine.publish(name, chain("length(input.rows)"))
    run = engine.send(
        name, {"rows": [{"number": number, "text": "x" * 40} for number in range(15_000)], "long": "y" * 200_000}
    )
    await page.goto(f"/runs/{run}?tab=data")
    body = page.get_by_role("tree", name="the body of the trigger")
    await body.get_by_role("treeitem", name="rows").click()
    await page.get_by_role("searchbox", name="Search in the body of the trigger").fill("14321")
    await expect(page.get_by_text("1 of 1", exact=True)).to_be_visible()
    await expect(page.get_by_text("rows[14321].number", exact=True)).to_be_visible()
    await expect(body.get_by_role("treeitem", name="14321").first).to_be_visible()
    assert await body.get_by_role("treeitem").count() < 100
    await body.focus()
    await page.keyboard.press("End")
    await expect(page.get_by_text("200,000 characters")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_run_is_read_on_a_narrow_screen(page: Page, engine: Engine, accessible: Check, scheme: Any) -> None:
    name = engine.name("narrow")
    engine.publish(name, chain("input", "sum(input)"))
    run = engine.send(name, {"customer": "Grace"})
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"/runs/{run}")
    await ended(page, "failed")
    for name in ("Graph", "Timeline", "Events", "Data", "Compare"):
        await tab(page, name)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, name
        await accessible(page)


async def test_a_run_that_is_not_there_says_so(page: Page) -> None:
    await page.goto("/runs/01a20a47-7e19-7000-b698-000000000000")
    await expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
    await page.get_by_role("link", name="To the list of runs").click()
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


async def test_a_loop_that_went_on_although_items_failed_says_so(page: Page, engine: Engine, accessible: Check) -> None:
    """Also one within a loop: in the graph, the timeline and the step, by words and not by colour alone."""
    name = engine.name("partly")
    check = {"nodes": [{"id": "sum", "type": "transform", "config": {"expression": "sum(input)"}}]}
    check["edges"] = [{"from": "trigger", "to": "sum"}]
    inner = {"id": "inner", "type": "loop", "config": {"items": "input", "on_error": "continue", "body": check}}
    body = {"nodes": [inner], "edges": [{"from": "trigger", "to": "inner"}]}
    bad = {"id": "flat", "type": "loop", "config": {"items": "input[0]", "on_error": "continue", "body": check}}
    engine.publish(
        name,
        {
            "nodes": [bad, {"id": "outer", "type": "loop", "config": {"items": "input", "body": body}}],
            "edges": [{"from": "trigger", "to": "flat"}, {"from": "trigger", "to": "outer"}],
        },
    )
    engine.publish(engine.name("other"), chain("input"))
    run = engine.send(name, [[[1], [2], "no list"], [[3], "none either"]])
    await page.goto(f"/runs/{run}")
    await ended(page, "completed")
    graph = page.get_by_role("region", name="The run as a graph")
    await expect(graph.get_by_text("2/3, 1 failed").first).to_be_visible()
    await expect(graph.get_by_title("1 of 3 items failed, and the loop went on.")).to_have_class(re.compile("warns"))
    await expect(graph.get_by_text("3/5, 2 failed").first).to_be_visible()  # the loop in the loop, of both items
    await accessible(page)
    await tab(page, "Timeline")
    timeline = page.get_by_role("table", name="Timeline of the steps")
    await expect(timeline.get_by_role("row").filter(has_text="flat")).to_contain_text("2/3, 1 failed")
    await timeline.get_by_role("button", name="Items of outer").click()
    await expect(timeline.get_by_role("row").filter(has_text="inner").first).to_contain_text("2/3, 1 failed")
    await timeline.get_by_role("button", name="flat", exact=True).click()
    await expect(page.get_by_role("region", name="Step flat")).to_contain_text("2 of 3 done, 1 failed")
    await accessible(page)
    await page.get_by_role("heading", name=name).get_by_role("link").click()
    await expect(page).to_have_url(re.compile(f"/workflows/{name}$"))
    await (
        page.get_by_role("navigation", name=f"What belongs to {name}").get_by_role("link", name="Its endpoints").click()
    )
    rows = page.get_by_role("table").get_by_role("row")
    await expect(rows).to_have_count(2)  # the head, and its own one
    await page.get_by_role("link", name="Show all endpoints").click()
    await expect(rows.nth(2)).to_be_visible()
    await page.go_back()
    await page.go_back()
    await page.get_by_role("navigation", name=f"What belongs to {name}").get_by_role("link", name="Its runs").click()
    await expect(page).to_have_url(re.compile(f"/runs.workflow={name}"))
    await expect(page.get_by_role("link", name=re.compile(run[-8:]))).to_be_visible()
