"""A real stack and a real browser for the pages."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from dev import stacks
from dev.folders import open_folder
from dev.stacks import RunningStack

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser these are skipped, but never in CI, where one has to be installed."""
    if Path(CHROMIUM).exists() or os.environ.get("CI") == "true":
        return
    skip = pytest.mark.skip(reason="chromium is not installed: apt install chromium")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    with open_folder() as folder:
        async with stacks.ready(folder / "data", "--no-demo") as running:
            yield running
            assert await running.stop(signal.SIGTERM) == 0


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        await running.close()


@pytest.fixture
async def page(browser: Browser, stack: RunningStack) -> AsyncIterator[Page]:
    """The demo shop in a window of its own; an error in its script fails the test."""
    context = await browser.new_context(locale="en-US", timezone_id="UTC")
    opened = await context.new_page()
    opened.set_default_timeout(15_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    await opened.goto(f"{stack.url}/demo")
    yield opened
    await context.close()
    assert errors == []
