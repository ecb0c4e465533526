"""Do test images look like training images? Each feature by itself, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FOLDS = 5
BINS = 14  # of the histograms that are shown
LEAST = 8  # images of either part below which nothing is said
RIDGE = 1.0
STEPS = 25
SURE = 0.01  # the p-value below which a feature is said to differ, shared among all features
EFFECT = 0.1  # the statistic below which a sure difference is too small to matter
CLEAR, STRONG = 0.6, 0.75  # of the score of telling the parts apart


def drift(
    train: Sequence[dict[str, float]], test: Sequence[dict[str, float]], groups: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """By feature a two-sample test, and how well all of them tell test from train: {"verdict", "features", "auc"}.

    Features are those that all images have, unless they are the same for all; `groups` names the group of each
    training and then of each test image: images of one group are never learnt from and judged. The verdict is
    "unknown", "none", "some" or "strong".
    """
    if min(len(train), len(test)) < LEAST:
        return {"verdict": "unknown", "features": [], "auc": None, "train": len(train), "test": len(test)}
    every = (*train, *test)
    names = [name for name in train[0] if all(name in one for one in every)]
    names = [name for name in names if len({one[name] for one in every}) > 1]
    if not names:
        return {"verdict": "none", "features": [], "auc": None, "train": len(train), "test": len(test)}
    tables = [np.array([[one[name] for name in names] for one in part]) for part in (train, test)]
    features = [compare(name, a, b, len(names)) for name, a, b in zip(names, tables[0].T, tables[1].T, strict=True)]
    labels = np.repeat([0, 1], [len(train), len(test)])
    auc = telling_apart(np.concatenate(tables), labels, groups, seed)
    low, value = (auc["low"], auc["value"]) if auc else (0.5, 0.5)
    verdict = "none" if low <= 0.5 or value < CLEAR else "some" if value < STRONG else "strong"
    if verdict == "none" and any(one["differs"] for one in features):
        verdict = "some"
    return {"verdict": verdict, "features": features, "auc": auc, "train": len(train), "test": len(test)}


def compare(name: str, train: np.ndarray, test: np.ndarray, tests: int = 1) -> dict[str, Any]:
    """The two-sample Kolmogorov-Smirnov test of one feature.

    `statistic` (0..1) is the largest distance of both distributions; it `differs` if that is no chance (`SURE`, shared
    among `tests`) and not too small to matter (`EFFECT`). `train` and `test` are percentiles.
    """
    from scipy.stats import ks_2samp

    result = ks_2samp(train, test)
    statistic, p = float(result.statistic), float(result.pvalue)
    low, high = np.percentile(np.concatenate([train, test]), (0.5, 99.5))
    bins = np.linspace(low, high if high > low else low + 1, BINS + 1)
    return {
        "name": name,
        "statistic": statistic,
        "p": p,
        "differs": bool(p < SURE / tests and statistic >= EFFECT),
        "train": [float(v) for v in np.percentile(train, (25, 50, 75))],
        "test": [float(v) for v in np.percentile(test, (25, 50, 75))],
        "bins": [float(v) for v in bins],
        "shares": [
            np.round(np.histogram(np.clip(v, bins[0], bins[-1]), bins)[0] / len(v), 5).tolist() for v in (train, test)
        ],
    }


def telling_apart(table: np.ndarray, labels: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, float] | None:
    """The cross-validated AUC of a logistic regression on features `[N, F]`: 0.5 is a guess, 1 tells every image.

    Features count by rank, and by how far from the middle they are; so outliers do not matter, and a part that only
    spreads wider is noticed too. Returns {"value", "low", "high"} (95%, Hanley and McNeil 1982); None where groups are
    too few to hold some out.
    """
    folds = _folds(labels, groups, seed)
    if folds is None:
        return None
    ranks = _ranks(table)
    inputs = np.column_stack([ranks, ranks**2 - (ranks**2).mean(0), np.ones(len(ranks))])
    scores = np.zeros(len(labels))
    for fold in range(FOLDS):
        held = folds == fold
        scores[held] = inputs[held] @ _logistic(inputs[~held], labels[~held])
        # Regressions of other folds have another zero; ranks within the fold can be compared.
        scores[held] = _ranks(scores[held, None])[:, 0]
    value = auc(scores, labels)
    ones, zeros = int(labels.sum()), int((1 - labels).sum())
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (value * (1 - value) + (ones - 1) * (q1 - value**2) + (zeros - 1) * (q2 - value**2)) / (ones * zeros)
    half = 1.96 * float(np.sqrt(max(variance, 0.0)))
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The part of pairs of a 1 and a 0 in which the 1 has the higher score; ties count half."""
    from scipy.stats import rankdata

    ones, zeros = int(labels.sum()), int((1 - labels).sum())
    return float((rankdata(scores)[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _folds(labels: np.ndarray, groups: Sequence[str], seed: int) -> np.ndarray | None:
    """A fold for each image, groups whole, each part spread over all folds; None where that cannot be."""
    keys = np.array([f"{label}:{group}" for label, group in zip(labels, groups, strict=True)])
    names, cells = np.unique(keys, return_inverse=True)
    chosen = np.zeros(len(names), int)
    rng = np.random.default_rng(seed)
    for label in ("0", "1"):
        ours = np.flatnonzero([name.startswith(f"{label}:") for name in names])
        if len(ours) < FOLDS:
            return None
        chosen[rng.permutation(ours)] = np.arange(len(ours)) % FOLDS
    return chosen[cells]


def _ranks(table: np.ndarray) -> np.ndarray:
    """Ranks of each column, from -1 to 1; a column of one value is 0."""
    from scipy.stats import rankdata

    return (2 * rankdata(table, axis=0) - len(table) - 1) / max(1, len(table) - 1)


def _logistic(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights of a ridge logistic regression in which both labels count alike, by Newton's method."""
    counts = np.bincount(labels, minlength=2)
    sure = (len(labels) / 2 / counts)[labels]
    weights = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (sure * (labels - chance)) - RIDGE * weights
        bend = (inputs * (sure * chance * (1 - chance))[:, None]).T @ inputs + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights
