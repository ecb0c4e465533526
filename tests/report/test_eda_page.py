"""The page about a data folder: it shows what is in the facts, escapes what it is given, and opens without a fault."""

import dataclasses
import re

import numpy as np
import pytest

from kagglekit import Box, Draw, Finding
from kagglekit.eda.images import Intensities
from kagglekit.report.eda_page import heat_map, share_text, together, value_text, write_eda_page
from kagglekit.types import Tiling
from tests.browser import look_at
from tests.eda.facts import facts, one_class
from tests.report.test_run_page import HOSTILE, Page
from tests.techniques.flawed import Flawed

FOUND = [Finding("s001", "loose", 2.5, detail="beside the edges"), Finding("s002", "copies", 1.0, related=("s003",))]
FEATURE = {"name": "brightness", "statistic": 0.4, "p": 1e-9, "differs": True, "train": [0.1, 0.2, 0.3],
           "test": [0.3, 0.4, 0.5], "bins": [0.0, 0.5, 1.0], "shares": [[0.9, 0.1], [0.2, 0.8]]}  # fmt: skip


def full(**changes) -> dict:
    """Facts in which every section has something to say."""
    channel = {"lowest": 0, "highest": 255, "percentiles": {"p1": 3, "p50": 90, "p99": 250}, "from": 0, "to": 255,
               "all": [0.5, 0.5], "inside": [0.9, 0.1], "outside": [0.2, 0.8]}  # fmt: skip
    window = {"low": 0, "high": 900, "separates": 0.25, "inside": [0.5, 0.5], "outside": [1.0, 0.0]}
    return facts(
        **{
            "task": "multilabel",
            "classes": ["a", "b", "c"],
            "balance": [one_class("a"), one_class("b", images=0.04), one_class("c", images=0)],
            "together": [[100, 4, 0], [4, 4, 0], [0, 0, 0]],
            "places": [[[0.0, 1.0], [0.5, 0.5]], [[0.1, 0.1], [0.1, 0.1]], []],
            "intensity": {"depth": "uint16", "channels": [channel] * 3, "windows": [window, window | {"high": 90}]},
            "groups": {"count": 4, "alone": 2, "unlabelled": 1, "largest": 2, "median": 2.0, "mean": 2.0,
                       "sizes": {"2": 4}},
            "copies.leaks": [{"train": ["s000"], "test": ["t000", "t001"]}],
            "copies.train": [["s002", "s003"]],
            "copies.leak_groups": 1, "copies.leaked": 2, "copies.train_groups": 1, "copies.pictures": 2,
            "drift.verdict": "some", "drift.features": [FEATURE],
            "findings.distrusted": 2, "findings.asked": ["rules", "others"],
            "problems": [{"rule": "broken", "count": 2, "skipped": 1, "damaged": 2,
                          "examples": [{"sample": "x", "detail": "truncated"}]}],
            "stands_out": [{"kind": "warn", "head": "Few groups.", "text": "Only four."}],
            "suggestions": [{"technique": "hopeful", "why": "It may help.", "command": "kk ablate toy --with hopeful"}],
        }
        | changes
    )  # fmt: skip


def data(**how) -> Flawed:
    found = Flawed(8, task="multilabel", **how)
    found.test = tuple(dataclasses.replace(s, id=f"t{s.id[1:]}") for s in found.train[:2])
    return found


def page_of(tmp_path, held: dict, dataset=None, found=FOUND) -> Page:
    dataset = dataset or data()
    shown = [Draw(sample) for sample in dataset.train[:3]]
    return Page(write_eda_page(tmp_path / "eda.html", held, dataset, shown, found).read_text(encoding="utf-8"))


def test_every_section_says_what_is_in_the_facts(tmp_path):
    text = page_of(tmp_path, full()).text
    for words in (
        "Few groups. Only four.", "It may help.", "kk ablate toy --with hopeful", "All 100 training and 20 test",
        "2 test images are nearly the same", "Somewhat less than they should", "brightness", "differs", "p < 0.0001",
        "4 groups", "broken", "x: truncated", "2 labels are distrusted by rules and others", "beside the edges",
        "0 to 900 (full range)", "0.25", "and 1 more of the same",
    ):  # fmt: skip
        assert words in text, words


def test_images_are_examples_copies_findings_maps_and_windows(tmp_path):
    page = (write_eda_page(tmp_path / "e.html", full(), data(), [Draw(data().train[0])], FOUND)).read_text()
    assert page.count("data:image/png") == 2, "a map for each class that is shown"
    assert page.count("data:image/jpeg") == 1 + 2 + 4 + 3  # example, windows, two pairs, two findings and a related one


def test_data_with_nothing_in_them_make_a_page_that_says_so(tmp_path):
    held = facts(**{"places": [[]], "balance": [one_class("a", images=0)], "sampled.labels": 0, "labels_counted": 0,
                    "drift.verdict": "unknown", "drift.test": 2, "findings.asked": []})  # fmt: skip
    text = Page(write_eda_page(tmp_path / "eda.html", held, data()).read_text()).text
    assert "There is no label to show." in text and "are too few to tell" in text
    assert "No installed technique offers rules" in text and "No test image repeats a training image." in text


