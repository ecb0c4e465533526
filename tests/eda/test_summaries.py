"""One look at an image and its label: what is planted is counted, whatever the form of the mask."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Box, Draw, Sample
from kagglekit.eda.summaries import (
    GRID,
    class_planes,
    features_of,
    place_of,
    regions_of,
    summarize,
    summarize_label,
    summarize_slide_label,
    summarize_window,
    touched,
)
from kagglekit.types import Tiling
from tests.techniques.flawed import Flawed
from tests.toy_data import disc

SAMPLE = Sample("a", Path("a.png"), (64, 64), 0)


def plane(*boxes: tuple[int, int, int, int], size=(64, 64)) -> np.ndarray:
    """bool mask of boxes (top, left, bottom, right)."""
    mask = np.zeros(size, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_regions_and_holes_are_counted_and_areas_are_shares_of_the_image():
    mask = plane((4, 4, 24, 24), (40, 40, 50, 50))
    mask[10:14, 10:14] = False
    areas, holes = regions_of(mask)
    assert areas == pytest.approx([(400 - 16) / 4096, 100 / 4096]) and holes == 1


def test_what_reaches_the_edge_is_no_hole_and_a_full_mask_is_one_region():
    bay = plane((0, 0, 30, 64))
    bay[0:10, 20:30] = False
    assert regions_of(bay)[1] == 0
    assert regions_of(np.ones((8, 8), bool)) == ([1.0], 0) and regions_of(np.zeros((8, 8), bool)) == ([], 0)


def test_specks_of_a_pixel_are_no_regions_unless_there_is_nothing_else():
    assert len(regions_of(plane((4, 4, 20, 20), (40, 40, 41, 41)))[0]) == 1
    assert regions_of(plane((40, 40, 41, 41)))[0] == [1 / 4096]


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 20, 9, 30), 0), ((55, 20, 64, 30), 1), ((20, 0, 30, 9), 2), ((20, 55, 30, 64), 3)],
)
def test_a_label_at_one_edge_touches_that_one_alone(box, expected):
    assert [k for k, there in enumerate(touched(plane(box))) if there] == [expected]
    assert not any(touched(plane((20, 20, 30, 30))))


def test_an_outline_that_stops_just_before_the_edge_of_a_large_image_reaches_it_all_the_same():
    assert touched(plane((3, 200, 100, 300), size=(400, 500)))[0]
    assert not touched(plane((9, 200, 100, 300), size=(400, 500)))[0]


def test_all_forms_of_masks_give_a_plane_for_each_class():
    label_map = np.array([[0, 1], [2, 2]], np.uint8)
    planes = class_planes(label_map, "multiclass", 3)
    assert planes.tolist() == [[[False, True], [False, False]], [[False, False], [True, True]]]
    overlapping = np.stack([label_map > 0, label_map > 1], -1).astype(np.uint8)
    assert class_planes(overlapping, "multilabel", 2).sum((1, 2)).tolist() == [3, 2]
    assert class_planes((label_map > 0).astype(np.uint8), "binary", 1).shape == (1, 2, 2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(3, 20), st.integers(3, 20))
def test_shares_are_those_of_the_mask_at_its_own_size(top, left, height, width):
    mask = np.zeros((700, 64), np.uint8)  # longer than what regions are counted at
    mask[top : top + height, left : left + width] = 1
    found = summarize_label(SAMPLE, mask, "binary", 1)
    assert found.share == found.shares[0] == pytest.approx(mask.mean())


def test_places_are_the_cover_of_each_cell():
    cover = place_of([plane((0, 0, 32, 64))])[0]
    assert cover.shape == (GRID, GRID) and cover[: GRID // 2].min() == 1 and cover[GRID // 2 :].max() == 0
    assert place_of([plane((0, 0, 32, 32), size=(96, 48))])[0].mean() == pytest.approx(32 * 32 / (96 * 48), abs=1e-3)


def test_features_say_what_was_done_to_an_image():
    rng = np.random.default_rng(0)
    photo = rng.integers(60, 180, (80, 120, 3)).astype(np.uint8)
    plain = features_of(photo)
    assert features_of((photo // 2).astype(np.uint8))["brightness"] < plain["brightness"]
    assert features_of((120 + (photo.astype(int) - 120) // 4).astype(np.uint8))["tonal range"] < plain["tonal range"]
    gray = np.repeat(photo[..., :1], 3, 2)
    assert features_of(gray)["saturation"] == 0 < plain["saturation"]
    import cv2

    assert features_of(cv2.GaussianBlur(photo, (0, 0), 2))["sharpness"] < plain["sharpness"] - 0.5
    assert plain["aspect"] == 1.5 and plain["megapixels"] == pytest.approx(0.0096)


@pytest.mark.parametrize("image", [np.zeros((1, 1, 3), np.uint8), np.full((5, 7, 1), 900, np.uint16)])
def test_flat_and_tiny_images_have_finite_features(image):
    found = features_of(image)
    assert np.isfinite(list(found.values())).all() and found["tonal range"] == 0
    assert ("saturation" in found) == (image.shape[2] == 3)


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_look_reads_image_and_label_and_knows_which_pixels_are_labelled(task):
    data = Flawed(3, task=task)
    image, label = summarize(data, data.train[1], task, {"binary": 1, "multilabel": 3, "multiclass": 3}[task])
    assert image.covered == pytest.approx(label.share, abs=0.01) and len(image.values) == len(image.inside)
    red = image.values[image.inside][:, 0].mean()
    assert red > image.values[~image.inside][:, 0].mean() + 50
    assert image.without_pixels().values is None and label.without_map().cells is None


def test_an_image_without_label_has_no_inside():
    data = Flawed(2)
    data.read_image = lambda sample, box=None: np.zeros((8, 8, 3), np.uint8)
    image, label = summarize(data, Sample("t", Path("t.png"), (8, 8)), "binary", 1)
    assert image.inside is None and image.covered == 0 and label is None


def test_a_window_of_a_slide_is_shrunk_and_its_label_with_it():
    data = Flawed(2, size=(256, 256), tiling=Tiling(reduce=2))
    summaries = summarize_window(data, Draw(data.train[0], Box(0, 0, 128, 128)))
    whole = data.read_mask(data.train[0])[:128, :128]
    assert (
        len(summaries.values) == 64 * 64
        and summaries.covered == pytest.approx(whole.mean(), abs=0.02)
        and not summaries.blank
    )


def test_a_window_without_tissue_is_blank():
    data = Flawed(1, size=(64, 64), tiling=Tiling(reduce=1, min_saturation=30, min_tissue=0.5))
    data.read_image = lambda sample, box=None: np.full((64, 64, 3), 240, np.uint8)
    assert summarize_window(data, Draw(data.train[0], Box(0, 0, 64, 64))).blank


def test_the_label_of_a_slide_is_read_by_bands_and_says_the_same():
    whole, tiled = Flawed(1, size=(400, 300)), Flawed(1, size=(400, 300), tiling=Tiling(reduce=1))
    mask = whole.read_mask(whole.train[0])
    summaries = summarize_slide_label(tiled, tiled.train[0], "binary", 1)
    assert summaries.share == pytest.approx(mask.mean(), rel=0.02) and len(summaries.regions[0]) == 1


def test_a_disc_in_the_middle_is_one_region_that_touches_nothing():
    summaries = summarize_label(SAMPLE, disc((64, 64), 32, 32, 15), "binary", 1)
    assert len(summaries.regions[0]) == 1 and summaries.holes == (0,) and not any(summaries.touches[0])
