"""From probabilities to masks, and the gate that keeps settings tuned on validation only when they help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from kagglekit.data.resize import resize_probs
from kagglekit.metrics import better, fallen
from kagglekit.protocols import Metric, Postprocess
from kagglekit.types import Prediction, Task

if TYPE_CHECKING:
    import numpy as np

MOST = 400  # pictures that a fit looks at; more change the third decimal of a threshold and cost minutes
PARTS = 5  # of the nested estimate


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
        import numpy as np

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
        import numpy as np

        mask = (probs > threshold).astype(np.uint8)
        return np.ascontiguousarray(mask.transpose(1, 2, 0)) if self.task == "multilabel" else mask[0]


@dataclass(frozen=True)
class Argmax:
    """The likeliest class of every pixel, after resizing the probabilities."""

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """uint8 label map `[H, W]`."""
        import numpy as np

        return resize_probs(prediction.probs, prediction.size).argmax(0).astype(np.uint8)


@dataclass(frozen=True)
class Gate:
    """What fitting on validation gave: scores before and after, the honest (nested) one, and what is kept.

    `fell` are the classes that the fitted settings made worse, whatever they did to the score.
    """

    chosen: Postprocess
    kept: bool
    before: float
    after: float
    nested: float
    settings: dict[str, Any]
    fell: tuple[int, ...] = ()


def gate(
    postprocess: Postprocess, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric
) -> Gate | None:
    """Fit `postprocess` on validation; None where it has nothing to fit or validation is too small to say.

    The nested score fits on four fifths of the pictures and scores the fifth that was left out. The fitted settings
    are kept only if the score rises, the nested score, which did not see its pictures, rises too, and no class falls
    (as nnU-Net decides on its post-processing, Isensee et al. 2021), where the metric has a score for each class.
    """
    import numpy as np

    if not hasattr(postprocess, "fit") or len(predictions) < 2 * PARTS:
        return None
    chosen = range(0, len(predictions), -(-len(predictions) // MOST))
    predictions, truths = [predictions[i] for i in chosen], [truths[i] for i in chosen]

    def statistics(process: Postprocess, indices: Sequence[int]) -> list[np.ndarray]:
        return [metric.compare(truths[i], process(predictions[i])) for i in indices]

    everything = range(len(predictions))
    fitted = postprocess.fit(predictions, truths, metric)
    counts = np.stack(statistics(postprocess, everything))
    before = metric.reduce(counts)
    if fitted == postprocess:
        return Gate(postprocess, False, before, before, before, describe(postprocess))
    fitted_counts = np.stack(statistics(fitted, everything))
    after, fell = metric.reduce(fitted_counts), fallen(metric, counts, fitted_counts)
    held_out: list[np.ndarray] = []
    for part in range(PARTS):
        rest = [i for i in everything if i % PARTS != part]
        inner = postprocess.fit([predictions[i] for i in rest], [truths[i] for i in rest], metric)
        held_out += statistics(inner, everything[part::PARTS])
    nested = metric.reduce(np.stack(held_out))
    kept = better(metric, after, before) and better(metric, nested, before) and not fell
    result = fitted if kept else postprocess
    return Gate(result, kept, before, after, nested, describe(result), fell)


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