def test_few_images_that_show_no_difference_are_not_called_alike(tmp_path):
    unsure = {"drift.features": [FEATURE | {"differs": False}], "drift.auc": {"value": 0.6, "low": 0.4, "high": 0.8}}
    assert "too few to show that there is none" in page_of(tmp_path, facts(**unsure)).text
    sure = unsure | {"drift.auc": {"value": 0.5, "low": 0.45, "high": 0.55}}
    assert "sharpness and size go, yes" in page_of(tmp_path, facts(**sure)).text


def test_what_was_drawn_by_lot_is_said(tmp_path):
    held = full(**{"counts.train": 200_000, "sampled.train": 2000, "sampled.looked_train": 1990})
    text = page_of(tmp_path, held).text
    assert "1990 of 200000 training and 20 of 20 test images" in text and "drawn by lot" in text
    assert "Only images that were looked at are compared." in text


def test_slides_are_shown_by_window_and_say_what_was_not_asked(tmp_path):
    dataset = Flawed(3, size=(256, 256), tiling=Tiling(reduce=2))
    held = facts(**{"pictures.tiled": True, "sampled.windows": True, "copies": None, "findings.asked": []})
    path = write_eda_page(tmp_path / "eda.html", held, dataset, [Draw(dataset.train[0], Box(0, 0, 128, 128))])
    assert path.read_text().count("data:image/jpeg") == 1
    text = Page(path.read_text()).text
    assert "windows of training" in text and "rules look at slides whole" in text and "Not looked for" in text


def test_hostile_names_and_texts_are_shown_and_not_run(tmp_path):
    dataset = data()
    dataset.train[0] = dataclasses.replace(dataset.train[0], id=HOSTILE)
    held = full(
        title=HOSTILE, command=HOSTILE, classes=[HOSTILE, "b", "c"],
        balance=[one_class(HOSTILE), one_class("b"), one_class("c")],
        stands_out=[{"kind": "warn", "head": HOSTILE, "text": HOSTILE}],
        suggestions=[{"technique": HOSTILE, "why": HOSTILE, "command": HOSTILE}],
        problems=[{"rule": HOSTILE, "count": 1, "skipped": 1, "damaged": 1,
                   "examples": [{"sample": HOSTILE, "detail": HOSTILE}]}],
        **{"copies.leaks": [{"train": [HOSTILE], "test": ["t000"]}], "copies.train": [],
           "drift.features": [FEATURE | {"name": HOSTILE}], "recipe.techniques": [HOSTILE]},
    )  # fmt: skip
    found = [Finding(HOSTILE, HOSTILE, 1.0, detail=HOSTILE)]
    text = write_eda_page(tmp_path / "eda.html", held, dataset, [Draw(dataset.train[0])], found).read_text()
    assert HOSTILE not in text and "&lt;" in text
    scripts = re.findall(r"<script\b", text)
    assert len(scripts) == 1


def test_a_damaged_image_is_told_wherever_it_would_be_shown(tmp_path):
    text = page_of(tmp_path, full(), data(damaged=("s000", "s001", "s002"))).text
    assert text.count("this image is broken") >= 5


def test_shares_and_values_read_as_people_say_them():
    assert [share_text(v) for v in (0, 1, 0.456, 0.0234, 0.0004, 1e-9)] == [
        "0%",
        "100%",
        "46%",
        "2.3%",
        "0.04%",
        "<0.001%",
    ]
    assert [value_text(v) for v in (12345.6, 3.14159, 0)] == ["12,346", "3.14", "0"]


def test_the_table_of_classes_has_shares_of_its_row_and_no_class_that_is_never_shown():
    rows = together(["a", "b", "c"], [[10, 5, 0], [5, 20, 0], [0, 0, 0]])
    assert rows == [
        {"name": "a", "count": 10, "parts": [None, 0.5]},
        {"name": "b", "count": 20, "parts": [0.25, None]},
    ]
    many = np.diag(range(40, 0, -1)).tolist()
    assert [row["name"] for row in together(list(range(40)), many)] == list(range(14))


def test_a_map_shines_where_labels_lie_and_is_missing_where_nothing_is_known():
    assert heat_map([]) is None
    assert heat_map([[0.0, 0.25]])["top"] == 0.25 and heat_map([[0.0]])["top"] == 0


def test_a_real_histogram_of_sixteen_bits_makes_a_chart(tmp_path):
    from kagglekit.eda.summaries import summarize_image

    deep = Flawed(3, depth="uint16")
    found = Intensities(3, "uint16")
    for sample in deep.train:
        found.add(summarize_image(sample, deep.read_image(sample), deep.read_mask(sample)))
    path = write_eda_page(tmp_path / "eda.html", facts(intensity=found.facts()), deep, [Draw(deep.train[0])])
    assert path.read_text().count('<svg class="chart"') >= 4


@pytest.mark.browser
def test_the_page_opens_without_a_fault_light_and_dark_and_fits_a_phone(tmp_path, browser):
    dataset = data()
    shown = [Draw(sample) for sample in dataset.train[:3]]
    held = full(classes=["a" * 60, "b", "c"], balance=[one_class("a" * 60), one_class("b"), one_class("c")])
    path = write_eda_page(tmp_path / "eda.html", held, dataset, shown, FOUND)
    for width, dark in ((390, False), (1280, True)):
        summaries = look_at(browser, path, width, dark)
        assert (summaries.console, summaries.broken_images, summaries.overflow, summaries.outside) == ((), (), 0, ())
        assert summaries.images == 3 + 2 + 4 + 3 + 2
    assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text())
