"""The page over all runs: every run is there, links lead to pages that exist, the table sorts and filters."""

from urllib.parse import unquote

import pytest

from kagglekit.report.board import write_board
from kagglekit.runs.ledger import COLUMNS, Ledger
from tests.browser import look_at
from tests.helpers import run_folder
from tests.report.test_run_page import HOSTILE, Page


def row(name: str, score: float | None, competition: str = "leaves", **more) -> dict:
    where = f"{competition}/{name}"
    return dict.fromkeys(COLUMNS) | {"run": where, "path": where, "competition": competition,
            "fidelity": "demo", "status": "done", "score": score, "test_score": None, "seconds": 90.0,
            "started": "2026-01-02T03:04:05Z"} | more  # fmt: skip


ROWS = [row("a", 0.5), row("b", 0.9), row("c", None, status="interrupted", seconds=None), row("d", 0.7, "clowns")]


def test_every_run_stands_in_the_table_and_links_lead_to_pages_that_exist(tmp_path):
    for name in ("leaves/a", "leaves/b"):
        (tmp_path / name / "writeup").mkdir(parents=True)
        (tmp_path / name / "report.html").write_text("x")
    (tmp_path / "leaves/b/writeup/writeup.html").write_text("x")
    (tmp_path / "searches/s 1").mkdir(parents=True)
    (tmp_path / "searches/s 1/report.html").write_text("x")
    target = write_board(ROWS, tmp_path, tmp_path / "board")
    page = Page(target.read_text())
    links = [unquote(one["href"]) for one in page.all("a")]
    assert len(links) == 4 and all((target.parent / link).is_file() for link in links)
    assert page.text.count("leaves") >= 3 and "interrupted" in page.text and "0.9000" in page.text
    assert "search s 1" in page.text


def test_a_folder_without_runs_says_how_to_start_one(tmp_path):
    assert "No runs yet. Start one: kk run ID" in Page(write_board([], tmp_path, tmp_path / "b").read_text()).text


def test_the_ledger_of_real_folders_makes_a_board(tmp_path):
    run_folder(tmp_path, "toy", "0" * 12)
    rows = Ledger(tmp_path).rows(None)
    assert len(rows) == 1 and "000000000000" in Page(write_board(rows, tmp_path, tmp_path / "b").read_text()).text


@pytest.mark.browser
def test_the_table_sorts_filters_and_opens_without_a_fault(tmp_path, browser):
    rows = [*ROWS, row(HOSTILE, 0.1, status="a" * 80)]
    target = write_board(rows, tmp_path, tmp_path / "board")
    for width in (400, 1280):
        look = look_at(browser, target, width)
        assert look.console == () and look.overflow == 0 and look.outside == ()

    def column(at: int) -> list[str]:
        rows = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden)"
        return browser.execute_script(f"return {rows}.map(r => r.cells[{at}].textContent)")

    heads = browser.find_elements("css selector", "th button")
    heads[4].click()
    assert column(4) == ["0.1000", "0.5000", "0.7000", "0.9000", "–"]
    heads[4].click()
    assert column(4) == ["0.9000", "0.7000", "0.5000", "0.1000", "–"], "what is not known stands at the end either way"
    browser.find_element("id", "filter").send_keys("clowns")
    assert column(0) == ["d"] and browser.find_element("id", "count").text == "1 shown"
