"""Facts of labels: planted classes, areas, pieces and places come out as they were planted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kagglekit import Sample
from kagglekit.eda import labels
from kagglekit.eda.summaries import summarize_label


def summaries(*masks: np.ndarray, task: str = "multilabel", classes: int = 2):
    """The looks of these masks."""
    return [summarize_label(Sample(f"s{i}", Path("x"), m.shape[:2], i), m, task, classes) for i, m in enumerate(masks)]


def stack(*planes: np.ndarray) -> np.ndarray:
    return np.stack(planes, -1).astype(np.uint8)


def box(top: int, left: int, bottom: int, right: int, size=(40, 40)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


NOTHING = np.zeros((40, 40), np.uint8)
CORNER, MIDDLE = box(0, 0, 10, 10), box(15, 15, 25, 25)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_two_classes_come_together_as_often_as_images_show_both(shown):
    table = labels.together(shown)
    for i in range(shown.shape[1]):
        for j in range(shown.shape[1]):
            assert table[i][j] == sum(bool(row[i] and row[j]) for row in shown)


def test_presence_is_what_masks_show_and_what_samples_state_when_they_do():
    found = summaries(stack(CORNER, NOTHING), stack(NOTHING, NOTHING), stack(CORNER, MIDDLE))
    assert labels.presence(found).tolist() == [[True, False], [False, False], [True, True]]
    stating = [Sample("a", Path("a"), (4, 4), 0, classes=(0, 2)), Sample("b", Path("b"), (4, 4), 0)]
    assert labels.stated(stating, 2, 1).tolist() == [[False, True], [False, False]]
    assert labels.stated([stating[1]], 2, 1) is None


def test_classes_are_counted_by_image_and_by_pixel():
    found = summaries(stack(CORNER, NOTHING), stack(CORNER, MIDDLE), stack(NOTHING, NOTHING), stack(NOTHING, NOTHING))
    corner, middle = labels.class_facts(found, ("corner", "middle"), labels.presence(found))
    assert (corner["count"], corner["pictures"], middle["pictures"]) == (2, 0.5, 0.25)
    assert corner["pixels"] == pytest.approx(0.5 * 100 / 1600) and middle["area"]["p50"] == pytest.approx(100 / 1600)
    assert corner["edges"] == {"top": 1, "bottom": 0, "left": 1, "right": 0, "any": 1}
    assert middle["edges"]["any"] == 0 and sum(corner["histogram"]) == 2


def test_a_class_that_no_label_shows_has_no_areas_and_no_mean_of_nothing():
    found = summaries(stack(CORNER, NOTHING))
    never = labels.class_facts(found, ("corner", "never"), labels.presence(found))[1]
    assert (never["count"], never["area"], never["pixels"], never["holes"]) == (0, {}, 0, 0)
    assert never["regions"]["most"] == 0 and never["edges"]["any"] == 0
    empty = labels.class_facts([], ("a",), np.zeros((0, 1), bool))[0]
    assert empty["pictures"] == 0 and empty["pixels"] == 0


@given(st.lists(st.floats(1e-9, 1), max_size=30))
def test_the_histogram_of_areas_loses_none(areas):
    assert sum(labels.histogram(np.array(areas))) == len(areas)


def test_each_area_falls_between_its_neighbours():
    counts = labels.histogram(np.array([2e-4, 0.05, 0.9]))
    at = [k for k, n in enumerate(counts) if n]
    assert all(labels.AREAS[k] <= area < labels.AREAS[k + 1] for k, area in zip(at, (2e-4, 0.05, 0.9), strict=True))


def test_regions_tell_how_many_how_small_and_what_the_largest_leaves_over():
    facts = labels.region_facts([[0.3], [0.2, 0.1, 0.1], [0.1] * 7])
    assert facts["several"] == pytest.approx(2 / 3) and facts["most"] == 7 and facts["histogram"] == [1, 0, 1, 0, 1]
    assert facts["rest"] == pytest.approx((0 + 0.5 + 6 / 7) / 3) and facts["median_area"] == pytest.approx(0.1)
    assert 0.1 <= facts["small_area"] <= 0.11


def test_the_map_of_places_is_the_mean_mask_over_images_that_show_the_class():
    maps = labels.LabelMaps(2)
    for summary in summaries(stack(CORNER, NOTHING), stack(MIDDLE, NOTHING), stack(NOTHING, NOTHING)):
        maps.add(summary)
    corner, never = maps.maps()
    cells = np.array(corner)
    assert never == [] and cells.shape == (32, 32)
    assert cells[:7, :7].min() == 0.5 and cells[14:18, 14:18].min() == 0.5 and cells[:8, 20:].max() == 0
    assert cells.mean() == pytest.approx(100 / 1600, abs=2e-3)
