"""One polygon per image: without the technique a plain one around the largest region, with it all of them joined."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Prediction, RecipeError
from kagglekit.metrics import MeanIoU
from kagglekit.plugin.registry import discover
from kagglekit.predict.postprocess import Threshold, describe, gate, restore
from kagglekit_hair_seg.regions import OneRegion, every_region, largest
from kagglekit_hair_seg.submission import PolygonJson
from tests.hair_seg.test_submission import SIZE, hairdo, iou
from tests.helpers import solution
from tests.toy_data import disc

FORM = PolygonJson(Path("none"), min_area=0)
TWO_DISCS = disc(SIZE, 180, 150, 60) | disc(SIZE, 330, 380, 45)
RING = disc(SIZE, 256, 256, 120) - disc(SIZE, 256, 256, 70)


def solved(*techniques):
    return solution(discover(), "hair-seg", techniques=list(techniques), encoder_weights="none")


def submitted(mask: np.ndarray, *techniques) -> np.ndarray:
    """What the scorer sees of a network that is sure of `mask`."""
    process = solved(*techniques).postprocess()
    return FORM.decode(FORM.encode(process(Prediction(mask[None].astype(np.float32), SIZE))), SIZE)


@pytest.mark.parametrize(
    ("mask", "alone"), [(TWO_DISCS, disc(SIZE, 180, 150, 60)), (RING, disc(SIZE, 256, 256, 120))], ids=["two", "ring"]
)
def test_with_bridges_everything_is_submitted_and_without_them_the_largest_region_without_holes(mask, alone):
    assert iou(submitted(mask, "bridge"), mask) > 0.985
    assert np.array_equal(submitted(mask), alone)
    assert iou(submitted(mask), mask) < 0.75


def test_holes_cost_nothing_to_join():
    assert np.array_equal(submitted(RING, "bridge"), RING)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_cut_down_to_one_region_is_encoded_without_loss(seed):
    mask = largest(hairdo(seed))
    assert np.array_equal(FORM.decode(FORM.encode(mask), SIZE), mask)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14))
def test_the_largest_region_is_one_region_that_holds_all_it_encloses(seed, height, width):
    import cv2

    mask = (np.random.default_rng(seed).random((height, width)) < 0.6).astype(np.uint8)
    region = largest(mask)
    assert region.dtype == np.uint8 and region.shape == mask.shape
    assert cv2.connectedComponents(region, connectivity=8)[0] == 1 + mask.any()
    assert cv2.connectedComponents(1 - np.pad(region, 1), connectivity=4)[0] == 2, "nothing is enclosed"
    sizes = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, 4]
    assert np.count_nonzero(region & mask) >= max(sizes, default=0)
    assert np.array_equal(largest(region), region)


def test_an_empty_mask_stays_empty():
    assert not largest(np.zeros((5, 7), np.uint8)).any()
    assert not submitted(np.zeros(SIZE, np.uint8)).any()


@pytest.mark.parametrize("fidelity", ["demo", "trial", "full"])
def test_the_recipe_joins_regions_so_that_its_masks_are_those_of_the_threshold_alone(fidelity):
    from kagglekit.cli.common import compose_recipe
    from kagglekit.plugin.solution import resolve

    recipe, _, _ = compose_recipe(discover(), "hair-seg", fidelity, (), (), ["encoder_weights=none"], None)
    assert [spec.name for spec in recipe.techniques] == ["bridge", "flip-tta", "epoch-ensemble"]
    assert resolve(recipe, discover()).postprocess() == Threshold(0.5, "binary")


def blurred(count: int = 12):
    """Predictions whose truth is one region, cut at 0.65, beside a smaller false alarm."""
    predictions, truths = [], []
    for i in range(count):
        rows, columns = np.mgrid[:64, :64]
        away = np.hypot(rows - 25 - i % 3, columns - 25)
        probs = np.clip(1 - away / 40, 0, 1).astype(np.float32)
        truths.append((probs > 0.65).astype(np.uint8))
        probs[55:60, 55:60] = 0.9
        predictions.append(Prediction(probs[None], (64, 64), f"p{i}"))
    return predictions, truths


def test_the_threshold_is_fitted_inside_and_survives_a_round_trip_through_json():
    predictions, truths = blurred()
    process = solved().postprocess()
    assert process == OneRegion(Threshold(0.5, "binary"))
    result = gate(process, predictions, truths, MeanIoU())
    assert result.kept and result.chosen == OneRegion(Threshold(0.65, "binary"))
    assert result.after == 1.0, "the false alarm is not the largest region"
    assert describe(result.chosen) == {"inner": {"threshold": 0.65, "task": "binary"}}
    assert restore(process, json.loads(json.dumps(describe(result.chosen)))) == result.chosen
    joined = gate(solved("bridge").postprocess(), predictions, truths, MeanIoU())
    assert joined.chosen == Threshold(0.65, "binary") and joined.after < 1


@dataclass(frozen=True)
class Around:
    """Any technique's post-processing that keeps another one."""

    inner: object
    settings: tuple = (1, 2)

    def __call__(self, prediction):
        return self.inner(prediction)


def test_a_post_processing_that_cannot_be_fitted_is_kept_as_it_is():
    process = OneRegion(Around(Threshold()))
    assert process.fit([], [], MeanIoU()) is process


def test_regions_are_kept_whatever_was_wrapped_around_the_competitions_answer_before():
    assert every_region(Around(Around(OneRegion(Threshold(0.4))))) == (Around(Around(Threshold(0.4))), 1)
    same = Around(Threshold())
    assert every_region(same) == (same, 0) and every_region(len) == (len, 0)
    before = solved("min-area", "bridge").postprocess()
    assert replace(before, inner=OneRegion(before.inner)) == solved("min-area").postprocess()


def test_a_competition_without_polygons_has_nothing_to_join():
    other = solution(discover(), "clouds", techniques=["bridge"], encoder_weights="none")
    with pytest.raises(RecipeError, match=r"techniques\.bridge: no mask is cut down .* use --without bridge"):
        other.postprocess()
