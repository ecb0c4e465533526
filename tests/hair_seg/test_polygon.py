"""Masks as one polygon: laws of tracing, filling and bridging."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from kagglekit_hair_seg import polygon
from tests.toy_data import disc

masks = st.builds(
    lambda h, w, density, seed: (np.random.default_rng(seed).random((h, w)) < density).astype(np.uint8),
    st.integers(1, 24),
    st.integers(1, 24),
    st.floats(0.05, 1.0),
    st.integers(0, 2**31),
)


def one_region(mask: np.ndarray) -> np.ndarray:
    """The largest 8-connected region of a mask, holes and all; a pixel where the mask is empty."""
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    if count == 1:
        mask = mask.copy()
        mask[0, 0] = 1
        return mask
    return (labels == 1 + np.bincount(labels.ravel())[1:].argmax()).astype(np.uint8)


def blob(seed: int, size: int = 96) -> np.ndarray:
    """A smooth shape, in general of several regions with holes."""
    noise = np.random.default_rng(seed).random((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return (smooth > np.median(smooth)).astype(np.uint8)


def pairs(points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The edges of a polygon."""
    return list(zip(points, np.roll(points, -1, 0), strict=True))


def segment(a, b) -> np.ndarray:
    """Places on the straight line from a to b, at most a quarter pixel apart."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    steps = max(2, math.ceil(np.abs(b - a).max()) * 4)
    return np.linspace(a, b, steps)


def steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pixels on an edge that runs straight or diagonally."""
    count = int(np.abs(b - a).max())
    return a + np.sign(b - a) * np.arange(count + 1)[:, None]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@settings(max_examples=300, deadline=None)
@given(masks)
def test_one_region_of_any_shape_comes_back_pixel_by_pixel(mask):
    region = one_region(mask)
    assert np.array_equal(polygon.fill(polygon.trace(region), region.shape), region)


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((1, 1), np.uint8),
        np.ones((1, 9), np.uint8),
        np.ones((9, 1), np.uint8),
        np.ones((7, 5), np.uint8),
        np.eye(6, dtype=np.uint8),
        np.pad(np.ones((1, 1), np.uint8), 3),
        np.pad(np.ones((1, 2), np.uint8), 3),
        1 - np.pad(np.ones((3, 3), np.uint8), 1),
        np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8),
        np.tri(8, dtype=np.uint8),
    ],
    ids=[
        "pixel",
        "row",
        "column",
        "full",
        "diagonal",
        "inner pixel",
        "two pixels",
        "frame",
        "one-pixel hole",
        "corner",
    ],
)
def test_the_smallest_and_the_thinnest_shapes_come_back_pixel_by_pixel(mask):
    points = polygon.trace(mask)
    assert len(points) >= 3
    assert np.array_equal(polygon.fill(points, mask.shape), mask)


@pytest.mark.parametrize("touch", [(0, 0), (0, 20), (20, 0), (39, 49), (20, 49), (39, 20)])
def test_shapes_that_touch_borders_and_corners_come_back_pixel_by_pixel(touch):
    mask = disc((40, 50), *touch, 12)
    assert np.array_equal(polygon.fill(polygon.trace(mask), mask.shape), mask)


@settings(max_examples=300, deadline=None)
@given(masks)
def test_the_polygon_covers_every_region_and_adds_pixels_on_bridges_alone(mask):
    rings, _ = polygon._rings(mask, 0.0, 0)
    if not rings:
        assert len(polygon.trace(mask)) == 0
        return
    points = polygon.bridge(rings)
    filled = polygon.fill(points, mask.shape)
    assert (filled >= mask).all(), "a pixel of the mask is lost"
    # All edges but those of bridges join neighbouring pixels of the mask, so what is added can only lie on bridges.
    walked = {tuple(pixel) for a, b in pairs(points) for pixel in steps(a, b).tolist()}
    extra = {(x, y) for y, x in np.argwhere(filled > mask).tolist()}
    assert extra <= walked


@settings(max_examples=200, deadline=None)
@given(masks)
def test_tracing_is_never_worse_than_keeping_the_largest_region_alone(mask):
    if not mask.any():
        return
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    most = max((labels == i).sum() for i in range(1, count))
    filled = polygon.fill(polygon.trace(mask), mask.shape)
    assert any(filled[labels == i].all() for i in range(1, count) if (labels == i).sum() == most)
    # Counts of pixels by Pick's theorem and lengths of bridges are rounded: a pixel per region and hole.
    rings, _ = polygon._rings(mask, 0.0, 0)
    assert (filled != mask).sum() <= mask.sum() - most + len(rings)


def test_the_ends_of_a_bridge_are_the_nearest_points_of_two_regions():
    mask = disc((60, 120), 30, 25, 15) | disc((60, 120), 30, 90, 15)
    points = polygon.trace(mask)
    edges = np.abs(points - np.roll(points, -1, 0)).max(1)
    long = np.flatnonzero(edges > 1)
    assert len(long) == 2, "one bridge: out and back"
    there, back = ({tuple(points[i].tolist()), tuple(points[(i + 1) % len(points)].tolist())} for i in long)
    assert there == back == {(40, 30), (75, 30)}


