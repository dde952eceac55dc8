"""Pages in headless Chromium: opened from disk, watched for errors, and photographed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

THEMES = ("light", "dark")
WIDTHS = (390, 768, 1280)  # phone, tablet, desktop
HEIGHT = 900
_SETTLED = """async () => {
  await document.fonts.ready;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


def chromium():
    """Path of an installed Chromium or Chrome; None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def launched():
    """A browser that is closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers often run as root, where Chromium's sandbox does not start.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page whose errors are collected."""

    def __init__(self, browser, width=1280, theme="light"):
        self.faults = []
        viewport = {"width": width, "height": HEIGHT}
        self.context = browser.new_context(viewport=viewport, color_scheme=theme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"request: {request.url}")

    def open(self, site: Path, address: str = ""):
        """Open a page of a site, as in `#/fidelity`, and wait until it is drawn.

        Args:
            site: Folder of a site, or its one file.
            address: What follows the file's name.
        """
        file = site / "index.html" if site.is_dir() else site
        self.page.goto(f"{file.absolute().as_uri()}{address}")
        self.settle()
        return self.page

    def settle(self):
        """Wait until plots are drawn."""
        self.page.evaluate(_SETTLED)
        self.page.locator("section.page.shown [aria-busy=true]").wait_for(state="detached")
        for box in self.page.locator("section.page.shown .panels").all():
            box.locator("svg").first.wait_for(state="attached")
        self.page.evaluate(_SETTLED)

    def look(self, width, theme):
        """Change the width and the theme of the page that is open."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=theme)
        self.settle()

    def isolate(self):
        """Remove the pages that are not shown, which axe-core would walk through."""
        hidden = 'document.querySelectorAll("section.page:not(.shown)").forEach((s) => s.remove())'
        self.page.evaluate(hidden)

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def page_names(page) -> list[str]:
    """The names of a site's pages, in the order of its navigation."""
    sections = page.locator("section.page").all()
    return [section.get_attribute("data-page") for section in sections]


def findings(page, contrast=True) -> Iterator[str]:
    """The serious and critical findings of axe-core on the page that is open, one a line.

    Args:
        page: The page.
        contrast: Whether to check the contrast of every text, which takes most of the time.
    """
    from axe_playwright_python.sync_playwright import Axe

    # `preload` would fetch style sheets, which the policy of the page forbids.
    options = {"resultTypes": ["violations"], "preload": False}
    options["rules"] = {"color-contrast": {"enabled": contrast}}
    for violation in Axe().run(page, options=options).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            for node in violation["nodes"]:
                yield f"{violation['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
