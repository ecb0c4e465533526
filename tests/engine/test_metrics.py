"""Scores against versions written for clarity alone, and the interval around them."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kagglekit.metrics import ClassIoU, MeanDice, MeanIoU, Pooled, better, class_scores, fallen, score_with_interval

shapes = st.tuples(st.integers(1, 7), st.integers(1, 9))
pairs = shapes.flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)) for _ in range(2)])
)
scores = st.lists(st.floats(0, 1), min_size=1, max_size=40).map(lambda found: with_scores(np.array(found)))


def with_scores(values: np.ndarray) -> np.ndarray:
    """Counts of images that have these IoUs."""
    return np.stack([values, np.ones_like(values)], -1)


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


def scored(metric, *masks) -> float:
    """The score of one image."""
    return metric.reduce(metric.compare(*masks)[None])


def brute_force_dice(truth, mask, both_empty=1.0) -> float:
    """Twice the pixels in both over those of each, one pixel after the other."""
    both = each = 0
    for t, m in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True):
        both += bool(t) and bool(m)
        each += bool(t) + bool(m)
    return 2 * both / each if each else both_empty


def brute_force_class_iou(images, classes, over) -> float:
    """The IoU of every class that occurs, averaged, from sets of pixels."""
    groups = [images] if over == "dataset" else [[image] for image in images]
    means = []
    for group in groups:
        ious = []
        for k in range(classes):
            truth = {(i, j) for i, (t, _) in enumerate(group) for j in np.flatnonzero(t.ravel() == k).tolist()}
            found = {(i, j) for i, (_, m) in enumerate(group) for j in np.flatnonzero(m.ravel() == k).tolist()}
            if truth | found:
                ious.append(len(truth & found) / len(truth | found))
        means.append(sum(ious) / len(ious))
    return sum(means) / len(means)


@given(pairs)
@example((full((1, 1), 0), full((1, 1), 0)))
@example((full((1, 1), 1), full((1, 1), 1)))
@example((full((1, 1), 1), full((1, 1), 0)))
@example((full((3, 8), 0), full((3, 8), 0)))
@example((full((3, 8), 0), full((3, 8), 1)))
@example((full((8, 3), 1), full((8, 3), 1)))
def test_iou_and_dice_are_those_of_counting_pixel_by_pixel(masks):
    assert scored(MeanIoU(), *masks) == brute_force_iou(*masks)
    assert scored(MeanDice(), *masks) == brute_force_dice(*masks)


@given(pairs)
def test_iou_and_dice_lie_in_0_to_1_are_symmetric_and_1_for_equal_masks(masks):
    truth, mask = masks
    for metric in (MeanIoU(), MeanDice()):
        value = scored(metric, truth, mask)
        assert 0 <= value <= 1
        assert value == scored(metric, mask, truth)
        assert scored(metric, truth, truth) == 1
        assert (value == 1) == bool((truth == mask).all())


@given(pairs)
def test_iou_does_not_depend_on_how_foreground_is_written(masks):
    truth, mask = masks
    value = MeanIoU().compare(truth, mask)
    assert (value == MeanIoU().compare(truth * 255, mask.astype(bool))).all()


@pytest.mark.parametrize("both_empty", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", [MeanIoU, MeanDice])
def test_two_empty_masks_count_as_the_metric_says(kind, both_empty):
    metric = kind(both_empty=both_empty)
    assert scored(metric, full((4, 5), 0), full((4, 5), 0)) == both_empty
    assert scored(metric, full((4, 5), 0), full((4, 5), 1)) == 0.0


def test_dice_of_several_classes_is_the_mean_over_pairs_of_image_and_class():
    truth, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)
    truth[:2, :, 0] = 1  # found by half
    mask[1:3, :, 0] = 1
    mask[:, :, 2] = 1  # a false alarm; class 1 is empty in both
    assert scored(MeanDice(), truth, mask) == pytest.approx((0.5 + 1 + 0) / 3)
    empty = np.zeros_like(mask)
    both = np.stack([MeanDice().compare(truth, mask), MeanDice().compare(empty, empty)])
    assert MeanDice().reduce(both) == pytest.approx((1.5 + 3) / 6)


label_maps = st.integers(1, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(*[hnp.arrays(np.uint8, (3, 4), elements=st.integers(0, classes - 1)) for _ in range(2)]),
            min_size=1,
            max_size=4,
        ),
    )
)


@settings(max_examples=60, deadline=None)
@given(label_maps, st.sampled_from(["dataset", "image"]))
def test_class_iou_is_that_of_sets_of_pixels_over_data_set_and_images(case, over):
    classes, images = case
    metric = ClassIoU(classes, over)
    counts = np.stack([metric.compare(truth, mask) for truth, mask in images])
    assert metric.reduce(counts) == pytest.approx(brute_force_class_iou(images, classes, over))


def test_a_class_in_neither_truth_nor_prediction_is_left_out():
    metric = ClassIoU(11)
    truth, mask = full((4, 4), 0), full((4, 4), 0)
    truth[:2] = mask[:1] = 7
    per_class = metric.per_class(metric.compare(truth, mask)[None])
    assert np.isnan(per_class).sum() == 9
    assert scored(metric, truth, mask) == pytest.approx((8 / 12 + 4 / 8) / 2)


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 9))
def test_counts_of_parts_add_up_to_those_of_the_whole(masks, cut):
    truth, mask = masks
    cut = min(cut, truth.shape[1])
    for metric in (MeanIoU(), MeanDice(), ClassIoU(2)):
        parts = metric.compare(truth[:, :cut], mask[:, :cut]) + metric.compare(truth[:, cut:], mask[:, cut:])
        assert (parts == metric.compare(truth, mask)).all()


def test_pooled_scores_images_as_if_they_were_one():
    small, large = (full((1, 1), 1), full((1, 1), 1)), (full((1, 99), 1), full((1, 99), 0))
    pooled = Pooled(MeanDice())
    counts = np.stack([pooled.compare(*small), pooled.compare(*large)])
    assert pooled.reduce(counts) == pytest.approx(2 * 1 / (100 + 1))
    assert pooled.greater_is_better and pooled.name == "mean Dice, pooled"


def test_the_score_is_the_mean_over_images_and_not_over_pixels():
    metric = MeanIoU()
    small, large = (full((1, 1), 1), full((1, 1), 1)), (full((100, 100), 1), full((100, 100), 0))
    assert metric.reduce(np.stack([metric.compare(*small), metric.compare(*large)])) == 0.5


@pytest.mark.parametrize("metric", [MeanIoU(), MeanDice(), ClassIoU(2)])
def test_masks_of_different_sizes_are_refused_with_both_sizes(metric):
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        metric.compare(full((2, 3), 1), full((3, 2), 1))


@settings(max_examples=40, deadline=None)
@given(scores)
@example(with_scores(np.array([0.3])))
@example(with_scores(np.full(17, 0.1)))
@example(with_scores(np.eye(40)[:, 0]))
def test_the_interval_contains_the_score_and_lies_within_the_values(statistics):
    score = score_with_interval(MeanIoU(), statistics, resamples=200)
    assert score.low <= score.value <= score.high
    rounding = 1e-12
    values = statistics[:, 0]
    assert values.min() - rounding <= score.low and score.high <= values.max() + rounding
    assert score.count == len(values) and score.value == values.mean()


def test_the_interval_of_one_image_is_a_point():
    score = score_with_interval(MeanIoU(), with_scores(np.array([0.7])))
    assert (score.low, score.value, score.high) == (0.7, 0.7, 0.7)


def test_the_interval_shrinks_with_the_square_root_of_the_images():
    rng = np.random.default_rng(0)
    width = {}
    for n in (25, 100, 400, 1600):
        score = score_with_interval(MeanIoU(), with_scores(rng.random(n)))
        width[n] = score.high - score.low
    ratios = [a / b for a, b in itertools.pairwise(width.values())]
    assert len(ratios) == 3 and all(1.5 < ratio < 2.7 for ratio in ratios), ratios


def test_the_interval_has_about_the_width_that_theory_gives():
    statistics = with_scores(np.random.default_rng(1).random(500))
    score = score_with_interval(MeanIoU(), statistics)
    theory = 2 * 1.96 * statistics[:, 0].std() / len(statistics) ** 0.5
    assert 0.85 < (score.high - score.low) / theory < 1.15


def test_the_interval_depends_on_nothing_but_the_statistics_and_the_seed():
    statistics = with_scores(np.random.default_rng(2).random(60))
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

    score_with_interval(Counting(), np.zeros((200_000, 2)))
    assert calls == 1 + 200
    calls = 0
    score_with_interval(Counting(), np.zeros((10, 2)))
    assert calls == 1 + 1000


@pytest.mark.parametrize("greater", [True, False])
def test_better_is_strict_and_follows_the_direction_of_the_metric(greater):
    metric = MeanIoU(greater_is_better=greater)
    assert better(metric, 2.0, 1.0) is greater
    assert better(metric, 1.0, 2.0) is not greater
    assert not better(metric, 1.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(label_maps, st.sampled_from(["dataset", "image"]))
def test_the_scores_of_classes_say_for_each_class_what_the_score_says_of_all(case, over):
    classes, images = case
    metric = ClassIoU(classes, over)
    counts = np.stack([metric.compare(truth, mask) for truth, mask in images])
    expected = np.full(classes, np.nan)
    for k in range(classes):
        parts = [(int(((t == k) & (m == k)).sum()), int(((t == k) | (m == k)).sum())) for t, m in images]
        parts = [(sum(i for i, _ in parts), sum(u for _, u in parts))] if over == "dataset" else parts
        ious = [i / u for i, u in parts if u]
        expected[k] = np.mean(ious) if ious else np.nan
    assert class_scores(metric, counts) == pytest.approx(expected, nan_ok=True)
    pooled = class_scores(Pooled(metric), counts)
    assert pooled == pytest.approx(class_scores(ClassIoU(classes), counts), nan_ok=True)


def test_dice_has_a_score_for_every_class_and_their_mean_is_the_score():
    rng = np.random.default_rng(0)
    counts = np.stack([MeanDice().compare(*(rng.integers(0, 2, (2, 5, 6, 3)).astype(np.uint8))) for _ in range(4)])
    assert class_scores(MeanDice(), counts).mean() == pytest.approx(MeanDice().reduce(counts))
    assert class_scores(MeanDice(), counts).shape == (3,)
    assert class_scores(MeanDice(), counts[:, 0]).tolist() == [MeanDice().reduce(counts[:, 0])]


def test_a_metric_without_scores_of_classes_lets_none_fall_and_a_new_false_alarm_is_no_fall_of_its_class():
    assert (
        class_scores(MeanIoU(), np.ones((2, 2))) is None and fallen(MeanIoU(), np.ones((2, 2)), np.zeros((2, 2))) == ()
    )
    metric, truth = ClassIoU(3), full((2, 2), 0)
    before, after = (metric.compare(truth, mask)[None] for mask in (full((2, 2), 0), full((2, 2), 1)))
    assert fallen(metric, before, after) == (0,), "class 1 had no score before, class 0 lost its own"
