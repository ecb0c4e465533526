"""Perceptual hashes and their groups: against comparing all pairs, and on images that were changed a little."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse.csgraph import connected_components

from kagglekit.data import duplicates
from kagglekit.data.duplicates import MOST, group, near_pairs, perceptual_hash
from tests.benchmarks.near_duplicates import planted


def brute(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Groups by comparing every pair."""
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= distance
    return connected_components(near, directed=False)[1]


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    """Groups as sets of positions, whatever their numbers."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


few_bits = arrays.arrays(np.uint64, st.integers(1, 40), elements=st.integers(0, 2**64 - 1))


@settings(max_examples=25, deadline=None)
@given(few_bits, st.integers(0, MOST), st.integers(0, 2**32))
def test_groups_are_those_that_comparing_all_pairs_finds(hashes, distance, seed):
    rng = np.random.default_rng(seed)
    flips = np.uint64(1) << rng.integers(0, 64, len(hashes)).astype(np.uint64)
    hashes = np.concatenate([hashes, hashes ^ flips, hashes[:3]])
    assert partition(group(hashes, distance)) == partition(brute(hashes, distance))


@pytest.mark.parametrize("distance", [0, 3, 4, 8, 11, 15])
def test_no_pair_within_the_distance_is_missed_and_none_beyond_is_given(distance):
    hashes, _ = planted(600, 0.5, 15, seed=distance)
    hashes = np.unique(hashes)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = {(i, j) for i, j in zip(*np.nonzero(apart <= distance), strict=True) if i < j}
    found = {tuple(sorted(pair)) for i, j in near_pairs(hashes, distance) for pair in zip(i, j, strict=True)}
    assert found == expected and (distance == 0 or expected)


def test_chains_are_one_group_although_their_ends_are_far_apart():
    chain = np.array([(1 << k) - 1 for k in range(0, 60, 4)], np.uint64)
    assert len(set(group(chain, 4).tolist())) == 1
    assert len(set(group(chain, 3).tolist())) == len(chain)


def test_who_agrees_has_the_last_word_on_pairs():
    hashes = np.array([0, 1, 1, 1 << 40], np.uint64)
    never = group(hashes, 2, lambda i, j: np.zeros(len(i), bool))
    assert len(set(never.tolist())) == 4
    odd = group(hashes, 2, lambda i, j: (i % 2) == (j % 2))
    assert partition(odd) == {frozenset({0}), frozenset({1, 3}), frozenset({2})}
    assert partition(group(hashes, 2)) == {frozenset({0, 1, 2, 3})}


def test_many_near_pairs_are_reduced_to_a_forest_without_losing_a_group(monkeypatch):
    hashes, _ = planted(500, 0.8, 2, seed=1)
    whole = partition(group(hashes, 6))
    monkeypatch.setattr(duplicates, "FOREST", 10)
    monkeypatch.setattr(duplicates, "BLOCK", 50)
    assert partition(group(hashes, 6)) == whole


def test_no_hashes_make_no_groups_and_equal_ones_make_one():
    assert group(np.zeros(0, np.uint64), 5).tolist() == []
    assert len(set(group(np.full(5000, 7, np.uint64), 0).tolist())) == 1


@pytest.mark.parametrize("distance", [-1, MOST + 1])
def test_distances_beyond_what_can_be_searched_are_refused(distance):
    with pytest.raises(ValueError, match=f"distance must lie in 0..{MOST} bits, got {distance}"):
        group(np.zeros(3, np.uint64), distance)


def test_twenty_thousand_hashes_are_grouped_in_seconds_and_every_planted_copy_is_found():
    hashes, of = planted(20_000, 0.1, 8)
    labels = group(hashes, 8)
    assert (labels == labels[of]).all()
    assert max(Counter(labels.tolist()).values()) < 20


def scene(seed: int, size=(200, 260)) -> np.ndarray:
    """A smooth image of coloured blobs."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def bits(one: np.ndarray, other: np.ndarray) -> int:
    """In how many bits the hashes of two images differ."""
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_an_image_that_was_lit_shrunk_shifted_or_compressed_keeps_most_of_its_hash(seed):
    image = scene(seed)
    changed = {
        "lit": np.clip(image * 0.8 + 20, 0, 255).astype(np.uint8),
        "shrunk": cv2.resize(image, (130, 100), interpolation=cv2.INTER_AREA),
        "shifted": np.roll(image, (2, 2), (0, 1)),
        "compressed": cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
    }
    assert {name: bits(image, other) <= 8 for name, other in changed.items()} == dict.fromkeys(changed, True)
    assert bits(image, scene(seed + 100)) > 12


def test_depth_and_number_of_channels_do_not_matter():
    image = scene(3)
    gray = image.mean(-1, keepdims=True)
    assert bits(image, (gray * 200).astype(np.uint16)) <= 4
    assert bits(image, gray.astype(np.uint8)) <= 4
    assert bits(image, np.concatenate([image, image], -1)) <= 4


def test_an_image_of_one_colour_has_the_hash_zero():
    assert perceptual_hash(np.full((40, 50, 3), 7, np.uint8)) == 0


@pytest.mark.parametrize("floor", [0, 300, 20_000])
def test_deep_images_on_a_bright_background_are_told_apart_and_copies_are_found(floor):
    """Cut at 255, as conversions to 8 bits do it, all of these would be one white image."""
    rng = np.random.default_rng(3)

    def deep() -> np.ndarray:
        rough = rng.integers(0, 4000, (6, 6)).astype(np.float32)
        return (floor + cv2.resize(rough, (120, 100), interpolation=cv2.INTER_CUBIC).clip(0)).astype(np.uint16)[
            ..., None
        ]

    images = [deep() for _ in range(8)]
    hashes = [perceptual_hash(image) for image in images]
    assert min((a ^ b).bit_count() for n, a in enumerate(hashes) for b in hashes[:n]) > 10
    fields_read = [duplicates.hash_and_thumb(image)[0] for image in images]
    assert min((a ^ b).bit_count() for n, a in enumerate(fields_read) for b in fields_read[:n]) > 10
    for image, known in zip(images, hashes, strict=True):
        assert (perceptual_hash(image + np.uint16(7)) ^ known).bit_count() <= 2
