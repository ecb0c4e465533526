"""Facts of labels: how often, how large, where, in how many parts, and which classes come together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kagglekit.eda.summaries import EDGES, LabelSummary
from kagglekit.types import Sample

# Shares of the image between which areas are counted: three bins to a power of ten.
AREAS = tuple(float(f"{10 ** (k / 3):.3g}") for k in range(-15, 1))
QUARTILES = (5, 25, 50, 75, 95)


def presence(summaries: Sequence[LabelSummary]) -> np.ndarray:
    """bool `[N, K]`: which classes each label shows."""
    return np.array([summary.shares for summary in summaries]).reshape(len(summaries), -1) > 0


def stated(samples: Sequence[Sample], classes: int, first: int) -> np.ndarray | None:
    """bool `[N, K]` of what samples state in their `classes`, `first` the index of class 0; None if none does."""
    if not any(sample.classes for sample in samples):
        return None
    shown = np.zeros((len(samples), classes), bool)
    for row, sample in zip(shown, samples, strict=True):
        row[[k - first for k in sample.classes if k >= first]] = True
    return shown


def together(shown: np.ndarray) -> list[list[int]]:
    """How many images show both of two classes; the diagonal says how many show one. `shown` is bool `[N, K]`."""
    counts = shown.astype(np.int64)
    return (counts.T @ counts).tolist()


def class_facts(summaries: Sequence[LabelSummary], names: Sequence[str], shown: np.ndarray) -> list[dict[str, Any]]:
    """By class: images that show it (of `shown` bool `[N, K]`), pixels, areas, regions, holes, edges it touches.

    `pictures` is a share of all labels, `pixels` one of all their pixels; `area` has percentiles of the share of an
    image among those that show the class.
    """
    found = []
    for k, name in enumerate(names):
        ours = [summary for summary in summaries if summary.shares[k] > 0]
        areas = np.array([summary.shares[k] for summary in ours])
        found.append(
            {
                "name": name,
                "count": int(shown[:, k].sum()),
                "pictures": float(shown[:, k].mean()) if len(shown) else 0.0,
                "pixels": float(np.mean([summary.shares[k] for summary in summaries])) if summaries else 0.0,
                "area": percentiles(areas),
                "histogram": histogram(areas),
                "regions": region_facts([summary.regions[k] for summary in ours]),
                "holes": float(np.mean([summary.holes[k] > 0 for summary in ours])) if ours else 0.0,
                "edges": edges([summary.touches[k] for summary in ours]),
            }
        )
    return found


def percentiles(values: np.ndarray) -> dict[str, float]:
    """Some percentiles by name ("p5" ... "p95"); empty without values."""
    if not len(values):
        return {}
    return {f"p{q}": float(v) for q, v in zip(QUARTILES, np.percentile(values, QUARTILES), strict=True)}


def histogram(areas: np.ndarray) -> list[int]:
    """How many areas lie between neighbours of `AREAS`; smaller ones count into the first bin."""
    return np.histogram(np.clip(areas, AREAS[0], AREAS[-1]), AREAS)[0].tolist()


def region_facts(regions: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Of the region areas of each label: how many regions, what part of labels has several, how small most are.

    `small_area` is the 5th percentile of areas; `histogram` counts labels with 1, 2, 3, 4, 5 and more regions; `rest`
    is the mean part of a label's area that lies outside of its largest region.
    """
    counts = np.array([len(areas) for areas in regions])
    if not len(counts):
        nothing = dict.fromkeys(("mean", "several", "median_area", "small_area", "rest"), 0.0)
        return nothing | {"most": 0, "histogram": [0] * 5}
    areas = np.concatenate([np.asarray(some, float) for some in regions])
    rest = [1 - some[0] / sum(some) for some in regions if len(some)]
    return {
        "mean": float(counts.mean()),
        "several": float((counts > 1).mean()),
        "most": int(counts.max()),
        "median_area": float(np.median(areas)) if len(areas) else 0.0,
        "small_area": float(np.percentile(areas, 5)) if len(areas) else 0.0,
        "rest": float(np.mean(rest)) if rest else 0.0,
        "histogram": np.bincount(np.clip(counts, 1, 5), minlength=6)[1:].tolist(),
    }


def edges(touches: Sequence[Sequence[bool]]) -> dict[str, float]:
    """The part of labels that touches each edge of the image, and "any" of them."""
    table = np.array(touches, bool).reshape(len(touches), len(EDGES))
    if not len(table):
        return dict.fromkeys((*EDGES, "any"), 0.0)
    return dict(zip(EDGES, table.mean(0).tolist(), strict=True)) | {"any": float(table.any(1).mean())}


class LabelMaps:
    """Adds up where labels lie, one look at a time, so that no map has to be kept."""

    def __init__(self, classes: int):
        self.total = np.zeros(classes, object)
        self.count = np.zeros(classes, int)

    def add(self, summary: LabelSummary) -> None:
        """Count one label, of each class that it shows."""
        for k, plane in enumerate(() if summary.cells is None else summary.cells):
            if summary.shares[k] > 0:
                self.total[k] = self.total[k] + plane.astype(np.float64)
                self.count[k] += 1

    def maps(self) -> list[list[list[float]]]:
        """By class, rows of the grid: the mean cover of each cell over the labels that show the class; [] for none."""
        pairs = zip(self.total, self.count, strict=True)
        return [np.round(total / count, 4).tolist() if count else [] for total, count in pairs]
