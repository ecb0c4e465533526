"""Where two submissions disagree: measured on the rows themselves, by stripe as on the whole, and shown as it is."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kagglekit.metrics import MeanIoU
from kagglekit.report.compare_page import card, write_compare_page
from kagglekit.report.disagreements import SIDE, Disagreement, _small, disagreements, share_of
from kagglekit.types import Sample, Tiling
from tests.browser import look_at
from tests.report.test_run_page import HOSTILE, Page
from tests.search.rows import Rows
from tests.toy_data import discs

MASKS = arrays(np.uint8, (12, 20), elements=st.integers(0, 1))
LABELS = arrays(np.uint8, (6, 9), elements=st.integers(0, 3))


class Plain:
    """A submission whose rows are masks, and a data set around it."""

    tiling = None

    def __init__(self):
        self.submission = self

    def decode_stripes(self, row, size, width):
        return (row[:, left : left + width] for left in range(0, size[1], width))


def share(a, b) -> float:
    """The share of two masks, as if they had been submitted."""
    return share_of(Plain(), Sample("s", None, a.shape[:2]), a, b)


@given(LABELS, LABELS)
def test_the_share_is_that_of_the_definition_and_the_same_both_ways(a, b):
    pairs = list(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    marked, differing = sum(x > 0 or y > 0 for x, y in pairs), sum(x != y for x, y in pairs)
    assert share(a, b) == share(b, a) == (differing / marked if marked else 0)
    assert 0 <= share(a, b) <= 1 and (share(a, b) == 0) == (a == b).all()


@given(st.lists(MASKS, min_size=4, max_size=4))
def test_a_pixel_of_overlapping_classes_differs_if_any_of_its_classes_does(planes):
    a, b = np.stack(planes[:2], -1), np.stack(planes[2:], -1)
    marked, differing = (a | b).any(-1).sum(), (a != b).any(-1).sum()
    assert share(a, b) == (differing / marked if marked else 0)


@given(MASKS, st.integers(1, 25), st.integers(1, 7))
def test_a_small_mask_is_the_same_however_the_whole_comes_in_stripes(mask, width, step):
    stripes = (mask[:, left : left + width] for left in range(0, mask.shape[1], width))
    assert np.array_equal(_small(stripes, step), mask[::step, ::step])


def world(tmp_path, tiled: bool = False):
    """(data set with 6 test images and answers, two submissions): equal but for the third and the fifth image."""
    data = discs(6, sizes=((64, 96),))
    if tiled:
        data.tiling = Tiling(reduce=2)
    data.test = [type(s)(f"t{i}", s.image, s.size, s.label) for i, s in enumerate(data.samples)]
    data.answers = {s.id: s.label for s in data.test[:4]}
    data.submission = Rows([s.id for s in data.test])
    truths = {s.id: data.read_mask(s) for s in data.test}
    other = {k: v.copy() for k, v in truths.items()}
    other["t2"][:4] = 1
    other["t4"][:] = 1
    for name, masks in (("a.csv", truths), ("b.csv", other)):
        data.submission.write(tmp_path / name, {k: data.submission.encode(m) for k, m in masks.items()})
    return data, (tmp_path / "a.csv", tmp_path / "b.csv")


def test_images_that_differ_come_in_order_with_truth_and_scores_where_these_are_known(tmp_path):
    data, files = world(tmp_path)
    found = disagreements(data, MeanIoU(), files)
    assert [one.sample for one in found] == ["t4", "t2"] and found[0].share > found[1].share > 0
    assert found[0].truth is None and found[0].scores is None
    assert found[1].scores[0] == 1 > found[1].scores[1] and np.array_equal(found[1].truth, found[1].masks[0])
    assert found[1].image.shape == (64, 96, 3) and found[1].masks[1][:4].all()
    assert [one.sample for one in disagreements(data, MeanIoU(), files, most=1)] == ["t4"]
    assert disagreements(data, MeanIoU(), (files[0], files[0])) == []


def test_slides_are_compared_by_stripe_to_the_same_shares(tmp_path):
    (tmp_path / "w").mkdir()
    whole = disagreements(*with_metric(world(tmp_path / "w")))
    tiled = disagreements(*with_metric(world(tmp_path, tiled=True)))
    assert [(one.sample, one.share, one.scores) for one in tiled] == [(o.sample, o.share, o.scores) for o in whole]
    for one, other in zip(tiled, whole, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.masks, other.masks, strict=True))


def with_metric(made):
    """The arguments of `disagreements`."""
    return made[0], MeanIoU(), made[1]


def found(**changes) -> dict:
    """What `compare` says of two runs."""
    gap = {"value": 0.02, "low": 0.01, "high": 0.03}
    return {
        "runs": ["0123456789ab", "ba9876543210"], "competition": "leaves", "metric": "mean IoU",
        "greater_is_better": True, "recipe": {"lr": [0.1, None]}, "same_data": True, "same_code": True,
        "scores": {"validation": [0.8, 0.82], "test": [None, None]}, "seconds": [61.0, 3600.0], "common": 8,
        "difference": gap, "verdict": "ba9876543210 is better", "most": [],
    } | changes  # fmt: skip


def make_images(count: int, name: str = "p", truth: bool = True) -> list[Disagreement]:
    """Images with two masks that differ."""
    image = np.full((40, 60, 3), 90, np.uint8)
    one, other = np.zeros((2, 40, 60), np.uint8)
    one[5:20, 5:30] = other[8:25, 5:30] = 1
    known = one if truth else None
    return [
        Disagreement(f"{name}{i}", 0.3, image, (one, other), known, (0.9, 0.5) if truth else None) for i in range(count)
    ]


def page_of(tmp_path, shown=(), **changes) -> Page:
    """The page of made-up runs."""
    return Page(write_compare_page(tmp_path / "c.html", found(**changes), shown, ["thing"]).read_text())


def test_the_page_tells_scores_verdict_recipe_and_images(tmp_path):
    page = page_of(tmp_path, make_images(2))
    for text in (
        "0.8200",
        "+0.0200",
        "+0.0100 to +0.0300",
        "ba9876543210 is better",
        "lr",
        "1 min 01 s",
        "30 % differ",
    ):
        assert text in page.text, text
    images = page.all("img")
    assert len(images) == 6 and all(one["src"].startswith("data:image/jpeg") and one["alt"] for one in images)
    assert "A 0.9000, B 0.5000" in page.text and "Not alike" not in page.text


def test_without_a_truth_both_masks_are_outlined_and_no_errors_are_named(tmp_path):
    page = page_of(tmp_path, make_images(1, truth=False))
    assert len(page.all("img")) == 2 and "false alarm" not in page.text
    assert [name for name, *_ in card(make_images(1, truth=False)[0], ["a", "b"], 10**6)["images"]] == [
        "A, a",
        "B, b",
    ]


def test_what_cannot_be_shown_or_compared_is_said(tmp_path):
    assert "The submitted masks are equal." in page_of(tmp_path).text
    path = write_compare_page(tmp_path / "c.html", found(difference=None, recipe={}), [], [], reason="No images: gone")
    text = Page(path.read_text()).text
    assert "No images: gone" in text and "No two images were held out by both" in text
    assert "The recipes are equal" in text
    assert "other data and code" in page_of(tmp_path, same_data=False, same_code=False).text


def test_names_of_others_are_shown_and_not_run_and_the_page_fetches_nothing(tmp_path):
    shown = make_images(1, name=HOSTILE)
    path = write_compare_page(tmp_path / "c.html", found(runs=[HOSTILE, "b"], competition=HOSTILE), shown, [HOSTILE])
    text = path.read_text()
    assert HOSTILE not in text and len(Page(text).all("script")) == 1
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_large_masks_are_shown_small(tmp_path):
    big = np.zeros((1000, 3000), np.uint8)
    assert max(_small(iter([big]), -(-3000 // SIDE)).shape) <= SIDE


@pytest.mark.browser
def test_the_page_opens_without_a_fault_and_fits_a_phone(tmp_path, browser):
    path = write_compare_page(tmp_path / "c.html", found(recipe={"a" * 80: ["b" * 90, 1]}), make_images(2), ["thing"])
    for width, dark in ((390, True), (1280, False)):
        seen = look_at(browser, path, width, dark)
        assert (seen.console, seen.broken_images, seen.overflow, seen.outside) == (
            (),
            (),
            0,
            (),
        ) and seen.images == 6
