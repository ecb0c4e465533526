"""What `label-rules` wants to know of one label: areas, pieces, and how well it fits its image, also when turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit import Dataset, Sample
from kagglekit.api import resize_image, resize_mask

if TYPE_CHECKING:
    import numpy as np

SIDE = 128  # pixels of the square that images and masks are brought to
LEAST_BORDER = 20  # pixels of outline below which nothing is said about edges
LEAST_PIECE = 4  # pixels at SIDE; smaller ones come from resizing
STEPS = (-10, -7, -5, -4, -3, 3, 4, 5, 7, 10)  # pixels at SIDE by which a mask is grown
CELLS = 8  # of each channel in a histogram of colours


@dataclass(frozen=True)
class Fit:
    """How a mask fits its image when turned by 0, 90, 180 and 270 degrees.

    `edges`: the mean rank (0..1) of the gradient along the outline among all pixels. `colours`: how much the colours
    inside and outside differ (total variation of their histograms, 0..1). `moved`: the edges of the mask shrunk or
    grown by `STEPS`, 0 where nothing is left of its outline.
    """

    edges: tuple[float, ...]
    colours: tuple[float, ...]
    moved: tuple[float, ...] = ()

    def turn(self) -> tuple[float, int]:
        """(what the best turn gains, its degrees); 0 where edges or colours alone speak for it."""
        gains = [
            (self.edges[k] - self.edges[0] + self.colours[k] - self.colours[0], 90 * k)
            for k in (1, 2, 3)
            if self.edges[k] > self.edges[0] and self.colours[k] > self.colours[0]
        ]
        return max(gains, default=(0.0, 0))

    def move(self) -> tuple[float, float]:
        """(gain in edges of the best shrinking or growing, its share of the side; below 0 for shrinking)."""
        gains = [(edges - self.edges[0], step / SIDE) for edges, step in zip(self.moved, STEPS, strict=False)]
        return max(gains, default=(0.0, 0.0))


@dataclass(frozen=True)
class Facts:
    """`areas`: shares of the image of each class (background of a label map left out); `share` of all together."""

    areas: tuple[float, ...]
    share: float
    pieces: int
    fit: Fit | None


def measure(dataset: Dataset, sample: Sample, task: str, classes: int, edges: bool) -> Facts:
    """The facts of one sample; its image is read only for `edges`. Raises DataError."""
    from kagglekit.api import small_image, small_mask, to_uint8

    if dataset.tiling is None:
        whole = dataset.read_mask(sample)
        areas, share = areas_of(whole, task, classes)
        small = resize_mask(whole, (SIDE, SIDE), task)
    else:
        small = small_mask(dataset, sample, (SIDE, SIDE), task)
        areas, share = areas_of(small, task, classes)
        small = resize_mask(small, (SIDE, SIDE), task)
    shown = small.any(-1) if small.ndim == 3 else small > 0
    fit = None
    if edges and share:
        image = resize_image(small_image(dataset, sample, (SIDE, SIDE)), (SIDE, SIDE))
        fit = fit_of(to_uint8(image), shown)
    return Facts(areas, share, pieces_of(shown), fit)


def areas_of(mask: np.ndarray, task: str, classes: int) -> tuple[tuple[float, ...], float]:
    """(share of the image of each class, share of all together)."""
    import numpy as np

    if task == "multiclass":
        shares = np.bincount(mask.ravel(), minlength=classes)[1:classes] / mask.size
        return tuple(shares.tolist()), float(shares.sum())
    if mask.ndim == 2:
        share = float(np.count_nonzero(mask) / mask.size)
        return (share,), share
    return tuple(mask.mean((0, 1)).tolist()), float(mask.any(-1).mean())


def pieces_of(shown: np.ndarray) -> int:
    """Connected pieces of a bool mask, without specks."""
    import cv2
    import numpy as np

    _, _, stats, _ = cv2.connectedComponentsWithStats(shown.astype(np.uint8), connectivity=8)
    return int((stats[1:, cv2.CC_STAT_AREA] >= LEAST_PIECE).sum())


def fit_of(image: np.ndarray, shown: np.ndarray) -> Fit | None:
    """How a bool mask fits a square image of its size; None for an outline too short to say."""
    import cv2
    import numpy as np

    turns = [np.ascontiguousarray(np.rot90(shown, -k)).astype(np.uint8) for k in range(4)]
    borders = [outline_of(mask) for mask in turns]
    if min(int(border.sum()) for border in borders) < LEAST_BORDER:
        return None
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1).reshape(*shown.shape, -1)
    steps = [
        np.stack([cv2.Sobel(smooth[..., c], cv2.CV_32F, dx, 1 - dx) for c in range(smooth.shape[2])]) for dx in (0, 1)
    ]
    strength = np.hypot(*steps).max(0)
    ranks = strength.ravel().argsort(kind="stable").argsort(kind="stable").reshape(shown.shape) / shown.size
    near = cv2.dilate(ranks.astype(np.float32), np.ones((3, 3), np.uint8))  # an outline may be a pixel beside
    cells = colours_of(smooth)
    moved = [outline_of(grown(turns[0], step)) for step in STEPS]
    return Fit(
        tuple(float(near[border].mean()) for border in borders),
        tuple(separation(cells, mask > 0) for mask in turns),
        tuple(float(near[border].mean()) if border.sum() >= LEAST_BORDER else 0.0 for border in moved),
    )


def grown(mask: np.ndarray, step: int) -> np.ndarray:
    """A uint8 mask grown by `step` pixels all around, shrunk if that is negative; the frame of the image stays."""
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(step) + 1,) * 2)
    change = cv2.dilate if step > 0 else cv2.erode
    return change(mask, disc, borderType=cv2.BORDER_REPLICATE)


def outline_of(mask: np.ndarray) -> np.ndarray:
    """bool: the outline of a uint8 mask, without the frame of the image, which is no edge."""
    import cv2
    import numpy as np

    border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    border[[0, -1]] = border[:, [0, -1]] = False
    return border


def colours_of(image: np.ndarray) -> np.ndarray:
    """int `[h, w]`: the cell of each pixel in a histogram over the first three channels, each over its own range."""
    import numpy as np

    channels = image[..., :3]
    low, high = channels.min((0, 1)), channels.max((0, 1))
    scaled = np.minimum((channels - low) * (CELLS / np.maximum(high - low, 1e-6)), CELLS - 1).astype(int)
    return scaled @ CELLS ** np.arange(channels.shape[2])


def separation(cells: np.ndarray, inside: np.ndarray) -> float:
    """Total variation (0..1) between the histograms inside and outside; 0 if one of them is empty."""
    import numpy as np

    if inside.all() or not inside.any():
        return 0.0
    counts = [np.bincount(cells[part], minlength=CELLS**3) / part.sum() for part in (inside, ~inside)]
    return float(np.abs(counts[0] - counts[1]).sum() / 2)
