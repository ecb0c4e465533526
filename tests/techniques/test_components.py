"""Regions and holes of masks: what is removed or filled, and that validation decides it class by class."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kagglekit import Prediction, RecipeError
from kagglekit.metrics import ClassIoU, MeanDice, MeanIoU
from kagglekit.plugin.registry import discover
from kagglekit.predict.postprocess import Argmax, Threshold, describe, gate, restore
from kagglekit.types import Tiling
from kagglekit_techniques import FillHoles, LargestComponent, MinArea
from kagglekit_techniques.components import AREAS, GRIDS, Mended
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.toy_data import disc, discs

KINDS = (MinArea, FillHoles, LargestComponent)
SIZE = (48, 64)
PIXELS = SIZE[0] * SIZE[1]
EIGHT = np.ones((3, 3), int)


class Given:
    """A post-processing that answers with the mask that the prediction carries as its image."""

    def __call__(self, prediction):
        return prediction.image.copy()


def mend(kind: str, mask: np.ndarray, choices, task="binary") -> np.ndarray:
    """What is made of a mask; the mask that came in is not touched."""
    kept = mask.copy()
    made = Mended(Given(), kind, tuple(map(float, choices)), task)(Prediction(None, mask.shape[:2], image=mask))
    assert np.array_equal(mask, kept) and made.shape == mask.shape and made.dtype == np.uint8
    return made


def removed(plane: np.ndarray, keep) -> np.ndarray:
    """A plane without regions that `keep(sizes)` does not want; by another library."""
    numbers, count = ndimage.label(plane, EIGHT)
    sizes = ndimage.sum_labels(plane > 0, numbers, range(1, count + 1))
    return np.isin(numbers, 1 + np.flatnonzero(keep(sizes))) & (plane > 0) if count else np.zeros(plane.shape, bool)


def filled(plane: np.ndarray, below: float, free=None) -> np.ndarray:
    """A plane with its holes of fewer than `below` pixels filled; by another library."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
    made = plane.copy()
    for n in range(1, count + 1):
        hole = holes == n
        if hole.sum() < below and (free is None or free[hole].all()):
            made |= hole
    return made


def noise(seed: int, most: int = 1, planes: int = 0, size=SIZE, share: float = 0.55) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (*size, planes) if planes else size
    return (rng.integers(1, most + 1, shape) * (ndimage.zoom(rng.random([-(-n // 2) for n in size]), 2, order=0)[
        : size[0], : size[1]][(...,) + (None,) * bool(planes)] < share)).astype(np.uint8)  # fmt: skip


masks = st.tuples(st.integers(0, 10_000), st.sampled_from([(1, 1), (5, 40), SIZE, (33, 2)]), st.floats(0.2, 0.9))


@settings(max_examples=80, deadline=None)
@given(masks, st.sampled_from([0.001, 0.01, 0.1, 0.9]))
def test_regions_and_holes_are_those_of_scipy(case, area):
    seed, size, share = case
    mask = noise(seed, size=size, share=share)
    below = area * mask.size
    assert np.array_equal(mend("min-area", mask, [area]), removed(mask, lambda sizes: sizes >= below))
    assert np.array_equal(mend("fill-holes", mask, [area]), filled(mask > 0, below))
    largest = mend("largest-component", mask, [1])
    assert largest.sum() == max(ndimage.sum_labels(mask, *_numbered(mask)), default=0)
    assert ndimage.label(largest, EIGHT)[1] == int(mask.any()) and not (largest & ~mask).any()


def _numbered(mask):
    numbers, count = ndimage.label(mask, EIGHT)
    return numbers, range(1, count + 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(GRIDS)), st.sampled_from(["binary", "multilabel", "multiclass"]))
def test_a_choice_of_nothing_changes_nothing_and_doing_it_twice_is_doing_it_once(seed, kind, task):
    mask = noise(seed, most=3 if task == "multiclass" else 1, planes=3 if task == "multilabel" else 0)
    count = {"binary": 1, "multilabel": 3, "multiclass": 4}[task]
    assert np.array_equal(mend(kind, mask, [0] * count, task), mask)
    for choice in GRIDS[kind][1:]:
        choices = [0.0] * (task == "multiclass") + [choice] * 3
        once = mend(kind, mask, choices[:count], task)
        assert np.array_equal(mend(kind, once, choices[:count], task), once)
        changed = once != mask
        if kind == "fill-holes":
            assert not mask[changed].any(), "only background is filled"
        else:
            assert not once[changed].any(), "only removed"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.sampled_from(AREAS)] * 3))
