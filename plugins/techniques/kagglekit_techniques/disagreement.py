"""How far the probabilities of networks and a label disagree."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

BINS, SPREAD = 16, 0.7  # cells of each channel in a histogram, and how far a pixel counts for its neighbours
FLOOR = 1e-4  # density of a colour that was never seen
CONTRAST = 0.2  # see `stands_out`
DOUBT = 1e-4  # networks are never surer than that
COLOURS = 20.0  # times likelier, at most, that colours make or unmake a region: others have them too
LEAST_AREA = 12  # pixels of a label below which its colours say nothing
SMALLER = 0.25  # of the largest region, that others must have to be left out as well
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


def missed_region(image: np.ndarray, probs: np.ndarray, mask: np.ndarray, task: str) -> tuple[float, np.ndarray]:
    """(size of the largest region that a label seems to leave out, bool `[K, h, w]` of what it leaves out).

    A pixel outside the label belongs to a region where networks and colours together make it likely (see `belief`).
    What is a pixel thin, touches the outline, or does not stand out from its surroundings does not count. The size is
    the geometric mean of the region's shares of the label and of the image, so that half of a small label counts more
    than a strand of a large one; 0 for none. What is left out are the regions of at least `SMALLER` of the largest, and
    the rim between them and the label. `image` is uint8 `[h, w, C]`.
    """
    _, labelled = planes(probs, mask, task)
    inside = labelled.any(0)
    outside = cv2.dilate(inside.astype(np.uint8), THICK) == 0
    worst, missed = 0.0, np.zeros_like(labelled)
    for k, label in enumerate(labelled):
        area = int(label.sum())
        if area < LEAST_AREA or not outside.any():
            continue
        alike = likeness(image, label)
        both = belief(alike, probs[k + 1] if task == "multiclass" else probs[k])
        sizes, pieces = regions(both, alike, outside)
        if len(sizes):
            largest = max(sizes.values())
            worst = max(worst, largest / (area * label.size) ** 0.5)
            found = np.isin(pieces, [piece for piece, size in sizes.items() if size >= SMALLER * largest])
            rim = (cv2.dilate(found.astype(np.uint8), THICK) > 0) & (both > 0.5)
            missed[k] = (found | rim) & ~inside
    return worst, missed


def regions(both: np.ndarray, alike: np.ndarray, outside: np.ndarray) -> tuple[dict[int, float], np.ndarray]:
    """(number of a region -> its believed pixels, number of each pixel) of what stands out outside a label."""
    open_ = cv2.morphologyEx(((both > 0.5) & outside).astype(np.uint8), cv2.MORPH_OPEN, THICK)
    _, pieces = cv2.connectedComponents(open_)
    sizes = np.bincount(pieces.ravel(), (2 * both - 1).ravel())
    large = [int(piece) for piece in np.argsort(-sizes[1:]) + 1 if sizes[piece] > 0]
    found: dict[int, float] = {}
    for piece in large:
        if found and sizes[piece] < SMALLER * max(found.values()):
            break  # from the largest down: the rest is smaller still
        if stands_out(alike, pieces == piece, outside):
            found[piece] = float(sizes[piece])
    return found, pieces


def completed(mask: np.ndarray, missed: np.ndarray, task: str) -> np.ndarray:
    """A mask of an image's size with a region added that it missed, bool `[K, h, w]` as `missed_region` gives it."""
    mask = mask.copy()
    for k, part in enumerate(missed):
        if not part.any():
            continue
        region = cv2.resize(part.astype(np.float32), mask.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        if mask.ndim == 3:
            mask[..., k] |= region
        else:
            mask[region & (mask == 0)] = k + 1 if task == "multiclass" else 1
    return mask


def belief(alike: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Networks' probabilities after a look at the colours, by Bayes' rule; all are float `[h, w]` in 0..1.

    Networks that learned from labels which leave something out doubt it where they see it; that it has the colours of
    what is labelled beside it settles the doubt. Where they see nothing, colours are not enough.
    """
    probs = np.clip(probs, DOUBT, 1 - DOUBT)
    alike = np.clip(alike, 1 / (1 + COLOURS), COLOURS / (1 + COLOURS))
    odds = probs / (1 - probs) * alike / (1 - alike)
    return odds / (1 + odds)


def stands_out(alike: np.ndarray, region: np.ndarray, outside: np.ndarray) -> bool:
    """Is a bool region likelier by its colours than what is around it (and outside the label), by `CONTRAST`?

    Ground of the same colours as the label has no such border where the networks' doubt ends.
    """
    around = cv2.dilate(region.astype(np.uint8), THICK, iterations=2) > 0
    ring = around & ~region & outside
    return not ring.any() or bool(alike[region].mean() - alike[ring].mean() > CONTRAST)


def likeness(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """float `[h, w]` in 0..1: how likely the colour of each pixel is inside a bool label against outside.

    Densities, not counts: a label is as likely as the rest, however small it is, or what it leaves out would count as
    background. The histogram is of CIELAB where there are three channels, else of the first three as they are.
    """
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB) if image.shape[2] == 3 else image[..., :3]
    cells = tuple(np.moveaxis(colours // (256 // BINS), -1, 0))
    densities = []
    for part in (label, ~label):
        counts = np.zeros((BINS,) * colours.shape[2])
        np.add.at(counts, tuple(axis[part] for axis in cells), 1.0)
        densities.append(gaussian_filter(counts, SPREAD) / max(1, int(part.sum())) + FLOOR)
    return (densities[0] / (densities[0] + densities[1]))[cells]
