"""The site of docs/ is built strictly, holds every page, and loads nothing from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.browser import look_at, open_browser
from tests.docs.test_docs import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md"))


def build(config: Path, site: Path) -> subprocess.CompletedProcess:
    """Builds a site in a process of its own: what the theme imports and logs stays there."""
    # Not --quiet: it silences warnings, and then --strict has none to count.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme's
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loads(HTMLParser):
    """What a page loads by itself, the links that a reader may follow, and the anchors there are."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Notes the addresses of one element."""
        found = dict(attrs)
        self.anchors |= {found["id"]} if "id" in found else set()
        if tag == "a":
            self.links += [found["href"]] if "href" in found else []
        elif tag != "link" or found.get("rel") not in ("canonical", "next", "prev"):
            self.loaded += [found[key] for key in ("src", "href", "srcset", "data", "poster") if found.get(key)]


def read(site: Path, page: str) -> Loads:
    """One page of the site."""
    return Loads((site / page).read_text(encoding="utf-8"))


def test_every_page_of_docs_is_in_the_navigation_and_on_the_site(site):
    listed = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(Path(name).with_suffix(".html").as_posix() for name in listed) == PAGES
    there = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    assert [page for page in there if page != "404.html"] == PAGES and len(PAGES) >= 17


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = 0
    for page in [*PAGES, "404.html"]:
        for address in read(site, page).loaded:
            assert not re.match(r"(?:\w+:)?//", address), f"{page} loads {address}"
            if page != "404.html":  # wherever that one is shown, its addresses start at the root of a server
                assert (site / page).parent.joinpath(address.split("#")[0]).exists(), f"{page}: {address} is missing"
            loaded += 1
    assert loaded >= 4 * len(PAGES)
    for style in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import )\s*['\"]?((?:https?:)?//[^'\")]+)", style.read_text(encoding="utf-8"))
        assert found == [], style.name


def test_links_between_pages_lead_to_what_is_there(site):
    pages, followed = {page: read(site, page) for page in PAGES}, 0
    for page, found in pages.items():
        for link in found.links:
            if re.match(r"\w+:", link):
                assert link.startswith("https://"), f"{page}: {link}"
                continue
            name, _, anchor = link.partition("#")
            target = (site / page).parent.joinpath(name).resolve().relative_to(site) if name else Path(page)
            target = "index.html" if target == Path() else target.as_posix()
            assert target in pages, f"{page} links to {link}"
            assert not anchor or anchor in pages[target].anchors, f"{page} links to {link}"
            followed += 1
    assert followed >= 20 * len(PAGES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a page](nowhere.md)", "nowhere.md"),
        ("[a heading](index.md#nowhere)", "#nowhere"),
        ("[another folder](../README.md)", "README.md"),
        ("![an image](images/nowhere.png)", "nowhere.png"),
    ],
)
def test_a_link_that_leads_nowhere_breaks_the_build(tmp_path, text, complaint):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Small\n\n{text}\n")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(config[: config.index("\nnav:")])
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0 and complaint in done.stderr, done.stderr


def test_a_page_that_the_navigation_leaves_out_breaks_the_build(tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0 and "forgotten.md" in done.stderr, done.stderr


def test_make_docs_builds_strictly_and_make_help_names_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^docs: install\n((?:\t.*\n)+)", text, re.M)[1]
    assert "mkdocs build --strict" in recipe and "--quiet" not in recipe
    targets = set(re.search(r"^\.PHONY: (.+)$", text, re.M)[1].split()) - {"help"}
    assert set(re.findall(r'@echo "make (\S+) ', text)) == targets and "docs" in targets
    assert "/site/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests of this file."""
    with open_browser() as driver:
        yield driver


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(400, True), (1280, False)])
def test_every_page_fits_its_window_and_shows_its_images(browser, site, width, dark):
    images = 0
    for page in PAGES:
        look = look_at(browser, site / page, width, dark, shoot=False)
        assert (look.console, look.broken_images, look.overflow) == ((), (), 0), (page, look.outside)
        images += look.images
    assert images >= 17


@pytest.mark.browser
def test_the_site_can_be_searched_from_a_folder_on_disk(browser, site):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    look_at(browser, site / "index.html", 1280, shoot=False)
    browser.execute_script("document.querySelector('#__search').click()")
    field = browser.find_element(By.CSS_SELECTOR, ".md-search__input")
    field.send_keys("threshold")
    found = WebDriverWait(browser, 20).until(lambda d: d.find_elements(By.CSS_SELECTOR, ".md-search-result__link"))
    assert any("techniques.html" in one.get_attribute("href") for one in found)