def test_classes_are_treated_each_for_itself(seed, areas):
    planes = noise(seed, planes=3)
    for kind in ("min-area", "fill-holes"):
        together = mend(kind, planes, areas, "multilabel")
        for k in range(3):
            assert np.array_equal(together[..., k], mend(kind, planes[..., k], [areas[k]]))
    labels = noise(seed, most=3)
    made = mend("min-area", labels, (0, *areas), "multiclass")
    for k in range(1, 4):
        kept = removed(labels == k, lambda sizes, k=k: sizes >= areas[k - 1] * PIXELS)
        assert np.array_equal(made == k, kept)
    made = mend("fill-holes", labels, (0, *areas), "multiclass")
    for k in range(1, 4):
        expected = filled(labels == k, areas[k - 1] * PIXELS, free=labels == 0)
        assert np.array_equal(made == k, expected)


def test_a_hole_that_holds_another_object_and_one_at_the_edge_are_not_filled():
    labels = disc(SIZE, 20, 20, 14) - disc(SIZE, 20, 20, 9)
    assert mend("fill-holes", labels, [0, 0.9], "multiclass")[20, 20] == 1
    labels[20, 20] = 2
    assert np.array_equal(mend("fill-holes", labels, [0, 0.9, 0.9], "multiclass"), labels)
    bay = disc(SIZE, 0, 20, 14) - disc(SIZE, 0, 20, 9)
    assert np.array_equal(mend("fill-holes", bay, [0.9]), bay)


def test_areas_are_parts_of_the_image_whatever_its_size():
    small = disc(SIZE, 20, 20, 6) | disc(SIZE, 30, 50, 3)
    large = np.kron(small, np.ones((4, 4), np.uint8))
    for area in (0.001, 0.01, 0.03, 0.05):
        assert np.array_equal(
            np.kron(mend("min-area", small, [area]), np.ones((4, 4), np.uint8)), mend("min-area", large, [area])
        )


def solved(*techniques, task="binary", **more):
    names = {"binary": ("a",), "multilabel": tuple("abc"), "multiclass": ("ground", "a", "b", "c")}[task]
    registry = build(
        toy=bringing("toy", competition=competition(task=task, classes=names, **more)), x=techniques_of(*KINDS)
    )
    return solution(registry, techniques=list(techniques), loss={"ce": 1.0} if task == "multiclass" else {"bce": 1.0})


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_each_technique_wraps_what_was_before_with_a_choice_for_each_class(task):
    made = solved("min-area", "fill-holes", "largest-component", task=task).postprocess()
    inner = Argmax() if task == "multiclass" else Threshold(0.5, task)

    def ground(value):
        return {"binary": (value,), "multilabel": (value,) * 3, "multiclass": (0.0, value, value, value)}[task]

    expected = Mended(inner, "min-area", ground(0.0003), task)
    expected = Mended(expected, "fill-holes", ground(0.0003), task)
    assert made == Mended(expected, "largest-component", ground(0.0), task)
    again = replace(made, choices=tuple(1.0 for _ in made.choices))
    assert restore(made, json.loads(json.dumps(describe(again)))) == again


def planted(count: int = 12, task="multiclass"):
    """Predictions of classes 1 and 2: 1 has a false alarm of 13 pixels, 2 two true parts, one of them of 21 pixels."""
    predictions, truths = [], []
    for i in range(count):
        truth = np.zeros(SIZE, np.uint8)
        truth[disc(SIZE, 14 + i % 3, 14, 8) > 0] = 1
        truth[disc(SIZE, 34, 44, 8) > 0] = 2
        truth[disc(SIZE, 10, 50 + i % 4, 2.3) > 0] = 2
        said = truth.copy()
        said[disc(SIZE, 38, 8 + i % 5, 2) > 0] = 1
        if task == "multiclass":
            probs = np.eye(4)[said].transpose(2, 0, 1)
        else:
            said, truth = (np.stack([a == 1, a == 2, a == 3], -1).astype(np.uint8) for a in (said, truth))
            probs = said.transpose(2, 0, 1) * 0.9
        predictions.append(Prediction(probs.astype(np.float32), SIZE, f"p{i}"))
        truths.append(truth)
    return predictions, truths


METRICS = {"multiclass": ClassIoU(4), "multilabel": MeanDice()}


