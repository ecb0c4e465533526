"""One look at an image and at its label: the small numbers that all facts are made of; files are read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kagglekit.data import duplicates
from kagglekit.data.resize import resize_image, resize_mask, shrink_image, tiling_of
from kagglekit.data.thumbs import small_mask
from kagglekit.data.windows import is_blank
from kagglekit.protocols import Dataset
from kagglekit.types import Draw, Sample, Task

SIDE = 512  # pixels of the longer side at which regions and holes of labels are counted
SLIDE_SIDE = 2048  # the same for slides, whose objects are small
GRID = 32  # cells of a side of the map of positions
FEATURES = 256  # pixels of the longer side at which images are compared
PIXELS = 16_384  # values of an image that go into histograms
RIM = 0.01  # of a side: whoever outlines by hand stops a little before the edge
LEAST_PIECE = 3  # pixels; smaller regions come from resizing
EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class ImageSummary:
    """An image, or a window of a slide: comparable `features`, hash and thumbnail, some of its pixels.

    `values` `[n, C]` are pixels as they are stored, `inside` bool `[n]` says which of them the label covers, None
    without a label; `covered` is the share of those. A `blank` window shows no tissue, and counts nowhere.
    """

    sample: Sample
    features: dict[str, float]
    hash: int
    thumb: np.ndarray = field(repr=False)
    values: np.ndarray | None = field(repr=False)
    inside: np.ndarray | None = field(repr=False, default=None)
    covered: float = 0.0
    blank: bool = False

    def without_pixels(self) -> ImageSummary:
        """The same, small enough to keep thousands."""
        return replace(self, values=None, inside=None)


@dataclass(frozen=True)
class LabelSummary:
    """A label, class by class: share of the image, regions (sizes as shares), holes, which edges it touches.

    `share` is that of all classes together; `place` float32 `[K, GRID, GRID]` how much of each cell is covered.
    """

    sample: Sample
    shares: tuple[float, ...]
    share: float
    regions: tuple[tuple[float, ...], ...]
    holes: tuple[int, ...]
    touches: tuple[tuple[bool, bool, bool, bool], ...]
    cells: np.ndarray | None = field(repr=False)

    def without_map(self) -> LabelSummary:
        """The same, small enough to keep thousands."""
        return replace(self, cells=None)


def summarize(dataset: Dataset, sample: Sample, task: Task, classes: int) -> tuple[ImageSummary, LabelSummary | None]:
    """The looks of an image that is read whole, and of its label where it has one; raises DataError."""
    image = dataset.read_image(sample)
    mask = dataset.read_mask(sample) if sample.label is not None else None
    return summarize_image(sample, image, mask), None if mask is None else summarize_label(sample, mask, task, classes)


def summarize_window(dataset: Dataset, draw: Draw) -> ImageSummary:
    """The look of a window of a slide, shrunk as it is stored; raises DataError."""
    reduce = tiling_of(dataset.tiling).reduce
    image = shrink_image(dataset.read_image(draw.sample, draw.box), reduce)
    mask = None
    if draw.sample.label is not None:
        mask = dataset.read_mask(draw.sample, draw.box)[::reduce, ::reduce]
    blank = image.dtype == np.uint8 and is_blank(image, tiling_of(dataset.tiling))
    return summarize_image(draw.sample, image, mask, blank)


def summarize_slide_label(dataset: Dataset, sample: Sample, task: Task, classes: int) -> LabelSummary:
    """The look of a slide's label, which is read band by band and shrunk to `SLIDE_SIDE`; raises DataError."""
    scale = min(1.0, SLIDE_SIDE / max(sample.size))
    size = max(1, round(scale * sample.size[0])), max(1, round(scale * sample.size[1]))
    return summarize_label(sample, small_mask(dataset, sample, size, task), task, classes, SLIDE_SIDE)


def summarize_image(sample: Sample, image: np.ndarray, mask: np.ndarray | None, blank: bool = False) -> ImageSummary:
    """The look of pixels `[H, W, C]` and of their mask of the same size."""
    step = max(1, int(np.ceil(np.sqrt(image.shape[0] * image.shape[1] / PIXELS))))
    inside = None
    if mask is not None and mask.shape[:2] == image.shape[:2]:
        shown = mask[::step, ::step]
        inside = (shown.any(-1) if shown.ndim == 3 else shown > 0).ravel()
    values = np.ascontiguousarray(image[::step, ::step]).reshape(-1, image.shape[2])
    hashed, thumb = duplicates.hash_and_thumb(image)
    covered = 0.0 if inside is None else float(inside.mean())
    return ImageSummary(sample, features_of(image), hashed, thumb, values, inside, covered, blank)


