"""From probabilities to masks; settings tuned on validation are kept only when they help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from kagglekit.data.resize import resize_probs
from kagglekit.predict.gate import Gated, gated
from kagglekit.protocols import Metric, Postprocess
from kagglekit.types import Items, Prediction, Task

MOST = 400  # images that a fit looks at; more change the third decimal of a threshold and cost minutes


@dataclass(frozen=True)
class Threshold:
    """Foreground where the probability, resized to submission size, exceeds `threshold`."""

    threshold: float = 0.5
    task: Task = "binary"

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 `[H, W]`, or `[H, W, K]` for a multilabel task."""
        return self._cut(resize_probs(prediction.probs, prediction.size), self.threshold)

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> Threshold:
        """The threshold of 0.30, 0.35, ... 0.70 with the best score; ties go to the one nearest to the current."""
        grid = [round(0.3 + 0.05 * i, 2) for i in range(9)]
        statistics: list[list] = [[] for _ in grid]
        for prediction, truth in zip(predictions, truths, strict=True):
            probs = resize_probs(prediction.probs, prediction.size)
            for kept, threshold in zip(statistics, grid, strict=True):
                kept.append(metric.compare(truth, self._cut(probs, threshold)))
        sign = 1 if metric.greater_is_better else -1
        scores = [sign * metric.reduce(np.stack(s)) for s in statistics]
        best = max(range(len(grid)), key=lambda i: (scores[i], -abs(grid[i] - self.threshold)))
        return replace(self, threshold=grid[best])

    def _cut(self, probs: np.ndarray, threshold: float) -> np.ndarray:
        mask = (probs > threshold).astype(np.uint8)
        return np.ascontiguousarray(mask.transpose(1, 2, 0)) if self.task == "multilabel" else mask[0]


@dataclass(frozen=True)
class Argmax:
    """The likeliest class of every pixel, after resizing the probabilities."""

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 label map `[H, W]`."""
        return np.asarray(resize_probs(prediction.probs, prediction.size).argmax(0), np.uint8)


Gate = Gated[Postprocess]
Fit = Callable[[Sequence[Prediction], Sequence[np.ndarray], Metric], Postprocess]


def gate(
    postprocess: Postprocess, predictions: Items[Prediction], truths: Items[np.ndarray], metric: Metric
) -> Gate | None:
    """Fit `postprocess` on validation (see `predict.gate`); None where there is nothing to fit or too little to say."""
    tune: Fit | None = getattr(postprocess, "fit", None)
    if tune is None:
        return None
    chosen = range(0, len(predictions), -(-len(predictions) // MOST) or 1)
    some, masks = [predictions[i] for i in chosen], [truths[i] for i in chosen]

    def fit(indices: Sequence[int]) -> Postprocess:
        return tune([some[i] for i in indices], [masks[i] for i in indices], metric)

    def counts(process: Postprocess, indices: Sequence[int]) -> np.ndarray:
        return np.stack([metric.compare(masks[i], process(some[i])) for i in indices])

    return gated(postprocess, fit, counts, len(some), metric)


def describe(postprocess: Any) -> dict[str, Any]:
    """The settings of a post-processing as JSON-like values, those of the ones it wraps inside them."""
    if not is_dataclass(postprocess):
        return {}
    values = {f.name: getattr(postprocess, f.name) for f in fields(postprocess)}
    return {name: describe(value) if is_dataclass(value) else value for name, value in values.items()}


def restore(postprocess: Postprocess, settings: Mapping[str, Any]) -> Postprocess:
    """`postprocess` with the settings that `describe` wrote down, after a round trip through JSON."""
    if not is_dataclass(postprocess):
        return postprocess
    changes = {}
    for field in fields(postprocess):
        if field.name not in settings or not field.init:
            continue
        now, then = getattr(postprocess, field.name), settings[field.name]
        if is_dataclass(now):
            then = restore(now, then)
        changes[field.name] = tuple(then) if isinstance(now, tuple) else then
    return replace(postprocess, **changes)


def prepared(postprocess: Postprocess, prediction: Prediction) -> Prediction:
    """What a post-processing makes of a whole prediction before it is called with parts of it."""
    return postprocess.prepare(prediction) if hasattr(postprocess, "prepare") else prediction
