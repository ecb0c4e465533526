"""Weights fitted on validation: kept only if they help on images they were not fitted on; every run knows them."""

import numpy as np
import pytest

from kagglekit.errors import PluginError
from kagglekit.metrics import MeanDice, MeanIoU
from kagglekit.pipeline.evaluate import postprocess_record
from kagglekit.pipeline.fitting import fit_weights, record_of, words_of
from kagglekit.predict.gate import Gated
from kagglekit.predict.postprocess import Threshold
from kagglekit.predict.views import Fitted, hflip, identity, reweighted
from kagglekit.runs.record import plain

METRIC = MeanIoU()
GRID = [(round(a, 2), round(1 - a, 2)) for a in np.linspace(0, 1, 11)]


def grid_fit(start, score):
    """The best of a grid of two weights."""
    return max([tuple(start), *GRID], key=score)


def counts_that_peak(at: float, noise: float = 0.0, images: int = 40):
    """Counts whose score is best where the first weight is `at`; with noise each image has a peak of its own."""
    own = at + np.random.default_rng(0).normal(0, noise, images)

    def counts(weights):
        iou = 0.9 - (weights[0] - own) ** 2
        return np.stack([np.clip(iou, 0, 1) * 10_000, np.full(images, 10_000)], -1).astype(int)

    return counts


def test_weights_that_help_are_kept_with_the_honest_score_beside_them():
    found = fit_weights(grid_fit, (0.5, 0.5), counts_that_peak(0.8), METRIC)
    assert found.kept and found.chosen == pytest.approx((0.8, 0.2))
    assert found.before == pytest.approx(0.81, abs=1e-3) and found.after == pytest.approx(0.9, abs=1e-3)
    assert found.nested == pytest.approx(found.after)


def test_weights_that_only_fit_the_noise_are_not_kept():
    images = 20
    table = {w: np.random.default_rng(i).uniform(0.4, 0.6, images) for i, w in enumerate(GRID)}
    table[0.5, 0.5] = np.full(images, 0.52)

    def counts(weights):
        iou = table[min(table, key=lambda w: abs(w[0] - weights[0]))]
        return np.stack([iou * 10_000, np.full(images, 10_000)], -1).astype(int)

    found = fit_weights(grid_fit, (0.5, 0.5), counts, METRIC)
    assert found.after >= found.before and found.nested <= found.after
    assert not found.kept and found.chosen == (0.5, 0.5), "what is tuned on noise must not pass"


def test_each_vector_of_weights_is_scored_once():
    asked = []
    inner = counts_that_peak(0.8)

    def counts(weights):
        asked.append(weights)
        return inner(weights)

    fit_weights(grid_fit, (0.5, 0.5), counts, METRIC)
    assert len(asked) == len(set(asked)) == len(GRID)


def test_weights_that_raise_the_mean_by_giving_up_a_class_are_not_kept():
    def counts(weights):
        """The first class is best with all of the first member, the second without any of it, which counts for less."""
        scores = 0.5 + 0.5 * weights[0], 0.8 - 0.3 * weights[0]
        return np.stack([[[round(5_000 * one), 10_000] for one in scores]] * 20)

    metric = MeanDice()
    found = fit_weights(grid_fit, (0.5, 0.5), counts, metric)
    assert (found.before, found.after, found.nested) == pytest.approx((0.7, 0.75, 0.75))
    assert found.fell == (1,) and not found.kept and found.chosen == (0.5, 0.5)
    assert words_of(found, ("sky", "road")).endswith("not kept: road would get worse")
    assert record_of(found).fell == (1,)


def test_too_few_images_fit_nothing():
    found = fit_weights(grid_fit, (0.5, 0.5), counts_that_peak(0.8, images=9), METRIC)
    assert not found.kept and found.chosen == (0.5, 0.5) and found.before == found.after == found.nested


def test_where_a_smaller_metric_is_better_the_smallest_is_found():
    found = fit_weights(grid_fit, (0.5, 0.5), counts_that_peak(0.8), MeanIoU(greater_is_better=False))
    assert found.chosen == (0.0, 1.0) and found.after < found.before


@pytest.mark.parametrize("bad", [(0.5,), (0.9, 0.9), (-0.5, 1.5)])
def test_a_fit_that_gives_no_weights_is_blamed(bad):
    with pytest.raises(PluginError, match="as many as before, >= 0 and sum to 1"):
        fit_weights(lambda start, score: bad, (0.5, 0.5), counts_that_peak(0.8), METRIC)


def test_views_are_reweighted_by_name_and_those_without_weight_go():
    views = Fitted((identity(0.5), hflip(0.5)), grid_fit)
    assert len(views) == 2 and views.fit is grid_fit
    (alone,) = reweighted(views, {"identity": 1.0, "hflip": 0.0})
    assert alone.name == "identity" and alone.weight == 1.0


def test_a_fitted_post_processing_that_makes_a_class_worse_is_recorded_and_said_with_its_name():
    gate = Gated(Threshold(0.5), False, 0.7, 0.75, 0.75, (1,))
    record = postprocess_record(gate.chosen, gate)
    assert (record.name, record.kept, record.fell) == ("Threshold", False, (1,))
    assert plain(record)["settings"]["threshold"] == 0.5
    assert words_of(gate, ("sky", "road")).endswith("not kept: road would get worse")
    assert words_of(gate, ("sky",)).endswith("not kept: class 1 would get worse"), "a metric may know more classes"
    assert "fell" not in plain(postprocess_record(gate.chosen, None))


def test_where_nothing_better_was_found_no_verdict_is_said():
    assert words_of(Gated((0.5, 0.5), False, 0.7, 0.7, 0.7), ()) == "0.7000: nothing better was found"