def features_of(image: np.ndarray) -> dict[str, float]:
    """What can be said of any image: brightness, tonal range, saturation (of colour), sharpness, size, aspect.

    Brightness and tonal range are mean and standard deviation of its gray values, in shares of the range for 8 bits and
    as stored otherwise; saturation the mean of (max - min) / max; sharpness the logarithm (base 10) of the variance of
    the Laplacian at a common size, in units of the tonal range; size in megapixels.
    """
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, FEATURES / max(height, width))
    small = resize_image(image, (max(1, round(scale * height)), max(1, round(scale * width)))).astype(np.float32)
    small /= 255 if image.dtype == np.uint8 else 1
    gray = np.ascontiguousarray(small.mean(-1))
    spread = float(gray.std())
    edges = float(cv2.Laplacian(gray / max(spread, 1e-6), cv2.CV_32F).var())
    found = {"brightness": float(gray.mean()), "tonal range": spread}
    if image.shape[2] >= 3:
        high = small[..., :3].max(-1)
        found["saturation"] = float(((high - small[..., :3].min(-1)) / np.maximum(high, 1e-6)).mean())
    return found | {
        "sharpness": float(np.log10(edges + 1e-6)),
        "megapixels": height * width / 1e6,
        "aspect": width / height,
    }


def summarize_label(sample: Sample, mask: np.ndarray, task: Task, classes: int, side: int = SIDE) -> LabelSummary:
    """The look of a mask; areas are counted on all its pixels, regions with its longer side brought to `side`."""
    planes = class_planes(mask, task, classes)
    shares, share = tuple(planes.mean((1, 2)).tolist()), float(planes.any(0).mean())
    scale = min(1.0, side / max(mask.shape[:2]))
    small = resize_mask(mask, tuple(max(1, round(scale * one)) for one in mask.shape[:2]), task)
    parts = [regions_of(plane) for plane in class_planes(small, task, classes)]
    return LabelSummary(
        sample,
        shares,
        share,
        tuple(tuple(regions) for regions, _ in parts),
        tuple(holes for _, holes in parts),
        tuple(touched(plane) for plane in planes),
        place_of(list(planes)),
    )


def touched(plane: np.ndarray) -> tuple[bool, bool, bool, bool]:
    """Does a bool `[H, W]` reach the rim of the image at its `EDGES`: top, bottom, left, right?"""
    rows, columns = (max(1, round(RIM * side)) for side in plane.shape)
    rims = plane[:rows], plane[-rows:], plane[:, :columns], plane[:, -columns:]
    top, bottom, left, right = (bool(rim.any()) for rim in rims)
    return top, bottom, left, right


def class_planes(mask: np.ndarray, task: Task, classes: int) -> np.ndarray:
    """bool `[K, H, W]` of a mask in any of its forms; the background of a label map has no plane."""
    if task == "multiclass":
        return mask[None] == np.arange(1, classes, dtype=mask.dtype)[:, None, None]
    return np.moveaxis(mask, -1, 0) > 0 if mask.ndim == 3 else mask[None] > 0


def regions_of(plane: np.ndarray) -> tuple[list[float], int]:
    """(share of the image of each region, the largest first, and the number of holes) of a bool `[H, W]`."""
    import cv2

    if not plane.any():
        return [], 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
    # A frame of background around all joins what reaches the edge, which is no hole.
    free = np.pad(~plane, 1, constant_values=True).astype(np.uint8)
    _, _, gaps, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    outer = 1 + int(np.argmax(gaps[1:, cv2.CC_STAT_WIDTH]))  # no hole is as wide as the frame
    holes = sum(1 for k in range(1, len(gaps)) if k != outer and gaps[k, cv2.CC_STAT_AREA] >= LEAST_PIECE)
    kept = areas[areas >= LEAST_PIECE] if (areas >= LEAST_PIECE).any() else areas[:1]
    return [float(area) for area in kept / plane.size], holes


def place_of(planes: Sequence[np.ndarray]) -> np.ndarray:
    """float32 `[K, GRID, GRID]`: the share of each cell of a grid over the image that a class covers."""
    import cv2

    cells = [cv2.resize(plane.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(cells).astype(np.float32)
