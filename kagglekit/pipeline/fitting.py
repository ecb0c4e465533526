"""Weights of views and of members fitted on validation, with the honest (nested) estimate beside the tuned one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kagglekit.errors import PluginError
from kagglekit.metrics import Pooled
from kagglekit.pipeline.prepare import Data
from kagglekit.pipeline.stages import tuning_parts
from kagglekit.pipeline.validation import ValidationProbs
from kagglekit.predict.gate import Gated, gated
from kagglekit.predict.postprocess import MOST, prepared
from kagglekit.protocols import Metric, Postprocess
from kagglekit.runs.record_parts import FitRecord

Weights = tuple[float, ...]
Fit = Callable[[Sequence[float], Callable[[Sequence[float]], float]], Sequence[float]]
"""`fit(start, score)` searches weights that sum to 1; `score(weights)` is better the higher it is."""


def fit_weights(
    fit: Fit, start: Sequence[float], counts: Callable[[Weights], np.ndarray], metric: Metric
) -> Gated[Weights]:
    """Fit weights on validation (see `predict.gate`): they stay only if images that were left out agree, in each class.

    `counts(weights)` are the metric's counts `[N, ...]` by image; each vector of weights is asked for once.
    """
    known: dict[Weights, np.ndarray] = {}
    sign = 1 if metric.greater_is_better else -1

    def counted(weights: Sequence[float]) -> np.ndarray:
        key = tuple(round(float(w), 6) for w in weights)
        if key not in known:
            known[key] = counts(key)
        return known[key]

    def fitted(indices: Sequence[int]) -> Weights:
        found = fit(list(start), lambda weights: sign * metric.reduce(counted(weights)[indices]))
        if len(found) != len(start) or min(found) < 0 or abs(sum(found) - 1) > 1e-6:
            raise PluginError(f"fit(): weights must be as many as before, >= 0 and sum to 1; got {list(found)}")
        return tuple(float(w) for w in found)

    given, images = tuple(start), len(counted(start))
    found = gated(given, fitted, lambda weights, indices: counted(weights)[indices], images, metric)
    if found is None:
        score = metric.reduce(counted(given))
        return Gated(given, False, score, score, score)
    return found


def record_of(found: Gated[Weights], names: Sequence[str] | None = None) -> FitRecord:
    """What a fit of weights gave; `names` of what they weigh."""
    return FitRecord(
        weights=found.chosen,
        kept=found.kept,
        before=found.before,
        after=found.after,
        nested=found.nested,
        fell=found.fell,
        names=None if names is None else tuple(names),
    )


def words_of(found: Gated[Any], classes: Sequence[str]) -> str:
    """The scores of a fit and what became of it, for a line of news."""
    if not found.kept and found.after == found.before:
        return f"{found.before:.4f}: nothing better was found"
    names = [classes[k] if k < len(classes) else f"class {k}" for k in found.fell]
    fell = f": {', '.join(names)} would get worse" if names else ""
    verdict = "kept" if found.kept else f"not kept{fell}"
    return f"{found.before:.4f} -> {found.after:.4f} ({found.nested:.4f} on images that were left out): {verdict}"


def forward_selection(start: Sequence[float], score: Callable[[Sequence[float]], float], rounds: int) -> list[float]:
    """Weights of candidates that are chosen one by one, with repetition, each the one that helps most.

    Caruana et al. 2004. The best round counts, and equal weights do if no round is better.
    """
    taken, best, top = [0] * len(start), list(start), score(start)
    for _ in range(rounds):
        options = [[n + (i == j) for j, n in enumerate(taken)] for i in range(len(taken))]
        shares = [[n / sum(option) for n in option] for option in options]
        scores = [score(share) for share in shares]
        pick = max(range(len(options)), key=scores.__getitem__)
        taken = options[pick]
        if scores[pick] > top:
            best, top = shares[pick], scores[pick]
    return best


def counter(
    data: Data, process: Postprocess, metric: Metric, weighted: Callable[[Weights], ValidationProbs]
) -> Callable[[Weights], np.ndarray]:
    """What `fit_weights` asks: the metric's counts of the masks that weights lead to."""

    def counts(weights: Weights) -> np.ndarray:
        predictions, truths, measure = tuning_parts(data, weighted(weights), metric)
        indices = range(0, len(predictions), -(-len(predictions) // MOST))
        return np.stack([measure.compare(truths[i], process(prepared(process, predictions[i]))) for i in indices])

    return counts


def measure_of(data: Data, metric: Metric) -> Metric:
    """The metric that reduces such counts: blocks of tiled images count as parts of one."""
    return metric if data.store.tiling is None else Pooled(metric)
