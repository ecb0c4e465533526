"""Is a view undone as it was done, and do masks lie where labels lie? Asked of each run, on a few images.

A view that is not undone, and labels that lie half a pixel off, cost points in silence: every mask still looks right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from kagglekit.data.windows import windows_with_tissue
from kagglekit.pipeline.prepare import Data
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.runs.record_parts import SelfCheckRecord

if TYPE_CHECKING:
    import numpy as np

IMAGES = 16  # looked at
LEAST = 6  # of them that must show something
OFFSET = 0.3  # pixels of the network's images: what is flagged
ALIKE = 0.5  # agreement below which a view may not be undone
WINDOW = 256  # stored pixels of what is looked at of tiled images
BLUR = 1.5  # pixels, so that a step between two labels has a slope


@dataclass(frozen=True)
class SelfCheck:
    """What was found: agreement of each view with the first (0..1), offsets (down, right) in network pixels, warnings.

    `offsets` are medians over images: of each view against the first, and of "labels" against where masks lie once
    they are averaged with their mirror image. `notes` say what costs something and is nobody's fault.
    """

    agreement: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, tuple[float, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def record(self) -> SelfCheckRecord:
        """As the result has it."""
        return SelfCheckRecord(agreement=self.agreement, offsets=self.offsets, warnings=self.warnings, notes=self.notes)


def self_check(names: Sequence[str], probs_by_view: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> SelfCheck:
    """Compare views with each other and with the labels.

    `looks` are probabilities `[V, K, h, w]` of some images, views in the order of `names`, undone; `truths` their
    masks as foreground shares `[K, h, w]` at the same size. Images in which nothing is seen say nothing.
    """
    import numpy as np

    pairs = zip(probs_by_view, truths, strict=True)
    shown = [(views_of_one, truth) for views_of_one, truth in pairs if views_of_one[0].max() > 0.5 and truth.max() > 0]
    if len(shown) < LEAST:
        return SelfCheck()
    agreement, offsets, warnings, notes = {}, {}, [], []
    to_labels = np.array([shift(views_of_one[0], truth) for views_of_one, truth in shown])
    lean = np.zeros_like(to_labels)  # of each image's masks: half of the way to their mirror image
    for v, name in enumerate(names[1:], 1):
        both = [(views_of_one[0], views_of_one[v]) for views_of_one, _ in shown]
        agreement[name] = float(np.median([soft_iou(*pair) for pair in both]))
        if agreement[name] < ALIKE and (better := undone_by(both, agreement[name])):
            warnings.append(
                f"view {name} is not undone: it agrees with {names[0]} by {agreement[name]:.2f}, after {better[0]} by "
                f"{better[1]:.2f}"
            )
            continue
        offsets[name] = middle(shifts := [shift(*pair) for pair in both])
        if far(shifts):
            for axis in (0, 1):
                if abs(offsets[name][axis]) > max(OFFSET, 2 * abs(np.median(lean[:, axis]))):
                    lean[:, axis] = np.array(shifts)[:, axis] / 2
    labels = (to_labels - lean).tolist()
    offsets["labels"] = middle(labels)
    if far(labels):
        warnings.append(
            f"labels lie {said(offsets['labels'])} from the masks that the network predicts, image after image: "
            "perhaps labels are shifted by part of a pixel, or were resized another way than the images"
        )
    elif (np.abs(np.median(lean, axis=0)) > OFFSET / 2).any():
        notes.append(
            f"masks lie {said(middle((2 * lean).tolist()))} from those of the mirrored image: the network is "
            "lopsided (padding on one side) and not trained long enough to make up for it; views average that out"
        )
    return SelfCheck(agreement, offsets, tuple(warnings), tuple(notes))


def soft_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of probabilities; 1 for equal ones that are sure."""
    import numpy as np

    union = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / union) if union else 1.0


