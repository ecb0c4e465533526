"""Sizes and intensities of images, and the contrast windows in which planted objects separate."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Sample
from kagglekit.eda.images import Intensities, binned, percentile, separation, sizes, suggest_windows
from kagglekit.eda.summaries import summarize_image

SIZE = (48, 48)


def sample(size=SIZE) -> Sample:
    return Sample("a", Path("a.png"), size, 0)


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A 16-bit image: dark ground at 100, faint objects at 160, bright plates near 9000 with as faint objects."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 8, SIZE)
    image[:, 24:] += 9000 + rng.normal(0, 400, (48, 24))
    mask = np.zeros(SIZE, np.uint8)
    mask[8:28, 4:40] = 1
    return np.clip(image + 60 * mask, 0, 65535).astype(np.uint16)[..., None], mask


def counted(pairs, depth: str = "uint16", channels: int = 1) -> dict:
    found = Intensities(channels, depth)
    for image, mask in pairs:
        found.add(summarize_image(sample(image.shape[:2]), image, mask))
    return found.facts()


def test_sizes_are_listed_with_the_most_frequent_first_and_both_ends():
    found = sizes([sample((4, 6))] * 3 + [sample((8, 8))], [sample((2, 3)), sample((4, 6))])
    assert found["different"] == 3 and found["listed"][0] == {"size": [4, 6], "train": 3, "test": 1}
    assert found["smallest"] == [2, 3] and found["largest"] == [8, 8]
    assert sizes([], []) == {"different": 0, "listed": []}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_percentiles_of_a_histogram_are_values_that_occur_in_order(values):
    counts = np.bincount(values, minlength=256)
    found = percentile(counts, (0, 50, 100))
    assert found[0] == min(values) and found[2] == max(values) and found[1] == sorted(values)[(len(values) - 1) // 2]


@given(st.integers(1, 300), st.integers(0, 200))
def test_a_coarser_histogram_keeps_every_pixel(width, low):
    counts = np.random.default_rng(width).integers(0, 5, 600)
    assert sum(binned(counts, low, low + width)) == pytest.approx(1, abs=1e-3)


def test_eight_bits_are_described_by_channel_inside_and_outside_and_get_no_windows():
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 1] = 40
    image[:12, :, 2] = 250
    mask = np.zeros(SIZE, np.uint8)
    mask[:12] = 1
    found = counted([(image, mask)], "uint8", 3)
    assert [(c["lowest"], c["highest"]) for c in found["channels"]] == [(0, 0), (40, 40), (0, 250)]
    blue = found["channels"][2]
    assert blue["inside"][-2] == 1 and blue["outside"][0] == 1 and found["windows"] == []


def test_the_window_in_which_planted_objects_separate_is_found():
    full, narrow = counted([planted(seed) for seed in range(6)])["windows"]
    assert full["high"] > 8000 and full["separates"] < 0.3
    assert narrow["low"] <= 120 and 160 <= narrow["high"] < 3000 and narrow["separates"] > full["separates"] + 0.2


def test_negative_values_are_told_as_they_are_stored():
    pairs = [((image.astype(int) - 1000).astype(np.int16), mask) for image, mask in map(planted, range(4))]
    found = counted(pairs, "int16")
    assert found["channels"][0]["lowest"] < -800 and found["windows"][1]["low"] < 0


def test_objects_that_the_full_range_shows_need_no_second_window():
    rng = np.random.default_rng(1)
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 10:30] = 1
    image = (rng.normal(2000, 200, SIZE) + 9000.0 * mask).clip(0).astype(np.uint16)[..., None]
    windows = counted([(image, mask)])["windows"]
    assert len(windows) == 1 and windows[0]["separates"] > 0.95


def test_nothing_is_suggested_where_no_label_says_what_an_object_is():
    image, mask = planted(0)
    assert counted([(image, None)])["windows"] == [] and counted([(image, mask * 0)])["windows"] == []
    assert suggest_windows(np.zeros(9), np.ones(9)) == []


def test_separation_is_that_of_two_histograms_and_a_window_that_misses_them_sees_nothing():
    one, other = np.zeros(1000, int), np.zeros(1000, int)
    one[100:200], other[400:500] = 1, 1
    assert separation(one, other, 0, 999) == pytest.approx(1)
    assert separation(one, one, 0, 999) == 0 and separation(one, other, 600, 900) == 0
