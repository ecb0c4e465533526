"""Thresholds found on validation, and the gate that lets only honest gains through."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from kagglekit.metrics import ClassIoU, MeanDice, MeanIoU
from kagglekit.predict.gate import PARTS
from kagglekit.predict.postprocess import MOST, Argmax, Threshold, describe, gate
from kagglekit.types import Prediction
from tests.toy_data import disc

SIZE = (40, 48)


def planted(threshold: float, count: int = 12, noise: float = 0.0) -> tuple[list[Prediction], list[np.ndarray]]:
    """Predictions whose truth is exactly where the probability exceeds `threshold`."""
    rng = np.random.default_rng(0)
    predictions, truths = [], []
    for i in range(count):
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        y, x = rng.uniform(10, 30, 2)
        away = np.sqrt((rows - y) ** 2 + (columns - x) ** 2)
        probs = np.clip(1 - away / 30 + noise * rng.standard_normal(SIZE), 0, 1).astype(np.float32)
        predictions.append(Prediction(probs[None], SIZE, f"p{i}"))
        truths.append((probs > threshold).astype(np.uint8))
    return predictions, truths


def score(process, predictions, truths) -> float:
    metric = MeanIoU()
    return metric.reduce(np.stack([metric.compare(t, process(p)) for p, t in zip(predictions, truths, strict=True)]))


@dataclass(frozen=True)
class LowerIsBetter(MeanIoU):
    """A distance: one minus IoU."""

    greater_is_better: bool = False

    def reduce(self, statistics):
        return 1 - super().reduce(statistics)


@pytest.mark.parametrize("threshold", [0.3, 0.35, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("metric", [MeanIoU(), LowerIsBetter()])
def test_a_planted_threshold_is_found(threshold, metric):
    predictions, truths = planted(threshold)
    fitted = Threshold().fit(predictions, truths, metric)
    assert fitted.threshold == threshold
    assert score(fitted, predictions, truths) == 1.0


def test_a_tie_goes_to_the_threshold_nearest_to_the_current():
    probs = disc(SIZE, 20, 20, 9).astype(np.float32)[None]
    predictions, truths = [Prediction(probs, SIZE)], [probs[0].astype(np.uint8)]
    assert Threshold(0.5).fit(predictions, truths, MeanIoU()).threshold == 0.5
    assert Threshold(0.42).fit(predictions, truths, MeanIoU()).threshold == 0.4


def test_a_threshold_cuts_strictly_above_itself_at_the_size_asked_for():
    prediction = Prediction(np.array([[[0.5, 0.50001], [0.2, 0.9]]], np.float32), (2, 2))
    assert Threshold(0.5)(prediction).tolist() == [[0, 1], [0, 1]]
    large = Threshold(0.5)(replace(prediction, size=(20, 30)))
    assert large.shape == (20, 30)
    assert large.dtype == np.uint8
    assert set(np.unique(large)) == {0, 1}


def test_probabilities_are_resized_before_they_are_cut_not_after():
    probs = np.zeros((1, 8, 8), np.float32)
    probs[0, :, 4:] = 1.0
    probs[0, :, 3] = 0.45
    cut_late = Threshold(0.5)(Prediction(probs, (8, 32)))
    cut_early = np.repeat((probs[0] > 0.5).astype(np.uint8), 4, 1)
    assert cut_late.sum() > cut_early.sum()


def test_classes_of_a_multilabel_task_are_cut_each_for_itself():
    probs = np.stack([disc(SIZE, 20, 15, 8), disc(SIZE, 20, 30, 8)]).astype(np.float32) * 0.8
    mask = Threshold(0.5, "multilabel")(Prediction(probs, SIZE))
    assert mask.shape == (*SIZE, 2)
    assert np.array_equal(mask.transpose(2, 0, 1), (probs > 0.5).astype(np.uint8))
    assert mask.flags.c_contiguous


def test_argmax_takes_the_likeliest_class_at_the_size_asked_for():
    probs = np.random.default_rng(0).random((5, *SIZE), np.float32)
    assert np.array_equal(Argmax()(Prediction(probs, SIZE)), probs.argmax(0))
    large = Argmax()(Prediction(probs, (100, 90)))
    assert large.shape == (100, 90)
    assert large.dtype == np.uint8


def test_the_gate_keeps_a_setting_that_raises_the_score():
    predictions, truths = planted(0.65, noise=0.02)
    result = gate(Threshold(), predictions, truths, MeanIoU())
    assert result.kept
    assert result.chosen == Threshold(0.65)
    assert describe(result.chosen) == {"threshold": 0.65, "task": "binary"}
    assert result.before == score(Threshold(), predictions, truths)
    assert result.after == score(Threshold(0.65), predictions, truths) == 1.0
    assert result.before < result.nested <= result.after


def test_the_gate_also_works_where_less_is_better():
    predictions, truths = planted(0.65)
    result = gate(Threshold(), predictions, truths, LowerIsBetter())
    assert result.kept
    assert result.after < result.before


def test_the_gate_keeps_nothing_where_the_first_setting_was_best():
    predictions, truths = planted(0.5)
    result = gate(Threshold(), predictions, truths, MeanIoU())
    assert not result.kept
    assert result.chosen == Threshold(0.5)
    assert result.before == result.after == result.nested == 1.0


@dataclass(frozen=True)
class ByHeart:
    """Overfits: learns the truths it is fitted on by heart, and answers nonsense for all others."""

    known: tuple = ()
    calls = None

    def __call__(self, prediction):
        for name, truth in self.known:
            if name == prediction.sample:
                return np.frombuffer(truth, np.uint8).reshape(prediction.size)
        return np.ones(prediction.size, np.uint8) if self.known else Threshold()(prediction)

    def fit(self, predictions, truths, metric):
        if ByHeart.calls is not None:
            ByHeart.calls.append([p.sample for p in predictions])
        known = zip(predictions, truths, strict=True)
        return replace(self, known=tuple((p.sample, t.tobytes()) for p, t in known))


def test_what_is_learnt_by_heart_does_not_pass_the_gate():
    predictions, truths = planted(0.65)
    result = gate(ByHeart(), predictions, truths, MeanIoU())
    assert result.after == 1.0 > result.before
    assert result.nested < result.before
    assert not result.kept
    assert result.chosen == ByHeart()


def test_the_nested_score_never_comes_from_a_fit_that_saw_its_image(monkeypatch):
    predictions, truths = planted(0.65, count=13)
    calls = []
    monkeypatch.setattr(ByHeart, "calls", calls)
    seen_by = {}

    gate(ByHeart(), predictions, truths, MeanIoU())
    everything, *inner = calls
    assert everything == [p.sample for p in predictions]
    assert len(inner) == PARTS
    left_out = [sorted(set(everything) - set(names)) for names in inner]
    for names in left_out:
        for name in names:
            seen_by[name] = seen_by.get(name, 0) + 1
    assert seen_by == dict.fromkeys(everything, 1), "every image is left out exactly once"


def test_a_nested_score_of_strangers_alone_is_the_score_of_nonsense():
    predictions, truths = planted(0.65)
    nonsense = score(lambda p: np.ones(p.size, np.uint8), predictions, truths)
    assert gate(ByHeart(), predictions, truths, MeanIoU()).nested == pytest.approx(nonsense)


@pytest.mark.parametrize(("count", "fitted"), [(0, False), (1, False), (9, False), (10, True)])
def test_a_tiny_validation_says_nothing(count, fitted):
    predictions, truths = planted(0.65, count=count)
    assert (gate(Threshold(), predictions, truths, MeanIoU()) is not None) is fitted


def test_nothing_to_fit_is_nothing_to_gate():
    predictions, truths = planted(0.5)
    assert gate(Argmax(), predictions, truths, MeanIoU()) is None


def test_a_large_validation_is_looked_at_in_part_spread_over_all_of_it(monkeypatch):
    tiny = np.zeros((1, 2, 2), np.float32)
    predictions = [Prediction(tiny, (2, 2), f"{i:04d}") for i in range(3 * MOST)]
    truths = [np.zeros((2, 2), np.uint8)] * len(predictions)
    calls = []
    monkeypatch.setattr(ByHeart, "calls", calls)
    gate(ByHeart(), predictions, truths, MeanIoU())
    assert len(calls[0]) == MOST
    assert calls[0][0] == "0000"
    assert calls[0][-1] == f"{3 * MOST - 3:04d}"


def test_settings_are_described_as_plain_values():
    assert describe(Threshold(0.4)) == {"threshold": 0.4, "task": "binary"}
    assert describe(Argmax()) == {}
    assert describe(lambda p: p) == {}


@dataclass(frozen=True)
class Favours:
    """Moves pixels from class 2 to class 1 once fitted, whatever that costs class 2."""

    fitted: bool = False

    def __call__(self, prediction):
        labels = prediction.probs.argmax(0).astype(np.uint8)
        if self.fitted:
            labels[:, :20] = 1
        return labels

    def fit(self, predictions, truths, metric):
        return replace(self, fitted=True)


def stripes(stolen: int):
    """Label maps whose class 1 is predicted as 0, beside `stolen` columns of class 2 that are right."""
    truth = np.zeros(SIZE, np.uint8)
    truth[:, :20], truth[:, 20 - stolen : 20] = 1, 2
    guess = np.where(truth == 1, 0, truth)
    guess[:, 20:24] = truth[:, 20:24] = 2
    probs = np.eye(3, dtype=np.float32)[guess].transpose(2, 0, 1)
    return [Prediction(probs, SIZE, f"p{i}") for i in range(10)], [truth] * 10


@pytest.mark.parametrize(("stolen", "fell"), [(0, ()), (2, (2,))])
def test_a_gain_at_the_cost_of_one_class_does_not_pass_the_gate(stolen, fell):
    predictions, truths = stripes(stolen)
    result = gate(Favours(), predictions, truths, ClassIoU(3))
    assert result.after > result.before and result.nested > result.before
    assert result.fell == fell and result.kept is not bool(fell)
    assert result.chosen == Favours(fitted=not fell)


def test_where_a_metric_knows_no_classes_the_score_alone_decides():
    predictions, truths = planted(0.65)
    for metric in (MeanIoU(), MeanDice()):
        result = gate(Threshold(), predictions, truths, metric)
        assert result.kept and result.fell == ()