def undone_by(pairs: Sequence[tuple[np.ndarray, np.ndarray]], agreement: float) -> tuple[str, float] | None:
    """A flip or turn after which a view agrees much better; None if there is none."""
    import numpy as np

    moves = {
        "a flip": lambda x: x[..., ::-1],
        "a vertical flip": lambda x: x[..., ::-1, :],
        "a turn by 180 degrees": lambda x: x[..., ::-1, ::-1],
        "a turn by 90 degrees": lambda x: np.rot90(x, 1, (-2, -1)),
        "a turn by 270 degrees": lambda x: np.rot90(x, 3, (-2, -1)),
    }
    found: dict[str, float] = {}
    for name, move in moves.items():
        alike = [soft_iou(a, move(b)) for a, b in pairs if move(b).shape == a.shape]
        if alike:
            found[name] = float(np.median(alike))
    best = max(found, key=found.__getitem__, default=None)
    return (best, found[best]) if best and found[best] > agreement + 0.15 else None


def shift(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """How far `b` lies from `a`, (down, right) in pixels, for shifts of up to about a pixel; maps `[K, h, w]`.

    The least squares of Lucas and Kanade (1981) on blurred maps; a third of the image's edge is left out by weight.
    """
    import cv2
    import numpy as np

    normal, right = np.zeros((2, 2)), np.zeros(2)
    for one, other in zip(a, b, strict=True):
        p, q = (cv2.GaussianBlur(np.ascontiguousarray(m, np.float32), (0, 0), BLUR) for m in (one, other))
        edge = max(2, int(4 * BLUR))
        inside = slice(edge, -edge), slice(edge, -edge)
        down, across = (np.asarray(g)[inside] for g in np.gradient((p + q) / 2))
        gap = (p - q)[inside]
        normal += [[(down * down).sum(), (down * across).sum()], [(down * across).sum(), (across * across).sum()]]
        right += [(down * gap).sum(), (across * gap).sum()]
    if np.linalg.det(normal) < 1e-6 * max(1e-9, np.trace(normal)) ** 2:
        return 0.0, 0.0  # an edge in one direction alone says nothing of the other
    found = np.linalg.solve(normal, right)
    return float(found[0]), float(found[1])


def middle(shifts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median shift in each direction."""
    import numpy as np

    down, right = np.median(np.asarray(shifts), axis=0)
    return float(down), float(right)


def far(shifts: Sequence[tuple[float, float]]) -> bool:
    """Is there an offset in all images alike: beyond `OFFSET`, and beyond what images differ in?"""
    import numpy as np

    values = np.asarray(shifts)
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0) / len(values) ** 0.5
    return bool(((np.abs(centre) > OFFSET) & (np.abs(centre) > 4 * spread)).any())


def said(offset: tuple[float, float]) -> str:
    """An offset in words."""
    down, right = offset
    up, side = "below" if down > 0 else "above", "right" if right > 0 else "left"
    return f"{abs(down):.2f} px {up} and {abs(right):.2f} px {side}"


def check_run(data: Data, predictor: Predictor) -> SelfCheck:
    """Look at some validation images, or windows of tiled ones; `predictor` keeps views apart and has one member."""
    store, part = data.store, data.splits[0]
    draws = [draw for sample in part.validation for draw in windows_with_tissue(store, [sample], WINDOW, WINDOW)]
    shown = (store.read(draw.sample, draw.box) for draw in draws)
    some = list(islice(((image, mask) for image, mask in shown if mask.any()), IMAGES))
    probs_by_view = [
        views_of_one.probs
        for views_of_one in predict_all(predictor, some, lambda pair: pair[0], 4)
        if views_of_one.probs is not None
    ]
    truths = [planes(mask, store.task, store.classes) for _, mask in some]
    return self_check([view.name for view in predictor.views], probs_by_view, truths)


def planes(mask: np.ndarray, task: str, classes: int) -> np.ndarray:
    """A stored mask as float32 `[K, h, w]`."""
    import numpy as np

    if task == "multiclass":
        return (mask[None] == np.arange(classes)[:, None, None]).astype(np.float32)
    return (mask[None] if mask.ndim == 2 else mask.transpose(2, 0, 1)).astype(np.float32)
