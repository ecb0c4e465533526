"""Scores against versions written for clarity alone, and the interval around them."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kagglekit.metrics import MeanIoU, better, score_with_interval

shapes = st.tuples(st.integers(1, 7), st.integers(1, 9))
pairs = shapes.flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)) for _ in range(2)])
)
scores = st.lists(st.floats(0, 1), min_size=1, max_size=40).map(lambda found: np.array(found)[:, None])


def brute_force_iou(truth, mask, both_empty=1.0) -> float:
    """Intersection over union, one pixel after the other."""
    both = either = 0
    height, width = truth.shape
    for y, x in itertools.product(range(height), range(width)):
        both += bool(truth[y, x]) and bool(mask[y, x])
        either += bool(truth[y, x]) or bool(mask[y, x])
    return both / either if either else both_empty


def full(shape, value):
    """A constant mask."""
    return np.full(shape, value, np.uint8)


@given(pairs)
@example((full((1, 1), 0), full((1, 1), 0)))
@example((full((1, 1), 1), full((1, 1), 1)))
@example((full((1, 1), 1), full((1, 1), 0)))
@example((full((3, 8), 0), full((3, 8), 0)))
@example((full((3, 8), 0), full((3, 8), 1)))
@example((full((8, 3), 1), full((8, 3), 1)))
def test_iou_is_that_of_counting_pixel_by_pixel(masks):
    assert MeanIoU().compare(*masks).tolist() == [brute_force_iou(*masks)]


@given(pairs)
def test_iou_lies_in_0_to_1_is_symmetric_and_1_for_equal_masks(masks):
    truth, mask = masks
    value = MeanIoU().compare(truth, mask).item()
    assert 0 <= value <= 1
    assert value == MeanIoU().compare(mask, truth).item()
    assert MeanIoU().compare(truth, truth).item() == 1
    assert (value == 1) == bool((truth == mask).all())


@given(pairs)
def test_iou_does_not_depend_on_how_foreground_is_written(masks):
    truth, mask = masks
    value = MeanIoU().compare(truth, mask)
    assert value == MeanIoU().compare(truth * 255, mask.astype(bool))


@pytest.mark.parametrize("both_empty", [0.0, 0.5, 1.0])
def test_two_empty_masks_count_as_the_metric_says(both_empty):
    metric = MeanIoU(both_empty=both_empty)
    assert metric.compare(full((4, 5), 0), full((4, 5), 0)).tolist() == [both_empty]
    assert metric.compare(full((4, 5), 0), full((4, 5), 1)).tolist() == [0.0]


def test_the_score_is_the_mean_over_pictures_and_not_over_pixels():
    metric = MeanIoU()
    small, large = (full((1, 1), 1), full((1, 1), 1)), (full((100, 100), 1), full((100, 100), 0))
    assert metric.reduce(np.stack([metric.compare(*small), metric.compare(*large)])) == 0.5


def test_masks_of_different_sizes_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        MeanIoU().compare(full((2, 3), 1), full((3, 2), 1))


@settings(max_examples=40, deadline=None)
@given(scores)
@example(np.array([[0.3]]))
@example(np.full((17, 1), 0.1))
@example(np.eye(40)[:, :1])
def test_the_interval_contains_the_score_and_lies_within_the_values(statistics):
    score = score_with_interval(MeanIoU(), statistics, resamples=200)
    assert score.low <= score.value <= score.high
    rounding = 1e-12
    assert statistics.min() - rounding <= score.low and score.high <= statistics.max() + rounding
    assert score.count == len(statistics) and score.value == statistics.mean()


def test_the_interval_of_one_picture_is_a_point():
    score = score_with_interval(MeanIoU(), np.array([[0.7]]))
    assert (score.low, score.value, score.high) == (0.7, 0.7, 0.7)


def test_the_interval_shrinks_with_the_square_root_of_the_pictures():
    rng = np.random.default_rng(0)
    width = {}
    for n in (25, 100, 400, 1600):
        score = score_with_interval(MeanIoU(), rng.random((n, 1)))
        width[n] = score.high - score.low
    ratios = [a / b for a, b in itertools.pairwise(width.values())]
    assert len(ratios) == 3 and all(1.5 < ratio < 2.7 for ratio in ratios), ratios


def test_the_interval_has_about_the_width_that_theory_gives():
    statistics = np.random.default_rng(1).random((500, 1))
    score = score_with_interval(MeanIoU(), statistics)
    theory = 2 * 1.96 * statistics.std() / len(statistics) ** 0.5
    assert 0.85 < (score.high - score.low) / theory < 1.15


def test_the_interval_depends_on_nothing_but_the_statistics_and_the_seed():
    statistics = np.random.default_rng(2).random((60, 1))
    first = score_with_interval(MeanIoU(), statistics, seed=3)
    np.random.seed(99)
    assert score_with_interval(MeanIoU(), statistics, seed=3) == first
    assert score_with_interval(MeanIoU(), statistics, seed=4) != first


def test_a_large_set_is_resampled_less_often_so_that_it_ends():
    calls = 0

    class Counting(MeanIoU):
        def reduce(self, statistics):
            nonlocal calls
            calls += 1
            return super().reduce(statistics)

    score_with_interval(Counting(), np.zeros((200_000, 1)))
    assert calls == 1 + 200
    calls = 0
    score_with_interval(Counting(), np.zeros((10, 1)))
    assert calls == 1 + 1000


@pytest.mark.parametrize("greater", [True, False])
def test_better_is_strict_and_follows_the_direction_of_the_metric(greater):
    metric = MeanIoU(greater_is_better=greater)
    assert better(metric, 2.0, 1.0) is greater
    assert better(metric, 1.0, 2.0) is not greater
    assert not better(metric, 1.0, 1.0)
