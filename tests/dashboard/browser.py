"""A headless Chromium, and what goes wrong in it: messages on the console, requests that fail."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)

CHROMIUM = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
"""Debian's `chromium`, or the program that `TEST_CHROMIUM` names."""

WIDE: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass
class Troubles:
    """What a page did wrong. `allowed` are addresses whose refusal a test asks for."""

    found: list[str] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """Listens to the page from now on."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"error {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        refused = any(message.location.get("url", "").endswith(path) for path in self.allowed)
        if message.type in ("error", "warning") and not refused:
            self.found.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        # A page that is left takes the requests of its parts along.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"failed {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not any(response.url.endswith(path) for path in self.allowed):
            self.found.append(f"{response.status} {response.request.method} {response.url}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser until the block ends. `CHROMIUM` must be there."""
    assert CHROMIUM, "There is no Chromium: `apt-get install chromium`, or name one in TEST_CHROMIUM."
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*sandbox, "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


def visit(browser: Browser, *, size: ViewportSize | None = None, dark: bool = False) -> BrowserContext:
    """A visitor with nothing in their pockets."""
    context = browser.new_context(
        viewport=size or WIDE,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
        device_scale_factor=1,
    )
    context.set_default_timeout(20_000)
    return context


def sign_in(page: Page, url: str, secret: str) -> None:
    """Opens the dashboard with a key."""
    page.goto(f"{url}/dashboard/sign-in")
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/dashboard")
