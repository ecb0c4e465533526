"""Open HTML files in headless Chromium and report what a reader would stumble over."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    "--hide-scrollbars",
)  # fmt: skip

# Runs in the page: images that did not load, and the elements that stick out to the right most.
_LOOK = """
const width = document.documentElement.clientWidth;
const clips = (e) => getComputedStyle(e).overflowX !== "visible";
const scrolls = (e) => e && e !== document.body && (clips(e) || scrolls(e.parentElement));
const out = [...document.body.querySelectorAll("*")]
  .filter((e) => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement));
return {
  broken: [...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.alt || i.src.slice(0, 80)),
  images: document.images.length,
  overflow: Math.max(0, document.documentElement.scrollWidth - width),
  outside: out.slice(0, 5).map((e) => e.outerHTML.slice(0, 120)),
};
"""


@dataclass(frozen=True)
class Look:
    """What one opening of a page showed; overflow is in CSS pixels, screenshot is a PNG of the whole page."""

    console: tuple[str, ...]
    broken_images: tuple[str, ...]
    images: int
    overflow: int
    outside: tuple[str, ...]
    screenshot: bytes


def missing_browser() -> str | None:
    """Say which program a browser test lacks, or None when both Chromium and its driver are installed."""
    if not any(shutil.which(name) for name in _CHROMIUM_NAMES):
        return "chromium is not installed"
    if not shutil.which("chromedriver"):
        return "chromedriver is not installed"
    return None


@contextmanager
def open_browser() -> Iterator:
    """Give a selenium driver of a headless Chromium with an empty profile; skips the test where there is none."""
    reason = missing_browser()
    if reason:
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = next(path for name in _CHROMIUM_NAMES if (path := shutil.which(name)))
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def show(driver, page: Path, width: int, dark: bool = False, height: int = 900) -> None:
    """Open a page at a width in CSS pixels, in light or dark colours."""
    # Windows of Chromium have a least width; emulated metrics do not.
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get_log("browser")  # drops what an earlier page left behind
    driver.get(Path(page).resolve().as_uri())


def look_at(driver, page: Path, width: int, dark: bool = False, height: int = 900, shoot: bool = True) -> Look:
    """Open a page and tell what is wrong with it.

    Without `shoot` there is no screenshot, which takes most of the time where pages are long.
    """
    show(driver, page, width, dark, height)
    found = driver.execute_script(_LOOK)
    wanted = {"format": "png", "captureBeyondViewport": True}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", wanted) if shoot else {"data": ""}
    errors = [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    return Look(
        console=tuple(errors),
        broken_images=tuple(found["broken"]),
        images=found["images"],
        overflow=found["overflow"],
        outside=tuple(found["outside"]),
        screenshot=base64.b64decode(shot["data"]),
    )


# Runs in the page as it is printed: what a sheet would cut off, since nobody scrolls on paper.
_CUT = """
const cut = (e) => getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
const wide = document.documentElement.clientWidth;
const out = [...document.body.querySelectorAll("*")].filter((e) => e.getClientRects().length && !e.closest("svg"))
  .filter((e) => cut(e) || e.getBoundingClientRect().right > wide + 1);
return out.slice(0, 5).map((e) => e.outerHTML.slice(0, 160));
"""

_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (r) => done(r.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 4).map((n) => n.html.slice(0, 160)
    + " | " + (n.any[0] || n.all[0] || n.none[0] || {message: ""}).message)])),
  (e) => done([["critical", String(e), []]]));
"""
PAPER = (8.27, 11.69)  # inches: A4
MARGIN = 0.4  # inches, as Chromium's own


@cache
def axe_source() -> str:
    """The accessibility checker axe-core, as the package axe-playwright-python carries it."""
    from importlib.resources import files

    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def inaccessible(driver, page: Path) -> list[str]:
    """What axe-core calls serious or critical, folded parts open; wide in light colours, narrow in dark ones."""
    found = []
    for width, dark in ((1280, False), (400, True)):
        show(driver, page, width, dark)
        driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true;")
        driver.execute_script(axe_source())
        for impact, rule, nodes in driver.execute_async_script(_AXE):
            if impact in ("serious", "critical"):
                found += [f"{'dark' if dark else 'light'} {rule}: {node}" for node in nodes or [""]]
    return found


def badly_printed(driver, page: Path) -> list[str]:
    """What is wrong with the page on paper: no sheet at all, or parts that the edge cuts off."""
    show(driver, page, round(96 * (PAPER[0] - 2 * MARGIN)))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    try:
        found = [f"cut off: {html}" for html in driver.execute_script(_CUT)]
        size = {"paperWidth": PAPER[0], "paperHeight": PAPER[1], "marginLeft": MARGIN, "marginRight": MARGIN}
        sheets = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {**size, "printBackground": True})["data"])
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    if not sheets.startswith(b"%PDF-") or not re.search(rb"/Type\s*/Page\b", sheets):
        found.append("no sheet was printed")
    return found


def faults(driver, page: Path) -> list[str]:
    """Everything that keeps a person from reading the page, on a screen or on paper."""
    return [*inaccessible(driver, page), *badly_printed(driver, page)]
