"""Windows of large images: they cover everything, lie flush, and skip what shows nothing."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.data.windows import grid, is_blank, starts, tissue, windows_with_tissue
from kagglekit.types import Sample, Tiling
from tests.toy_data import Discs, cropped, discs, filled

lengths, windows = st.integers(1, 500), st.integers(1, 200)


@given(lengths, windows, st.integers(1, 200))
def test_windows_cover_every_pixel_and_the_last_lies_flush(length, window, step):
    found = starts(length, window, min(step, window))
    assert found[0] == 0 and found == sorted(set(found))
    covered = np.zeros(max(length, window), bool)
    for start in found:
        covered[start : start + window] = True
    assert covered[:length].all()
    assert found[-1] == max(0, length - window)
    assert all(b - a <= min(step, window) for a, b in itertools.pairwise(found))


def test_steps_are_spread_evenly_as_in_nnunet():
    assert starts(1000, 256, 128) == [0, 124, 248, 372, 496, 620, 744]
    assert starts(512, 256, 256) == [0, 256]
    assert starts(100, 256, 128) == [0]


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(4, 40), st.tuples(*[st.integers(0, 20)] * 2))
def test_a_shifted_grid_still_covers_the_image(size, window, shift):
    covered = np.zeros(size, bool)
    for box in grid(size, window, window, shift):
        assert (box.height, box.width) == (window, window)
        covered[max(0, box.top) : max(0, box.top + window), max(0, box.left) : max(0, box.left + window)] = True
    assert covered.all()


def test_tissue_is_where_the_saturation_of_hsv_exceeds_the_threshold():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image[:5] = 0
    saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    found = tissue(image, Tiling(min_saturation=40))
    differs = found != (saturation > 40)
    assert (np.abs(saturation[differs].astype(int) - 40) <= 1).all(), "beyond OpenCV's rounding"
    assert not found[:5].any(), "black is no tissue"


def test_a_window_is_blank_below_the_least_share_of_tissue():
    image = np.full((20, 20, 3), 240, np.uint8)
    tiling = Tiling(min_saturation=40, min_tissue=0.1)
    image[:1, :, 1] = 100  # 20 of 400 pixels
    assert is_blank(image, tiling)
    image[:2, :, 1] = 100
    assert not is_blank(image, tiling)
    assert not is_blank(np.full((20, 20, 3), 255, np.uint8), Tiling(min_saturation=0)), "0 switches it off"


def test_gray_images_of_one_channel_have_no_saturation():
    assert not tissue(np.full((4, 4, 1), 99, np.uint8), Tiling(min_saturation=40)).any()


def test_untiled_images_are_seen_whole_and_tiled_ones_window_by_window(tmp_path):
    plain = discs(3)
    store = filled(tmp_path / "a", plain)
    assert [(d.sample.id, d.box) for d in windows_with_tissue(store, plain.train, 32, 32)] == [
        (s.id, None) for s in plain.train
    ]
    tiled = discs(2, ((96, 160),), tiling=Tiling(reduce=2, min_saturation=0))
    draws = windows_with_tissue(filled(tmp_path / "b", tiled), tiled.train, 32, 32)
    assert len(draws) == 2 * 2 * 3
    assert {(d.box.top, d.box.left) for d in draws} == {(0, 0), (0, 24), (0, 48), (16, 0), (16, 24), (16, 48)}


class HalfGray(Discs):
    """Discs on images whose left half is gray."""

    def read_image(self, sample, box=None):
        image = super().read_image(sample, None).copy()
        image[:, : image.shape[1] // 2] = 200
        return cropped(image, box)


def test_blank_windows_are_not_seen(tmp_path):
    data = HalfGray(discs(1, ((64, 64),)).samples, tiling=Tiling(reduce=1, min_saturation=40))
    store = filled(tmp_path, data)
    boxes = [draw.box for draw in windows_with_tissue(store, data.train, 16, 16)]
    assert boxes == [box for box in grid((64, 64), 16, 16) if box.left >= 32] and len(boxes) == 8


@pytest.mark.parametrize("reduce", [1, 2, 3, 5])
def test_a_tiled_store_holds_the_mean_of_each_block_whatever_the_bands(tmp_path, monkeypatch, reduce):
    from kagglekit.data import store as stores

    monkeypatch.setattr(stores, "BAND", 4)
    data = discs(2, ((37, 53), (64, 41)), tiling=Tiling(reduce=reduce))
    store = filled(tmp_path, data)
    for sample in data.train:
        image, mask = store.read(sample)
        whole, truth = data.read_image(sample), data.read_mask(sample)
        assert image.shape[:2] == tuple(-(-side // reduce) for side in sample.size)
        for y, x in ((0, 0), (3, 4), (image.shape[0] - 2, image.shape[1] - 2)):
            block = whole[y * reduce : (y + 1) * reduce, x * reduce : (x + 1) * reduce].reshape(-1, 3)
            assert np.abs(image[y, x] - block.mean(0)).max() <= 0.51
            share = truth[y * reduce : (y + 1) * reduce, x * reduce : (x + 1) * reduce].mean()
            assert share == 0.5 or mask[y, x] == (share > 0.5)


def test_a_box_that_leaves_a_stored_image_repeats_its_edge_and_has_no_mask_there(tmp_path):
    from kagglekit.types import Box

    data = discs(1, ((32, 32),), tiling=Tiling(reduce=1))
    store = filled(tmp_path, data)
    image, mask = store.read(data.train[0], Box(-4, 20, 16, 20))
    inside, truth = store.read(data.train[0])
    assert image.shape == (16, 20, 3) and mask.shape == (16, 20)
    assert np.array_equal(image[4:, :12], inside[:12, 20:]) and np.array_equal(mask[4:, :12], truth[:12, 20:])
    assert (image[:4, :12] == inside[0, 20:]).all() and (image[4:, 12:] == inside[:12, -1:]).all()
    assert not mask[:4].any() and not mask[:, 12:].any()


def test_the_sample_of_a_draw_may_have_any_path():
    assert Sample("a", Path("/x"), (3, 4)).truth_size == (3, 4)