def test_a_slanting_bridge_runs_diagonally_then_straight_and_back_the_same_way():
    mask = disc((120, 120), 30, 25, 15) | disc((120, 120), 70, 95, 15)
    points = polygon.trace(mask)
    ways = np.roll(points, -1, 0) - points
    long = np.flatnonzero(np.abs(ways).max(1) > 1)
    assert len(long) == 4, "two edges out, the same two back"
    for way in ways[long]:
        assert 0 in way or abs(way[0]) == abs(way[1])
    assert np.array_equal(ways[long][:2], -ways[long][:1:-1])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_holes_survive_wherever_they_lie(seed):
    rng = np.random.default_rng(seed)
    mask = disc((80, 80), 40, 40, 36)
    for _ in range(4):
        y, x = rng.integers(25, 56, 2)
        mask &= 1 - disc((80, 80), y, x, int(rng.integers(1, 7)))
    region = one_region(mask)
    assert cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[1].shape[1] > 1, "no hole to lose"
    assert np.array_equal(polygon.fill(polygon.trace(region), region.shape), region)


def test_an_island_within_a_hole_survives():
    mask = disc((90, 90), 45, 45, 40) & (1 - disc((90, 90), 45, 45, 28)) | disc((90, 90), 45, 45, 18)
    filled = polygon.fill(polygon.trace(mask), mask.shape)
    assert (filled >= mask).all()
    assert 0 < (filled > mask).sum() <= 12, "one bridge over the ten pixels between ring and island"


def test_a_region_worth_less_than_its_bridge_is_left_out():
    large = disc((100, 200), 50, 30, 20)
    near, far = large.copy(), large.copy()
    near[48:52, 55:59] = 1  # 16 pixels, 5 away
    far[48:52, 150:154] = 1  # 16 pixels, 100 away
    assert polygon.fill(polygon.trace(near), near.shape)[48:52, 55:59].all()
    assert np.array_equal(polygon.fill(polygon.trace(far), far.shape), large)


def test_regions_below_the_smallest_area_are_left_out_but_never_the_largest():
    mask = np.zeros((60, 60), np.uint8)
    mask[10:15, 10:15] = 1
    mask[10:13, 20:23] = 1
    largest_alone = mask.copy()
    largest_alone[:, 18:] = 0
    for min_area, expected in ((9, 2), (10, 1), (25, 1), (1000, 1)):
        filled = polygon.fill(polygon.trace(mask, 0.0, min_area), mask.shape)
        assert cv2.connectedComponents(mask & filled)[0] - 1 == expected, min_area
    assert np.array_equal(polygon.fill(polygon.trace(mask, 0.0, 1000), mask.shape), largest_alone)


def test_small_holes_are_filled_from_the_smallest_area_on():
    mask = disc((80, 80), 40, 40, 30) & (1 - disc((80, 80), 40, 40, 4))
    whole = disc((80, 80), 40, 40, 30)
    assert np.array_equal(polygon.fill(polygon.trace(mask, 0.0, 10), mask.shape), mask)
    assert np.array_equal(polygon.fill(polygon.trace(mask, 0.0, 500), mask.shape), whole)


def test_the_hole_of_a_region_that_is_left_out_leaves_with_it():
    mask = disc((120, 120), 40, 40, 30)
    small = disc((120, 120), 100, 100, 9) & (1 - disc((120, 120), 100, 100, 7))
    filled = polygon.fill(polygon.trace(mask | small, 0.0, 150), mask.shape)
    assert np.array_equal(filled, mask)


def test_an_empty_mask_has_no_points_and_no_points_are_an_empty_mask():
    points = polygon.trace(np.zeros((9, 7), np.uint8))
    assert points.shape == (0, 2)
    for few in (points, np.zeros((1, 2), int), np.array([[1, 1], [5, 5]])):
        assert not polygon.fill(few, (9, 7)).any()
        assert polygon.fill(few, (9, 7)).shape == (9, 7)


def test_any_value_above_zero_is_foreground():
    mask = disc((40, 40), 20, 20, 10)
    assert np.array_equal(polygon.trace(mask * 255), polygon.trace(mask))
    assert np.array_equal(polygon.trace(mask.astype(bool)), polygon.trace(mask))


def test_a_larger_epsilon_never_needs_more_points_nor_moves_the_outline_beyond_itself():
    epsilons = (0.0, 0.555, 1.0, 2.0, 4.0, 8.0)
    swept = 0
    for seed in range(25):
        region = one_region(blob(seed))
        counts = [len(polygon.trace(region, epsilon, 10_000)) for epsilon in epsilons]
        assert counts == sorted(counts, reverse=True), (seed, counts)
        for epsilon in epsilons[1:]:
            outline = np.concatenate([segment(a, b) for a, b in pairs(polygon.trace(region, epsilon, 10_000))])
            away = cKDTree(outline).query(polygon.trace(region, 0.0, 10_000))[0]
            assert away.max() <= epsilon + 0.2, "a boundary pixel lies farther from the outline than epsilon"
            swept += 1
    assert swept == 125


