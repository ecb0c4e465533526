"""What only the clouds contest asks for: triplet thresholds, gates of classes, black swaths."""

import itertools

import numpy as np
import pytest

from kagglekit import PluginError, Prediction, RecipeError
from kagglekit.metrics import MeanDice
from kagglekit.plugin.registry import discover
from kagglekit.predict.postprocess import Threshold, describe, restore
from kagglekit_clouds.gates import Gated
from kagglekit_clouds.swaths import Painted, WithoutSwaths, black, draw_swath
from kagglekit_clouds.triplet import Grid, Triplet
from tests.helpers import solution

SIZE = (350, 525)


def solved(*techniques):
    return solution(discover(), "clouds", techniques=list(techniques), encoder_weights="none")


def world(count: int = 6, seed: int = 0, noise: float = 0.12):
    """Predictions (at a smaller size) and truths of four classes that are absent half of the time."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for i in range(count):
        truth = np.zeros((*SIZE, 4), np.uint8)
        probs = rng.uniform(0, 0.3, (4, 35, 52)).astype(np.float32)
        for k in range(4):
            top, left = rng.integers(0, 150), rng.integers(0, 250)
            window = slice(top, top + 180), slice(left, left + 250)
            small = slice(top // 10, top // 10 + 18), slice(left // 10, left // 10 + 25)
            if rng.random() < 0.5:
                truth[(*window, k)] = 1
                probs[(k, *small)] = 0.7
            elif rng.random() < 0.5:
                probs[(k, *small)] = 0.55  # a false alarm
        probs = np.clip(probs + rng.normal(0, noise, probs.shape), 0, 1).astype(np.float32)
        predictions.append(Prediction(probs, SIZE, f"p{i}", rng.random(4).astype(np.float32)))
        truths.append(truth)
    return predictions, truths


def score(process, predictions, truths) -> float:
    metric = MeanDice()
    return metric.reduce(np.stack([metric.compare(t, process(p)) for p, t in zip(predictions, truths, strict=True)]))


def test_a_class_needs_enough_sure_pixels_and_then_has_all_that_exceed_the_lower_threshold():
    probs = np.zeros((4, *SIZE), np.float32)
    probs[0, :100, :100], probs[0, :40, :40] = 0.5, 0.7  # 1600 sure pixels of 10,000
    probs[1], probs[2, :10, :10] = 0.5, 0.9
    triplet = Triplet((0.6,) * 4, (0.4,) * 4, (1600, 0, 101, 0))
    mask = triplet(Prediction(probs, SIZE))
    assert mask.shape == (*SIZE, 4) and [int(mask[..., k].sum()) for k in range(4)] == [10_000, 0, 0, 0]
    assert Triplet((0.6,) * 4, (0.4,) * 4, (1601, 0, 0, 0))(Prediction(probs, SIZE))[..., 0].sum() == 0
    assert Triplet((0.6,) * 4, (0.4,) * 4, (0, 0, 100, 0))(Prediction(probs, SIZE))[..., 2].sum() == 100


def test_areas_count_in_pixels_of_the_submission_whatever_the_size_asked_for():
    probs = np.zeros((4, *SIZE), np.float32)
    probs[0, :40, :40] = 0.9
    for factor in (1, 2):
        size = (factor * SIZE[0], factor * SIZE[1])
        found = Triplet((0.6,) * 4, (0.4,) * 4, (1500, 0, 0, 0))(Prediction(probs, size))[..., 0].sum()
        none = Triplet((0.6,) * 4, (0.4,) * 4, (1700, 0, 0, 0))(Prediction(probs, size))[..., 0].sum()
        assert found > 1500 * factor**2 and none == 0


def test_the_grid_has_the_scores_that_the_masks_have():
    predictions, truths = world(3)
    grid = Grid((0.45, 0.6, 0.8), (0.3, 0.45, 0.65), (0, 2500, 20_000))
    scores = grid.scores(predictions, truths)
    metric, swept = MeanDice(), 0
    for t, b, a in itertools.product(range(3), repeat=3):
        top, bottom, area = grid.values(t, b, a)
        if bottom > top:
            assert (scores[:, t, b, a] == -1).all()
            continue
        triplet = Triplet((top,) * 4, (bottom,) * 4, (area,) * 4)
        counts = np.stack([metric.compare(m, triplet(p)) for p, m in zip(predictions, truths, strict=True)])
        for k in range(4):
            assert scores[k, t, b, a] == pytest.approx(metric.reduce(counts[:, k]), abs=1e-6)
            swept += 1
    assert swept == 4 * 3 * 7


def test_fitting_never_loses_on_what_it_was_fitted_on_and_finds_a_planted_gap():
    predictions, truths = world(12)
    before = Triplet((0.35,) * 4, (0.3,) * 4, (0,) * 4)
    fitted = before.fit(predictions, truths, MeanDice())
    assert score(fitted, predictions, truths) > score(before, predictions, truths) + 0.2
    assert len(set(fitted.top)) == 1, "few images: one set for all classes"
    assert fitted.fit(predictions, truths, MeanDice()) == fitted, "what is best stays"


def test_with_enough_images_every_class_gets_settings_of_its_own(monkeypatch):
    from kagglekit_clouds import triplet

    predictions, truths = world(12)
    shared = Triplet((0.35,) * 4, (0.3,) * 4, (0,) * 4).fit(predictions, truths, MeanDice())
    monkeypatch.setattr(triplet, "ENOUGH", 12)
    own = Triplet((0.35,) * 4, (0.3,) * 4, (0,) * 4).fit(predictions, truths, MeanDice())
    assert score(own, predictions, truths) >= score(shared, predictions, truths)


def test_a_gate_closes_below_its_threshold_but_leaves_the_likeliest_class():
    probs = np.full((4, 35, 52), 0.6, np.float32)
    heads = np.array([0.2, 0.5, 0.1, 0.4], np.float32)
    prediction = Prediction(probs, SIZE, "p", heads)
    inner = Threshold(0.5, "multilabel")
    gate = Gated(inner, 0.9, 1000, 0.5, True)
    assert gate.scores(prediction).tolist() == pytest.approx((heads * 0.5 + 0.3).tolist(), abs=1e-6)
    assert gate(prediction).any((0, 1)).tolist() == [False, True, False, False]
    assert Gated(inner, 0.9, 1000, 0.5, False)(prediction).sum() == 0
    assert Gated(inner, 0.45, 1000, 0.5, False)(prediction).any((0, 1)).tolist() == [False, True, False, True]
    with pytest.raises(PluginError, match="says nothing of whole classes; add --with class-head"):
        gate(Prediction(probs, SIZE))


def test_the_surest_pixels_count_at_the_size_of_the_submission():
    probs = np.zeros((4, *SIZE), np.float32)
    probs[2, :10, :10] = 0.8
    scores = Gated(None, 0.5, 100, 0.0, True).scores(Prediction(probs, SIZE, "p", np.zeros(4)))
    assert scores.tolist() == pytest.approx([0, 0, 0.8, 0])


def test_fitting_a_gate_fits_what_it_wraps_and_finds_its_threshold():
    predictions, truths = world(12)
    sure = [
        Prediction(p.probs, p.size, p.sample, t.any((0, 1)) * 0.8 + 0.1)
        for p, t in zip(predictions, truths, strict=True)
    ]
    gate = Gated(Triplet((0.35,) * 4, (0.3,) * 4, (0,) * 4), 0.95, 1000, 1.0, False)
    fitted = gate.fit(sure, truths, MeanDice())
    assert 0.1 < fitted.threshold < 0.9 and fitted.inner != gate.inner
    assert score(fitted, sure, truths) > score(gate, sure, truths)


def test_masks_are_empty_in_swaths_and_as_before_elsewhere():
    image = np.full((70, 105, 3), 90, np.uint8)
    image[:, 20:40] = (3, 10, 7)
    probs = np.full((4, 70, 105), 0.9, np.float32)
    inner = Threshold(0.5, "multilabel")
    mask = WithoutSwaths(inner)(Prediction(probs, SIZE, "p", None, image))
    assert not mask[:, 100:200].any() and mask[:, :100].all() and mask[:, 200:].all()
    bright = np.full_like(image, 90)
    assert WithoutSwaths(inner)(Prediction(probs, SIZE, "p", None, bright)).all()
    with pytest.raises(PluginError, match="swath-zero: needs the image"):
        WithoutSwaths(inner)(Prediction(probs, SIZE))


def test_a_painted_swath_is_black_from_edge_to_edge_and_empty_and_inputs_stay_as_they_were():
    image, mask = np.full((70, 105, 3), 90, np.uint8), np.ones((70, 105, 4), np.uint8)
    painter = Painted(lambda i, m: (i, m), 1.0, 0.05, 0.25)
    painter.set_random_seed(3)
    out = painter(image=image, mask=mask)
    swath = black(out["image"])
    assert swath.any() and swath.any(1).all(), "every row"
    assert not out["mask"][swath].any() and out["mask"][~swath].all()
    assert (image == 90).all() and (mask == 1).all()
    painter.set_random_seed(3)
    assert np.array_equal(painter(image=image, mask=mask)["image"], out["image"]), "the same for the same seed"


def test_swaths_are_as_wide_as_they_are_told():
    np.random.seed(0)
    shares = [draw_swath((100, 400), 0.05, 0.25)[50].mean() for _ in range(300)]
    assert max(shares) <= 0.26 and np.median(shares) > 0.08


def test_swaths_are_painted_as_often_as_told():
    painter = Painted(lambda i, m: (i, m), 0.3, 0.05, 0.25)
    image, mask, painted = np.full((20, 30, 3), 90, np.uint8), np.zeros((20, 30, 4), np.uint8), 0
    for seed in range(400):
        painter.set_random_seed(seed)
        painted += black(painter(image=image, mask=mask)["image"]).any()
    assert 0.2 < painted / 400 < 0.38


def test_the_full_recipe_and_the_demo_resolve_to_what_they_name():
    full = solution(discover(), "clouds", techniques=_techniques("recipe"), encoder_weights="none", encoder="resnet34")
    process = full.postprocess()
    assert (
        isinstance(process, WithoutSwaths)
        and isinstance(process.inner, Gated)
        and isinstance(process.inner.inner, Triplet)
    )
    assert restore(process, describe(process)) == process
    assert [v.name for v in full.views()] == ["identity", "hflip", "vflip", "hflip+vflip"]


def _techniques(name):
    competition = discover().competitions["clouds"][1]
    return list(getattr(competition, name)["techniques"])


def test_settings_come_back_after_a_trip_through_json():
    import json

    process = WithoutSwaths(Gated(Triplet((0.5, 0.6, 0.7, 0.8), (0.4,) * 4, (1, 2, 3, 4)), 0.6, 100, 0.5, True))
    fresh = WithoutSwaths(Gated(Triplet((0.9,) * 4, (0.9,) * 4, (0,) * 4), 0.1, 1, 0.1, False))
    assert restore(fresh, json.loads(json.dumps(describe(process)))) == process


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("triplet-threshold", {"top": 0.3, "bottom": 0.5}),
        ("triplet-threshold", {"min_area": (1, 2, 3)}),
        ("triplet-threshold", {"min_area": (1, 2, 3, -1)}),
        ("class-gate", {"threshold": 1.0}),
        ("class-gate", {"top_pixels": 0}),
        ("swath-paint", {"least": 0.5, "most": 0.2}),
    ],
)
def test_settings_out_of_range_are_refused_by_technique(name, settings):
    with pytest.raises(RecipeError, match=f"techniques.{name}"):
        solved({"name": name, "settings": settings})
