"""Small images and masks of a whole data set: equal to resizing, also band by band; damage is left to the run."""

import numpy as np
import pytest

from kagglekit.data import thumbs
from kagglekit.data.resize import resize_image
from kagglekit.data.thumbs import as_bytes, each, small_image, small_mask
from kagglekit.errors import DataError
from kagglekit.types import Tiling
from tests.toy_data import discs


def test_a_small_image_is_the_resized_one_and_its_mask_shows_the_same_disc():
    dataset = discs(1, [(96, 128)])
    sample = dataset.train[0]
    image, mask = small_image(dataset, sample, (48, 64)), small_mask(dataset, sample, (48, 64), "binary")
    assert np.array_equal(image, resize_image(dataset.read_image(sample), (48, 64)))
    assert ((image[..., 0] > 127) == (mask > 0)).mean() > 0.97


@pytest.mark.parametrize("size", [(16, 24), (50, 40), (64, 64)])
def test_a_tiled_image_is_read_in_bands_and_looks_the_same(size):
    whole, tiled = discs(1, [(1800, 300)]), discs(1, [(1800, 300)], tiling=Tiling(reduce=2))
    sample = whole.train[0]
    expected, found = small_image(whole, sample, size), small_image(tiled, sample, size)
    assert abs(found.shape[0] - size[0]) <= max(2, size[0] // 8) and found.shape[1] == size[1]
    same = resize_image(found, size).astype(int) - expected
    assert np.abs(same).mean() < 12
    assert small_mask(tiled, sample, size, "binary").shape == found.shape[:2]


def test_every_sample_is_looked_at_once_in_order_and_shown_on_the_way(monkeypatch):
    monkeypatch.setattr(thumbs, "CHUNK", 3)
    shown = []

    def track(items, total, description):
        shown.append((total, description))
        return items

    dataset = discs(10)
    found = list(each(dataset.train, lambda s: s.label * 2, track, "looking"))
    assert [(s.id, n) for s, n in found] == [(f"s{i:03d}", 2 * i) for i in range(10)]
    assert shown == [(10, "looking")]


def test_damaged_samples_are_left_out_and_other_faults_are_not_swallowed():
    dataset = discs(4, damaged=("s001",))
    assert [s.id for s, _ in each(dataset.train, dataset.read_image)] == ["s000", "s002", "s003"]
    with pytest.raises(ZeroDivisionError):
        list(each(dataset.train, lambda s: 1 // 0))
    with pytest.raises(DataError):
        small_image(dataset, dataset.train[1], (4, 4))


def test_deep_images_become_bytes_by_rank_and_bytes_are_left_alone():
    deep = (np.arange(10_000).reshape(100, 100, 1) * 6).astype(np.uint16)
    seen = as_bytes(deep)
    assert seen.dtype == np.uint8 and seen.min() == 0 and seen.max() == 255
    assert (np.diff(seen.ravel().astype(int)) >= 0).all()
    assert np.array_equal(as_bytes((deep.astype(np.float64) ** 2).astype(np.float32)), seen)  # ranks know no curve
    assert as_bytes(seen) is seen and as_bytes(np.full((4, 4, 2), -7, np.int16)).max() == 0
