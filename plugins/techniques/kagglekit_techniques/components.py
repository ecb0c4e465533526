"""Regions and holes of masks, class by class: which are removed or filled, and which choice validation likes best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kagglekit import Metric, Postprocess, Prediction
from kagglekit.api import Task, track

# Parts of an image; 0 changes nothing. Each is about twice the one before.
AREAS = (0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05)
GRIDS = {"min-area": AREAS, "fill-holes": AREAS, "largest-component": (0.0, 1.0)}


@dataclass(frozen=True)
class Mended:
    """The masks of `inner`, each class mended by its own of the `choices`; 0 leaves a class alone.

    `kind`: "min-area" removes regions of a smaller part of the image than the choice, "fill-holes" fills smaller
    holes, "largest-component" removes all regions but the largest where the choice is 1.
    """

    inner: Postprocess
    kind: str
    choices: tuple[float, ...]
    task: Task

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """The mask of `inner`, mended."""
        return self._mend(self.inner(prediction))

    def _mend(self, mask: np.ndarray) -> np.ndarray:
        mended = mask.copy()
        for k, choice in enumerate(self.choices):
            if choice:
                parts = Parts.of(mask, k, self.kind, self.task)
                parts.flip(mended, parts.chosen(choice))
        return mended

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> Mended:
        """`inner` fitted, if it can be, then the choice of each class with the best score; ties change nothing.

        Classes are fitted one after the other: what is done to one touches no pixel that is done to another.
        """
        fits = hasattr(self.inner, "fit")
        fitted = replace(self, inner=self.inner.fit(predictions, truths, metric)) if fits else self
        masks = [fitted.inner(prediction) for prediction in track(predictions, len(predictions), "masks to mend")]
        mended = [self._mend(mask) for mask in masks]
        sign = 1 if metric.greater_is_better else -1
        for k in range(1 if self.task == "multiclass" else 0, len(self.choices)):
            grid = sorted({*GRIDS[self.kind], self.choices[k]})
            triples = track(zip(masks, mended, truths, strict=True), len(masks), f"fitting {self.kind} of class {k}")
            counts = [list(self._counts(*triple, metric, k, grid)) for triple in triples]
            scores = [sign * metric.reduce(np.stack(column)) for column in zip(*counts, strict=True)]
            if max(scores) > scores[grid.index(self.choices[k])] + 1e-12:
                chosen = grid[int(np.argmax(scores))]
                fitted = replace(fitted, choices=(*fitted.choices[:k], chosen, *fitted.choices[k + 1 :]))
                mended = [fitted._mend(mask) for mask in masks]
        return fitted

    def _counts(
        self, mask: np.ndarray, mended: np.ndarray, truth: np.ndarray, metric: Metric, k: int, grid: Sequence[float]
    ) -> Iterator[np.ndarray]:
        """The metric's counts of one image with each choice of the grid for class `k`; others are mended already."""
        parts = Parts.of(mask, k, self.kind, self.task)
        present = parts.chosen(self.choices[k])
        others = np.where(parts.within(present, mask), mask, mended) if present.any() else mended
        before, counts = None, None
        for choice in grid:
            chosen = parts.chosen(choice)
            if before is None or (chosen != before).any():  # most choices change nothing in most images
                changed = others.copy()
                parts.flip(changed, chosen)
                before, counts = chosen, metric.compare(truth, changed)
            yield counts


@dataclass(frozen=True)
class Parts:
    """Regions of one class, or holes in them: a number for each pixel (0: of none), and by number the pixels of each.

    `becomes` is the value of flipped pixels, `plane` where they lie in a mask with a plane per class, else None.
    """

    kind: str
    numbers: np.ndarray
    sizes: np.ndarray
    becomes: int
    plane: int | None

    @classmethod
    def of(cls, mask: np.ndarray, k: int, kind: str, task: Task) -> Parts:
        """The parts of class `k` of a mask."""
        plane = k if mask.ndim == 3 else None
        shown = mask == k if task == "multiclass" else (mask if plane is None else mask[..., k]) > 0
        if not shown.any():
            numbers, sizes = np.zeros(shown.shape, np.int32), np.zeros(1, int)
        elif kind == "fill-holes":
            numbers, sizes = _holes(shown, mask == 0 if task == "multiclass" else ~shown)
        else:
            _, numbers, stats, _ = cv2.connectedComponentsWithStats(shown.astype(np.uint8), connectivity=8)
            sizes = stats[:, cv2.CC_STAT_AREA].copy()
            sizes[0] = 0
        becomes = (k if task == "multiclass" else 1) if kind == "fill-holes" else 0
        return cls(kind, numbers, sizes, becomes, plane)

    def chosen(self, choice: float) -> np.ndarray:
        """bool by number: which parts are removed or filled."""
        there = self.sizes > 0
        if self.kind == "largest-component":
            return there & (np.arange(len(there)) != self.sizes.argmax()) if choice else np.zeros_like(there)
        return there & (self.sizes < choice * self.numbers.size)

    def flip(self, mask: np.ndarray, chosen: np.ndarray) -> None:
        """Change the pixels of chosen parts in `mask`."""
        if chosen.any():
            pixels = mask if self.plane is None else mask[..., self.plane]
            pixels[chosen[self.numbers]] = self.becomes

    def within(self, chosen: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """bool, of the shape of `mask`: the pixels of chosen parts."""
        pixels = np.zeros(mask.shape, bool)
        (pixels if self.plane is None else pixels[..., self.plane])[:] = chosen[self.numbers]
        return pixels


def _holes(shown: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and sizes of what `shown` encloses entirely; of those, parts with a pixel that is not `free` are none."""
    # Regions hang together over corners, so what is between them does not.
    _, numbers, stats, _ = cv2.connectedComponentsWithStats((~shown).astype(np.uint8), connectivity=4)
    sizes = stats[:, cv2.CC_STAT_AREA].copy()
    edge = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
    sizes[edge] = 0
    sizes[np.unique(numbers[~free])] = 0
    sizes[0] = 0
    return numbers, sizes