@pytest.mark.parametrize("task", METRICS)
def test_validation_chooses_for_each_class_and_keeps_what_helps(task):
    predictions, truths = planted(task=task)
    first = 1 if task == "multiclass" else 0
    for name in ("min-area", "largest-component"):
        made = solved({"name": name, "settings": {"area": 0.0} if name == "min-area" else {}}, task=task).postprocess()
        result = gate(made, predictions, truths, METRICS[task])
        assert result.kept and result.after == 1.0 and result.fell == ()
        alarms, parts, absent = result.chosen.choices[first:]
        assert parts == 0 and absent == 0, "what would cost a class is not done to it"
        assert alarms == 1 if name == "largest-component" else alarms > 13 / PIXELS
    assert result.chosen.inner == made.inner


def test_what_begins_with_too_much_is_given_up_where_validation_falls_by_it():
    predictions, truths = planted()
    made = solved({"name": "min-area", "settings": {"area": 0.05}}, task="multiclass").postprocess()
    result = gate(made, predictions, truths, ClassIoU(4))
    assert result.kept and result.after == 1.0 and result.chosen.choices[2] < 21 / PIXELS < 0.05


def test_a_fit_never_loses_on_what_it_was_fitted_on_and_has_the_best_of_the_grid():
    rng = np.random.default_rng(0)
    predictions, truths = planted()
    truths = [np.where(rng.random(SIZE) < 0.02, rng.integers(0, 4, SIZE), t).astype(np.uint8) for t in truths]
    for metric in (ClassIoU(4), ClassIoU(4, "image")):
        for kind in GRIDS:
            begins = (0.0,) * 4 if kind == "largest-component" else (0.0, 5e-4, 0.02, 0.0)
            start = Mended(Argmax(), kind, begins, "multiclass")
            fitted = start.fit(predictions, truths, metric)

            def score(process, metric=metric):
                pairs = zip(predictions, truths, strict=True)
                return metric.reduce(np.stack([metric.compare(t, process(p)) for p, t in pairs]))

            every = {}
            for k in (1, 2, 3):
                for choice in GRIDS[kind]:
                    choices = (*fitted.choices[:k], choice, *fitted.choices[k + 1 :])
                    every[k, choice] = score(replace(fitted, choices=choices))
            best = score(fitted)
            assert best >= score(start)
            assert best == pytest.approx(max(every.values()), abs=2e-3), "no single class could do better by much"


def test_the_threshold_inside_is_fitted_first_and_holes_are_filled_after_it():
    predictions, truths = [], []
    for i in range(12):
        truth = disc(SIZE, 24, 26 + i % 5, 15)
        probs = np.where(truth, 0.62, 0.56).astype(np.float32)
        probs[22:25, 24:27] = 0.1
        predictions.append(Prediction(probs[None], SIZE, f"p{i}"))
        truths.append(truth)
    made = solved({"name": "fill-holes", "settings": {"area": 0.0}}).postprocess()
    result = gate(made, predictions, truths, MeanIoU())
    assert result.kept and result.after == 1.0
    assert result.chosen.inner.threshold == 0.6 and result.chosen.choices[0] > 9 / PIXELS


def test_a_metric_in_which_less_is_better_is_served_too():
    from tests.engine.test_postprocess import LowerIsBetter

    predictions = [Prediction((disc(SIZE, 20, 20, 9) | disc(SIZE, 40, 55, 2)).astype(np.float32)[None], SIZE)] * 10
    truths = [disc(SIZE, 20, 20, 9)] * 10
    fitted = solved("largest-component").postprocess().fit(predictions, truths, LowerIsBetter())
    assert fitted.choices == (1.0,)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_looked_at_in_parts_have_no_whole_regions(kind):
    dataset = discs(2)
    dataset.tiling = Tiling()
    with pytest.raises(RecipeError, match=rf"techniques\.{kind.name}: needs whole images.*--without {kind.name}"):
        solved(kind.name).check(dataset)


@pytest.mark.parametrize("kind", [MinArea, FillHoles])
def test_an_area_that_is_no_part_of_an_image_is_refused(kind):
    for area in (-0.1, 1.0):
        with pytest.raises(RecipeError, match=rf"techniques\.{kind.name}"):
            solved({"name": kind.name, "settings": {"area": area}})


def test_every_competition_of_whole_images_takes_them():
    swept = 0
    for id, classes in (("hair-seg", 1), ("clouds", 4), ("recycling", 12), ("contrast", None)):
        names = [kind.name for kind in KINDS]
        made = solution(discover(), id, techniques=names, encoder_weights="none").postprocess()
        assert len(made.choices) == (classes or len(made.choices))
        swept += 1
    assert swept == 4
