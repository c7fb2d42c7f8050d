"""A real browser on a real engine: one of each a test process, a fresh browser profile a test.

Tests find things as a person does, by role and name. A test fails when its page logs an error or breaks the content security
policy, whatever else it asserts. `pytest tests/browser --pictures` also makes the pictures of the documentation anew.
"""

from __future__ import annotations

import inspect
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect
from tests.conftest import execute, in_database
from tests.engine.processes import Running

from meshhook.key_source import write_keys
from meshhook.sealing import SealingKey

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
BUILT = ROOT / "src" / "meshhook" / "workbench" / "index.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BOUND_MS = 120_000
numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", action="store_true", help="make the pictures in docs/pictures anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    if not config.getoption("--pictures", False):
        items[:] = [item for item in items if item.path != here / "test_pictures.py"]
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group(f"browser/{item.path.name}"))
            if inspect.iscoroutinefunction(getattr(item, "function", None)):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session", autouse=True)
def _can_browse() -> None:
    """Without a browser there is nothing to test; where one could be installed, that is a failure."""
    if CHROMIUM is None and "MUST_TEST_BROWSER" not in os.environ:
        pytest.skip("there is no chromium here: `apt-get install chromium`, then run `make test-browser`")
    assert CHROMIUM is not None, "there is no chromium, and where .ci/run may install it, pages must not go untested"
    assert BUILT.is_file(), "the pages are not built: run `make web`"


class Engine:
    """Where the engine under test listens, and a client of its API."""

    def __init__(self, url: str, dsn: str, settings: dict[str, Any]) -> None:
        self.url, self.dsn, self.settings = url, dsn, settings
        self.http = httpx.Client(base_url=url, timeout=BOUND_MS / 1000)

    def name(self, stem: str) -> str:
        """A name no other test of this process uses."""
        return f"{stem}-{next(numbers)}"

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON an API call answers; an error of the API fails the test."""
        answer = self.http.request(method, path, json=body, **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def publish(self, name: str, definition: dict[str, Any], endpoint: str | None = None) -> str:
        """A published workflow, with an endpoint of its name unless one is given; the endpoint's path."""
        path = endpoint or name
        self.call("PUT", f"/api/v1/workflows/{name}", definition)
        self.call("POST", f"/api/v1/workflows/{name}/versions")
        self.call("PUT", f"/api/v1/endpoints/{path}", {"workflow": name, "methods": ["POST"]})
        return path

    def send(self, path: str, body: Any) -> str:
        """A webhook; the id of its run."""
        return str(self.call("POST", f"/hooks/{path}", body)["run_id"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """`serve` and `work` on a database of their own, as `make up` runs them: no key asked for on loopback."""
    name = f"browser_{next(numbers)}"
    await execute(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    dsn = in_database(postgres_dsn, name)
    async with AsyncExitStack() as stack:
        keys = tmp_path_factory.mktemp("keys") / "secrets.key"
        write_keys(keys, [SealingKey.make()])
        settings = {"outbound_allow": "127.0.0.0/8, ::1, localhost", "secrets_key_file": keys}
        serve = await stack.enter_async_context(Running("serve", dsn, **settings))
        await stack.enter_async_context(Running("work", dsn, **settings))
        made = Engine(serve.url, dsn, settings)
        stack.callback(made.http.close)
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, engine: Engine) -> AsyncIterator[Page]:
    """An empty page of a new profile, at the address of the engine. Fails the test if anything is logged as an error."""
    context = await browser.new_context(base_url=engine.url, viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(BOUND_MS)
    expect.set_options(timeout=BOUND_MS)
    opened = await context.new_page()
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A refusal of the API is logged by the browser too; whether the page deals with it is for the test to say.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            faults.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    await context.close()
    assert not faults, f"the page logged errors: {faults}"


@pytest.fixture
def accessible() -> Callable[[Page], Awaitable[None]]:
    """Fails when axe finds that a page breaks a rule of WCAG 2.2 A or AA."""

    async def check(page: Page) -> None:
        await page.evaluate(AXE.read_text())
        found = await page.evaluate(
            "async () => (await axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})).violations"
            ".map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html).join(' ')}`)"
        )
        assert not found, "\n".join(found)

    return check


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], Awaitable[None]]:
    """Takes a picture of a page for the documentation, when asked for with ``--pictures``."""

    async def take(page: Page, name: str) -> None:
        if request.config.getoption("--pictures", False):
            await page.screenshot(path=PICTURES / f"{name}.png")

    return take
