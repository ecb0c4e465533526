"""Every kind of page can be read by everybody: axe-core finds nothing serious, and paper cuts nothing off."""

from pathlib import Path

import pytest

from kagglekit.report.ablation_page import write_ablation_page
from kagglekit.report.board import write_board
from kagglekit.report.clean_page import write_clean_page
from kagglekit.report.compare_page import write_compare_page
from kagglekit.report.eda_page import write_eda_page
from kagglekit.report.run_page import write_run_page
from kagglekit.report.tune_page import write_tune_page
from kagglekit.types import Draw
from tests.browser import badly_printed, faults, inaccessible
from tests.report import test_ablation_page as ablation
from tests.report import test_board as board
from tests.report import test_clean_page as clean
from tests.report import test_compare_page as comparison
from tests.report import test_eda_page as eda
from tests.report import test_run_page as run
from tests.report import test_tune_page as tune
from tests.techniques.flawed import Flawed

LONG = "a" * 200


def of_run(folder: Path) -> Path:
    skipped = [{"id": LONG, "reason": LONG}]
    self_check = {"warnings": ["masks lie half a pixel off"]}
    made = run.make_run(folder, skipped=skipped, command=f"kk run {LONG}", self_check=self_check)
    return write_run_page(made, run.make_examples(3, classes=2, name=LONG + "{}"))


def of_board(folder: Path) -> Path:
    rows = [*board.ROWS, board.row(LONG, 0.1, status=LONG)]
    (folder / "leaves/a").mkdir(parents=True)
    (folder / "leaves/a/report.html").write_text("x")
    return write_board(rows, folder, folder / "board")


def of_ablation(folder: Path) -> Path:
    effects = [ablation.make_effect(LONG, 0.1), *ablation.make_result()["effects"]]
    return write_ablation_page(
        folder, ablation.typed(ablation.make_result(command=f"kk ablate {LONG}", effects=effects))
    )


def of_cleaning(folder: Path) -> Path:
    problems = [{"sample": LONG, "rule": "no-label", "detail": LONG}]
    return write_clean_page(folder / "f.html", Flawed(8), clean.FOUND, clean.result_of(problems=problems))


def of_data(folder: Path) -> Path:
    dataset, names = eda.data(), [LONG, "b", "c"]
    held = eda.full(classes=names, balance=[eda.one_class(name) for name in names])
    return write_eda_page(folder / "eda.html", held, dataset, [Draw(s) for s in dataset.train[:3]], eda.FOUND)


def of_comparison(folder: Path) -> Path:
    found = comparison.found(recipe={"lr": [LONG, 0.1]}, same_code=False)
    return write_compare_page(folder / "c.html", found, comparison.make_images(2, name=LONG), ["thing"])


PAGES = {
    "run": of_run,
    "board": of_board,
    "ablation": of_ablation,
    "clean": of_cleaning,
    "eda": of_data,
    "compare": of_comparison,
    "tune": lambda folder: write_tune_page(folder, tune.make_result(warnings=[LONG])),
}


@pytest.mark.browser
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_has_no_serious_fault_for_those_who_read_it_otherwise_or_on_paper(tmp_path, browser, kind):
    assert faults(browser, PAGES[kind](tmp_path)) == []


@pytest.mark.browser
def test_the_checks_see_a_page_that_is_hard_to_read_and_one_that_does_not_fit_on_paper(tmp_path, browser):
    page = tmp_path / "bad.html"
    page.write_text('<title>x</title><img src="data:,"><p style="color:#aaa;background:#fff">pale</p>')
    found = " ".join(inaccessible(browser, page))
    assert "light image-alt" in found and "dark color-contrast" in found and "html-has-lang" in found
    page.write_text('<div style="overflow-x:auto;width:300px"><p style="width:2000px">wide</p></div>')
    assert [fault[:8] for fault in badly_printed(browser, page)][:1] == ["cut off:"]
    page.write_text("<p>short</p>")
    assert badly_printed(browser, page) == []
