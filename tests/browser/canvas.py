"""What a person does on the canvas of the editor: finds nodes, drags them there, connects them, has them saved."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect


def node(page: Page, label: str) -> Locator:
    """A node on the canvas, by the begin of what it is called."""
    return page.get_by_label("Canvas of").get_by_role("group", name=label)


async def saved(page: Page) -> None:
    """Until the page says that everything is saved; not before it noticed the last change."""
    await page.keyboard.press("Control+s")
    await expect(page.get_by_text("Saved", exact=True)).to_be_visible()


async def drag_to(page: Page, kind: str, x: float, y: float) -> None:
    """A type of node from the palette onto the canvas, so far from its left and top."""
    canvas = page.get_by_label("Canvas of")
    await page.get_by_role("button", name=kind, exact=True).drag_to(canvas, target_position={"x": x, "y": y})


async def connect(page: Page, source: Locator, port: str, target: Locator) -> None:
    """A line drawn by the pointer, from a port to the port of another node."""
    begin, end = await source.get_by_title(port).bounding_box(), await target.get_by_title("Into ").bounding_box()
    assert begin is not None
    assert end is not None
    await page.mouse.move(begin["x"] + begin["width"] / 2, begin["y"] + begin["height"] / 2)
    await page.mouse.down()
    await page.mouse.move(end["x"] + end["width"] / 2 - 6, end["y"] + end["height"] / 2, steps=6)
    await page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2)
    await page.mouse.up()