def test_simplification_costs_as_little_as_was_measured_on_blobs():
    losses = {0.0: [], 0.555: [], 1.0: [], 2.0: []}
    for seed in range(20):
        noise = np.random.default_rng(seed).random((256, 256)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 14) * disc((256, 256), 128, 128, 110)
        region = one_region((smooth > np.quantile(smooth, 0.55)).astype(np.uint8))
        for epsilon, kept in losses.items():
            kept.append(iou(polygon.fill(polygon.trace(region, epsilon), region.shape), region))
    means = {epsilon: np.mean(values) for epsilon, values in losses.items()}
    assert means[0.0] == 1.0
    assert means[0.555] > 0.995
    assert means[1.0] > 0.985
    assert means[2.0] > 0.97
    assert means[0.0] > means[0.555] > means[1.0] > means[2.0]


def test_two_discs_joined_by_a_closed_bridge_lose_the_pixels_of_the_bridge_alone():
    mask = disc((512, 512), 256, 150, 90) | disc((512, 512), 256, 380, 40)
    bridged = polygon.fill(polygon.trace(mask), mask.shape)
    largest_alone = polygon.fill(polygon.trace(mask, 0.0, 10_000), mask.shape)
    assert (bridged >= mask).all()
    assert (bridged > mask).sum() <= 380 - 40 - (150 + 90)
    assert iou(bridged, mask) > 0.996 > 0.85 > iou(largest_alone, mask)
    near = disc((512, 512), 256, 150, 90) | disc((512, 512), 256, 300, 40)
    assert iou(polygon.fill(polygon.trace(near), near.shape), near) >= 0.999


def test_a_ring_with_a_hole_loses_nothing_and_its_outer_line_alone_a_lot():
    mask = disc((512, 512), 256, 256, 150) & (1 - disc((512, 512), 256, 256, 60))
    assert iou(polygon.fill(polygon.trace(mask), mask.shape), mask) == 1.0
    outer_alone = polygon.fill(polygon.trace(mask, 0.0, 60_000), mask.shape)
    assert iou(outer_alone, mask) == pytest.approx(1 - 60**2 / 150**2, abs=0.005)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), min_size=3, max_size=9))
def test_the_area_is_the_shoelace_sum_whatever_corner_comes_first(corners):
    points = np.array(corners, np.int16)
    by_hand = 0
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        by_hand += x1 * y2 - x2 * y1
    assert polygon.area(points) == abs(by_hand) / 2
    assert polygon.area(np.roll(points, 1, 0)) == polygon.area(points[::-1]) == polygon.area(points)


def test_the_area_of_large_coordinates_does_not_overflow():
    square = np.array([[0, 0], [30_000, 0], [30_000, 30_000], [0, 30_000]], np.int16)
    assert polygon.area(square) == 9e8


def test_filling_draws_boundary_pixels_and_cuts_what_is_outside():
    square = np.array([[2, 3], [6, 3], [6, 7], [2, 7]])
    mask = polygon.fill(square, (12, 10))
    assert mask.sum() == 25
    assert mask[3:8, 2:7].all()
    beyond = polygon.fill(square + np.array([6, 0]), (12, 10))
    assert beyond.sum() == 10
    assert beyond[3:8, 8:].all()


def test_crossings_are_filled_even_odd():
    star = np.array([[50, 5], [76, 87], [7, 36], [93, 36], [24, 87]])
    mask = polygon.fill(star, (100, 100))
    assert mask[10, 50] == 1
    assert mask[50, 50] == 0, "the middle of a five-pointed star is crossed twice"


def test_a_small_region_beside_a_far_large_one_joins_after_it():
    mask = np.zeros((200, 400), np.uint8)
    cv2.circle(mask, (40, 100), 35, 1, -1)
    cv2.circle(mask, (200, 100), 5, 1, -1)  # nearer to the first, and not worth a bridge to it
    cv2.circle(mask, (240, 100), 30, 1, -1)
    again = polygon.fill(polygon.trace(mask), mask.shape)
    assert (again >= mask).all()


def test_a_polygon_that_would_take_minutes_to_fill_is_told_and_no_outline_is():
    rng, size = np.random.default_rng(0), (512, 512)
    for count, reason in ((100_000, "pass rows of pixels"), (1_000_001, "an outline has at most 1,000,000")):
        assert reason in polygon.too_much(rng.integers(0, 512, (count, 2)).astype(np.int16), size)
    leaning = np.stack([np.arange(400_000) % 512, np.arange(400_000) % 2], 1)
    assert "400,000 points" in polygon.too_much(leaning, size)
    ring = 256 + 200 * np.stack([np.cos(np.linspace(0, 6, 900_000)), np.sin(np.linspace(0, 6, 900_000))], 1)
    assert polygon.too_much(ring, size) == "" and polygon.too_much(ring[:0], size) == ""
    assert polygon.too_much(polygon.trace((rng.random((256, 256)) < 0.5).astype(np.uint8)), size) == ""
