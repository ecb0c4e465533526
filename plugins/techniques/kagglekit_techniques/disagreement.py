"""How far the probabilities of networks and a label disagree."""

from __future__ import annotations

import cv2
import numpy as np

THICK = np.ones((3, 3), np.uint8)  # a rim of one pixel is no region that was missed: outlines are drawn differently


def planes(probs: np.ndarray, mask: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, labelled), bool `[K, h, w]` each, of the classes without the background of a label map.

    `probs` is float `[K, h, w]`, `mask` uint8 `[h, w]`, or `[h, w, K]` of several classes.
    """
    if task == "multiclass":
        classes = np.arange(1, len(probs))[:, None, None]
        return probs.argmax(0)[None] == classes, mask[None] == classes
    labelled = np.moveaxis(mask, -1, 0) if mask.ndim == 3 else mask[None]
    return probs > 0.5, labelled > 0


def agreement(probs: np.ndarray, mask: np.ndarray, task: str) -> float:
    """0..1: the IoU, the mean Dice of several classes, or the mean IoU of a label map, over classes that either shows.

    1 where neither shows any.
    """
    predicted, labelled = planes(probs, mask, task)
    both = (predicted & labelled).sum((1, 2))
    total = predicted.sum((1, 2)) + labelled.sum((1, 2))
    shown = total > 0
    if not shown.any():
        return 1.0
    scores = 2 * both[shown] / total[shown] if task == "multilabel" else both[shown] / (total - both)[shown]
    return float(scores.mean())


def missed_region(probs: np.ndarray, mask: np.ndarray, task: str) -> float:
    """The largest connected region that a class was predicted in and no class labelled, as a share of the label's area.

    A pixel counts by how sure the networks are (0 at a probability of 0.5, 1 at 1); what is one pixel thin does not
    count. 0 for an empty label, of which no share can be said.
    """
    predicted, labelled = planes(probs, mask, task)
    area = int(labelled.any(0).sum())
    if not area:
        return 0.0
    sure = np.clip(2 * (probs[1:] if task == "multiclass" else probs) - 1, 0, 1)
    worst = 0.0
    for k in range(len(predicted)):
        open_ = cv2.morphologyEx((predicted[k] & ~labelled.any(0)).astype(np.uint8), cv2.MORPH_OPEN, THICK)
        count, pieces = cv2.connectedComponents(open_)
        if count > 1:
            worst = max(worst, float(np.bincount(pieces.ravel(), sure[k].ravel())[1:].max()))
    return worst / area
