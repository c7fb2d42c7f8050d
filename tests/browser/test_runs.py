"""The list of runs: what it shows, live, of how many, and what can be done to many at once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import asyncpg
from playwright.async_api import Page, expect
from tests.browser.conftest import Engine
from tests.engine.conftest import DAY, chain, delivery, pool

from meshhook.store import Store

Check = Callable[[Page], Awaitable[None]]
MANY = 2_400
FIRST_LOAD_BYTES_MAX = 250_000
WAITS = {
    "nodes": [{"id": "paid", "type": "wait_event", "config": {"event": "paid", "key": "{{ input }}"}}],
    "edges": [{"from": "trigger", "to": "paid"}],
}


def row(page: Page, run_id: str):  # type: ignore[no-untyped-def]
    """The line of a run."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=run_id[-8:]))


async def accept_many(engine: Engine, endpoint: str, count: int) -> None:
    """Runs by the engine's own batches, without a request for each."""
    connection = await asyncpg.connect(engine.dsn)
    id = await connection.fetchval("SELECT id FROM meshhook.endpoints WHERE path = $1", endpoint)
    await connection.close()
    async with pool(engine.dsn) as database:
        await Store(database).accept(0, [delivery(id, number) for number in range(count)], DAY)


async def test_a_run_appears_and_ends_before_ones_eyes(page: Page, engine: Engine, accessible: Check) -> None:
    waits, quick, fails = engine.name("approval"), engine.name("orders"), engine.name("totals")
    engine.publish(waits, WAITS)
    engine.publish(quick, chain("input"))
    engine.publish(fails, chain("sum(input)"))
    await page.goto("/runs")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    waiting, done = engine.send(waits, 7), engine.send(quick, 7)
    await expect(row(page, done).get_by_text("completed")).to_be_visible()
    await expect(row(page, waiting).get_by_text("waiting")).to_be_visible()
    for body in ([1], [2], "three", [4], "five", [6]):
        engine.send(quick, body)
        last = engine.send(fails, body)
    await expect(row(page, last).get_by_text("completed")).to_be_visible()
    await accessible(page)
    engine.call("POST", "/api/v1/events", {"name": "paid", "key": "7", "payload": None})
    await expect(row(page, waiting).get_by_text("completed")).to_be_visible()


async def test_what_is_shown_stands_in_the_address(page: Page, engine: Engine) -> None:
    good, bad = engine.name("good"), engine.name("bad")
    engine.publish(good, chain("input"))
    engine.publish(bad, chain("sum(input)"))
    done, failed = engine.send(good, {"customer": "Grace"}), engine.send(bad, "no list")
    await page.goto(f"/runs?workflow={bad}")
    await expect(row(page, failed)).to_contain_text("s1")
    await expect(row(page, done)).to_have_count(0)

    await page.get_by_role("combobox", name="Workflow").select_option(good)
    await page.get_by_role("button", name="failed", exact=True).click()
    await expect(page.get_by_role("heading", name="No run matches")).to_be_visible()
    assert f"status=failed&workflow={good}" in page.url
    await page.reload()
    await expect(page.get_by_role("button", name="failed", exact=True)).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Clear the filter").click()
    await expect(row(page, done)).to_be_visible()

    search = page.get_by_role("searchbox")
    await search.fill("Grace")
    await expect(page.get_by_text("text in the data")).to_be_visible()
    await expect(row(page, failed)).to_have_count(0)
    await expect(row(page, done)).to_be_visible()
    await search.fill(failed)
    await expect(page.get_by_text("run id", exact=True)).to_be_visible()
    await expect(row(page, failed)).to_be_visible()


async def test_thousands_of_runs_are_scrolled_through(page: Page, engine: Engine) -> None:
    """By keyset pages; only some dozen rows are in the page, and what comes meanwhile does not move what one reads."""
    name = engine.name("many")
    engine.publish(name, chain("input"))
    await accept_many(engine, name, MANY)
    await page.goto(f"/runs?workflow={name}")
    rows = page.get_by_role("rowgroup", name="Runs, newest first")
    await expect(rows.get_by_role("row").first).to_contain_text("completed")
    end = page.get_by_text(f"{MANY:,} runs: that is all.")
    while not await end.is_visible():
        await rows.evaluate("(rows) => rows.scrollTo(0, rows.scrollHeight)")
        await page.evaluate("() => new Promise(requestAnimationFrame)")
    assert await rows.get_by_role("row").count() < 100
    [height] = {await rows.get_by_role("row").nth(at).evaluate("(row) => row.offsetHeight") for at in range(5, 9)}
    assert height == 40, "the list reckons with another height: rows would drift from their place"
    first_in_sight = await rows.get_by_role("row").nth(10).inner_text()

    new = engine.send(name, "new")
    fresh = page.get_by_role("button", name="1 new run")
    await expect(fresh).to_be_visible()
    assert await rows.get_by_role("row").nth(10).inner_text() == first_in_sight
    await fresh.click()
    await expect(row(page, new)).to_be_visible()
    assert await rows.evaluate("(rows) => rows.scrollTop") == 0


async def test_all_that_match_are_cancelled_by_an_operation(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("stuck")
    engine.publish(name, WAITS)
    await accept_many(engine, name, 250)
    await page.goto(f"/runs?workflow={name}&status=waiting&status=queued&status=running")
    await page.get_by_text("All that match").click()
    await page.get_by_role("button", name="Cancel all live runs").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("250 runs", exact=True)).to_be_visible()
    await accessible(page)
    await dialog.get_by_label("Reason").fill("wrong price list")
    await dialog.get_by_role("button", name="Cancel 250 runs").click()
    await expect(dialog.get_by_text("Cancelled 250 runs.")).to_be_visible()
    await expect(dialog.get_by_role("progressbar", name="Cancelling")).to_have_attribute("value", "250")
    await dialog.get_by_role("button", name="Close").last.click()
    run = engine.call("GET", f"/api/v1/runs?workflow={name}&status=cancelled&limit=1")["items"][0]
    await page.goto(f"/runs?q={run['id']}")
    await expect(row(page, run["id"])).to_contain_text("wrong price list")


async def test_chosen_runs_are_replayed_and_discarded(page: Page, engine: Engine) -> None:
    name = engine.name("chosen")
    engine.publish(name, chain("sum(input)"))
    runs = [engine.send(name, "no list") for _ in range(3)]
    await page.goto(f"/runs?workflow={name}")
    for run in runs:
        await expect(row(page, run).get_by_text("failed")).to_be_visible()
    await page.get_by_role("checkbox", name=f"Select run {runs[0][-8:]}").check()
    await page.get_by_role("checkbox", name=f"Select run {runs[1][-8:]}").check()
    chosen = page.get_by_role("region", name="Selected runs")
    await expect(chosen.get_by_role("button", name="Cancel")).to_be_disabled()
    await chosen.get_by_role("button", name="Replay 2").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay 2 runs").click()
    await expect(page.get_by_role("heading", name="Replayed 2 of 2 runs")).to_be_visible()
    await page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    await expect(page.get_by_text("replay of")).to_have_count(2)

    await page.get_by_role("checkbox", name=f"Select run {runs[2][-8:]}").check()
    await chosen.get_by_role("button", name="Discard 1").click()
    await page.get_by_role("dialog").get_by_role("button", name="Discard 1 run").click()
    await expect(page.get_by_role("heading", name="Discarded 1 of 1 run")).to_be_visible()
    assert runs[2] not in str(engine.call("GET", f"/api/v1/dead-letters?workflow={name}"))


async def test_the_keyboard_goes_from_run_to_run(page: Page, engine: Engine) -> None:
    name = engine.name("keys")
    engine.publish(name, chain("input"))
    runs = [engine.send(name, number) for number in range(3)]
    await page.goto(f"/runs?workflow={name}")
    await page.get_by_role("rowgroup", name="Runs, newest first").focus()
    for key in ("ArrowDown", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("checkbox", name=f"Select run {runs[1][-8:]}")).to_be_checked()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/runs/{runs[1]}$"))


async def test_a_list_that_can_not_be_read_says_so_and_is_tried_again(page: Page) -> None:
    await page.route("**/api/v1/runs?*", lambda route: route.fulfill(status=503, json={"title": "No database"}))
    await page.goto("/runs")
    await expect(page.get_by_role("alert")).to_contain_text("No database")
    await page.unroute("**/api/v1/runs?*")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_the_page_is_small_narrow_and_readable_in_the_dark(page: Page, engine: Engine, accessible: Check) -> None:
    name = engine.name("small")
    engine.publish(name, chain("input"))
    run = engine.send(name, 1)
    transferred: dict[str, int] = {}

    async def note(response) -> None:  # type: ignore[no-untyped-def]
        if not response.url.startswith("data:") and "/api/" not in response.url:
            transferred[response.url] = (await response.request.sizes())["responseBodySize"]

    page.on("response", note)
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.emulate_media(color_scheme="dark")
    await page.goto("/runs")
    await expect(row(page, run).get_by_text("completed")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert 20_000 < sum(transferred.values()) <= FIRST_LOAD_BYTES_MAX, transferred
    await accessible(page)
