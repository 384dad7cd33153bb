"""Debian's Chromium, which sees one server and nothing else, and what every page has to keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from restorium.cli.demo.server import DemoServer

_SERIOUS = ("serious", "critical")
_CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile, which ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, headless=True, args=[*_FLAGS])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody at a browser. ``complaints``: requests to others, violations of the policy, errors of the console."""

    context: BrowserContext
    page: Page
    server: DemoServer
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.server.url + path)

    def log_on(self, name: str = "administrator", password: str | None = None) -> None:
        self.open("/log-on")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password or self.server.password)
        self.page.get_by_role("button", name="Log on").click()
        self.page.wait_for_url(self.server.url + "/", timeout=8000)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


def check(seen: Visitor) -> None:
    """The page is accessible, as far as axe can tell, fits its window and has one heading of the first rank."""
    found = Axe().run(seen.page).response["violations"]
    wrong = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in _SERIOUS]
    assert wrong == [], seen.page.url
    assert seen.overflow <= 0, seen.page.url
    assert seen.page.locator("h1").count() == 1


@contextmanager
def visitor(
    browser: Browser, server: DemoServer, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Visitor]:
    """A window of its own, which trusts the server's certificate."""
    context = browser.new_context(
        ignore_https_errors=True,
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    try:
        seen = Visitor(context, context.new_page(), server)
        host = urlsplit(server.url).netloc
        seen.page.on(
            "request",
            lambda request: (
                None if urlsplit(request.url).netloc == host else seen.complaints.append(request.url)
            ),
        )
        seen.page.on(
            "console",
            lambda message: (
                seen.complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        yield seen
    finally:
        context.close()
