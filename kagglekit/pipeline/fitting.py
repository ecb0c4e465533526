"""Weights of views and of members fitted on validation, with the honest (nested) estimate beside the tuned one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kagglekit.errors import PluginError
from kagglekit.metrics import Pooled, better
from kagglekit.pipeline.prepare import Data
from kagglekit.pipeline.stages import tuning_parts
from kagglekit.pipeline.validation import ValidationProbs
from kagglekit.predict.postprocess import MOST, PARTS, prepared
from kagglekit.protocols import Metric, Postprocess

if TYPE_CHECKING:
    import numpy as np

Weights = tuple[float, ...]
Fit = Callable[[Sequence[float], Callable[[Sequence[float]], float]], Sequence[float]]
"""`fit(start, score)` searches weights that sum to 1; `score(weights)` is better the higher it is."""


@dataclass(frozen=True)
class Weighing:
    """What fitting gave: the weights that are kept, and the scores before, after, and of pictures not fitted on."""

    weights: Weights
    kept: bool
    before: float
    after: float
    nested: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {**asdict(self), "weights": list(self.weights)}


def fit_weights(fit: Fit, start: Sequence[float], counts: Callable[[Weights], np.ndarray], metric: Metric) -> Weighing:
    """Fit weights on validation; kept only if the score rises, and that of pictures that were left out rises too.

    `counts(weights)` are the metric's counts `[N, ...]` by picture; each vector of weights is asked for once.
    """
    import numpy as np

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

    everything = list(range(len(counted(start))))
    before = metric.reduce(counted(start))
    if len(everything) < 2 * PARTS:
        return Weighing(tuple(start), False, before, before, before)
    chosen = fitted(everything)
    held_out = []
    for part in range(PARTS):
        inner = fitted([i for i in everything if i % PARTS != part])
        held_out.append(counted(inner)[part::PARTS])
    after, nested = metric.reduce(counted(chosen)), metric.reduce(np.concatenate(held_out))
    kept = better(metric, after, before) and better(metric, nested, before)
    return Weighing(chosen if kept else tuple(start), kept, before, after, nested)


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
    import numpy as np

    def counts(weights: Weights) -> np.ndarray:
        predictions, truths, measure = tuning_parts(data, weighted(weights), metric)
        indices = range(0, len(predictions), -(-len(predictions) // MOST))
        return np.stack([measure.compare(truths[i], process(prepared(process, predictions[i]))) for i in indices])

    return counts


def measure_of(data: Data, metric: Metric) -> Metric:
    """The metric that reduces such counts: blocks of tiled pictures count as parts of one."""
    return metric if data.store.tiling is None else Pooled(metric)
