"""The gallery of findings: it shows what was found, escapes what it is given, and opens without a fault."""

import dataclasses
import re

import numpy as np
import pytest

from kagglekit import Finding
from kagglekit.report.clean_page import sections, visible, write_clean_page
from kagglekit.types import Tiling
from tests.browser import look_at
from tests.techniques.flawed import Flawed

HOSTILE = '<script>alert("x")</script>&"\'.png'
FOUND = [
    Finding("s001", "loose", 2.5, detail="the outline lies beside the edges"),
    Finding("s004", "loose", 9.0),
    Finding("s002", "copies", 2.0, detail="nearly the same as s003", related=("s003", "s005")),
    Finding("s006", "copies", 1.0, "keep"),
]


def result_of(**changes) -> dict:
    """What `kk clean` says around its findings."""
    return {
        "title": "Toy", "classes": ["thing"], "task": "binary", "data": "f00", "made": "2026-01-02T03:04:05Z",
        "command": "kk clean toy", "techniques": ["label-rules"], "train": 8, "distrusted": 3, "problems": [],
    } | changes  # fmt: skip


def page_of(tmp_path, dataset=None, found=FOUND, most=24, **changes) -> str:
    """The text of a gallery."""
    path = write_clean_page(tmp_path / "findings.html", dataset or Flawed(8), found, result_of(**changes), most)
    return path.read_text(encoding="utf-8")


def test_every_rule_has_a_section_and_its_worst_findings_come_first(tmp_path):
    page = page_of(tmp_path)
    assert [rule for rule, _ in sections(FOUND)] == ["copies", "loose"]
    assert (
        page.index("<h2>copies</h2>") < page.index("<h2>loose</h2>") < page.index('id">s004') < page.index('id">s001')
    )
    assert page.count("data:image/jpeg") == 5  # four findings, and the image that one of them repeats
    assert "3 of 8 labels distrusted" in page and "only shown" in page and "and 1 more related image<" in page


def test_at_most_so_many_images_of_a_rule_are_shown_and_the_page_says_so(tmp_path):
    page = page_of(tmp_path, most=1)
    assert "2 findings, the 1 most suspicious are shown" in page
    assert 'id">s004' in page and 'id">s001' not in page


def test_hostile_names_and_texts_are_shown_and_not_run(tmp_path):
    dataset = Flawed(8)
    dataset.train[1] = dataclasses.replace(dataset.train[1], id=HOSTILE)
    found = [Finding(HOSTILE, HOSTILE, 1.0, detail=HOSTILE, related=(HOSTILE,))]
    problems = [{"sample": HOSTILE, "rule": HOSTILE, "detail": HOSTILE}]
    page = page_of(tmp_path, dataset, found, title=HOSTILE, command=HOSTILE, problems=problems)
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_a_damaged_image_is_told_and_a_sample_that_is_gone_is_passed_over(tmp_path):
    page = page_of(tmp_path, Flawed(8, damaged=("s004",)), [*FOUND, Finding("gone", "loose", 1.0)])
    assert "s004: this image is broken" in page and 'id">gone' in page


def test_no_findings_make_a_page_that_says_so(tmp_path):
    assert "No rule distrusts a label." in page_of(tmp_path, found=[], distrusted=0)


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint8"), (6, "uint8"), (3, "uint16")])
def test_images_of_any_depth_and_number_of_channels_are_shown(tmp_path, channels, depth):
    assert page_of(tmp_path, Flawed(8, channels=channels, depth=depth)).count("data:image/jpeg") == 5


def test_images_read_in_bands_and_overlapping_classes_are_shown_too(tmp_path):
    assert page_of(tmp_path, Flawed(8, size=(700, 300), tiling=Tiling(reduce=2))).count("data:image/jpeg") == 5
    assert page_of(tmp_path, Flawed(8, task="multilabel"), task="multilabel").count("data:image/jpeg") == 5


def test_a_deep_image_is_stretched_and_a_flat_one_stays_dark():
    deep = np.linspace(0, 60_000, 64).reshape(8, 8, 1).astype(np.uint16)
    seen = visible(deep)
    assert seen.shape == (8, 8, 3) and seen.min() == 0 and seen.max() == 255
    assert visible(np.full((4, 4, 1), 9, np.uint16)).max() == 0


@pytest.mark.browser
def test_the_page_opens_without_a_fault_and_fits_a_phone(tmp_path, browser):
    path = write_clean_page(tmp_path / "findings.html", Flawed(8), FOUND, result_of())
    for width in (390, 1280):
        seen = look_at(browser, path, width)
        assert (seen.console, seen.broken_images, seen.overflow, seen.outside) == ((), (), 0, ())
        assert seen.images == 5
    assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text())
