"""A real Chromium, one for each pytest process; without one the tests are skipped, or fail in CI (``CI=true``)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


def missing() -> tuple[str, str | None]:
    """Return the path of a browser, and what is missing."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "", "the browser tests need Playwright: pip install playwright"
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        return "", f"the browser tests need one of {', '.join(NAMES)} on PATH: apt-get install chromium"
    return found, None


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path, why = missing()
    if why is not None and os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    if why is not None:
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in a browser of its own; no script may fail in it, and nothing break its security policy."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_page(url: str, **options: Any) -> Any:
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
