"""Masks of one object as people save them: black and white, 0 and 1, palettes, colours, soft edges, JPEG.

One rule for all of them. What is shown decides, not how it is stored: black is the ground. A lossless image of 0 and
one other value is as it is; everything else is cut at half of its range. What could mean two things is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.readers import dicom
from kagglekit.data.readers.images import DEEP_RAW
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

LOSSY = frozenset({"JPEG", "JPEG2000", "MPO", "WEBP", "AVIF"})
_OPAQUE = 255
_TINT = 16  # how far apart the channels of a gray image may be once it was compressed
_AGAIN = "save it as PNG of 0 and 255"


def read_binary(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1 from the file of a mask, turned as it is shown.

    Raises DataError naming the file for a missing, damaged or empty one, for another (height, width) than `size`, and
    for pixels that could mean two things: several colours, transparency that tells another mask, index numbers.
    """
    from kagglekit.data.readers import images

    path = Path(path)
    if images.is_tiff(path):
        mask = _of_tiff(path)
    elif path.suffix.lower() in dicom.SUFFIXES:
        mask = _of_array(images.read_as_shown(path), str(path), lossless=True)
    else:
        mask = binary_image(images.open_image(path), str(path))
    if size is not None and mask.shape != tuple(size):
        raise DataError(
            f"{path}: {mask.shape[0]}x{mask.shape[1]} pixels (height x width); expected {size[0]}x{size[1]}"
        )
    return mask


def _of_tiff(path: Path) -> np.ndarray:
    from kagglekit.data.readers import images, tiff

    image = tiff.open_tiff(path)
    page = image.page
    # True is 1 there, and 1 is shown black: a viewer and the one who saved it see opposite masks.
    if page.photometric == tiff.WHITE_IS_ZERO and page.bitspersample == 1 and "tifffile" in str(page.software):
        raise DataError(f"{path}: a bool array saved by tifffile, which shows what is True black; {_AGAIN}")
    if (many := max(len(image.pages), image.alike)) > 1:
        raise DataError(f"{path}: {many} images in one file; a mask is one, {_AGAIN}")
    return _of_array(images.read_as_shown(path), str(path), not tiff.is_lossy(image))


def _of_array(array: np.ndarray, who: str, lossless: bool) -> np.ndarray:
    """Of values `[H, W]` or `[H, W, C]` as they are shown."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if channels == 1:
        most = {"uint8": 255, "uint16": 65535}.get(str(array.dtype), 1 if array.dtype.kind == "f" else 0)
        return binary_values(array.reshape(array.shape[:2]), most, who, lossless)
    if channels > 4 or array.dtype != "uint8":
        raise DataError(f"{who}: {channels} channels of {array.dtype} are no mask; {_AGAIN}")
    return _of_colours(array, ("LA", "RGB", "RGBA")[channels - 2], who, lossless)


def binary_image(image: Image, who: str) -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1 of an opened image, turned as it is shown; raises DataError that begins by `who`."""
    import numpy as np
    from PIL import ImageOps

    kind = image.format
    deep = any(raw in str(tile) for tile in getattr(image, "tile", ()) for raw in DEEP_RAW)
    if deep and not image.mode.startswith("I"):
        raise DataError(f"{who}: {image.mode} pixels of 16 bits are no mask; {_AGAIN}")
    try:
        frames = getattr(image, "n_frames", 1)
        image.load()
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{who}: damaged image: {error or type(error).__name__}; replace or remove it") from error
    if frames > 1:
        raise DataError(f"{who}: {frames} images in one file; a mask is one, {_AGAIN}")
    lossless = kind not in LOSSY
    if "transparency" in image.info:  # stated beside the pixels, as PNG does of palettes and of one colour
        image = image.convert("RGBA")
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode in ("P", "PA"):
        return _of_palette(image, who)
    if image.mode in ("RGB", "RGBA", "LA", "RGBX"):
        return _of_colours(np.asarray(image), image.mode, who, lossless)
    if image.mode == "L":
        return binary_values(np.asarray(image), 255, who, lossless)
    if image.mode.startswith("I;16"):
        return binary_values(np.asarray(image).astype(np.uint16), 65535, who, lossless)
    if image.mode in ("I", "F"):
        return binary_values(np.asarray(image), 1 if image.mode == "F" else 0, who, lossless)
    raise DataError(f"{who}: {image.mode} pixels are no mask; {_AGAIN}")


def binary_values(gray: np.ndarray, most: float, who: str, lossless: bool = True) -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1 of gray values whose range ends at `most`, 0 where nobody knows; raises DataError."""
    import numpy as np

    top = gray.max(initial=0)
    if lossless and top > 0 and ((gray == 0) | (gray == top)).all() and np.isfinite(top):
        return (gray != 0).view(np.uint8)  # the usual case, without counting its values
    small = gray.dtype == np.uint8
    values = np.flatnonzero(np.bincount(gray.ravel(), minlength=256)) if small else np.unique(gray)
    if not len(values) or (values[-1] == 0 == values[0]):
        return np.zeros(gray.shape, np.uint8)
    low, high = float(values[0]), float(values[-1])
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise DataError(f"{who}: values from {low:g} to {high:g}; a mask has 0 and one more, {_AGAIN}")
    others = len(values) - (low == 0)
    if values[:4].tolist() == [0, 1, 255]:
        raise DataError(f"{who}: the values 0, 1 and 255; is 1 or 255 the object? {_AGAIN}")
    if not most or high > most or 2 * high <= most:
        range_text = f"{others} values above 0, up to {high:g}, none above half of " + (
            f"{most:g}" if most else "the range"
        )
        raise DataError(f"{who}: {range_text}; which of them are the object? {_AGAIN}")
    if lossless and 2 * low > most and len(values) > 1:
        raise DataError(
            f"{who}: values from {low:g} to {high:g}, none of them black; is one of them the ground? {_AGAIN}"
        )
    return (gray > most / 2).astype(np.uint8)


def _of_palette(image: Image, who: str) -> np.ndarray:
    """Of indices whose colours are gray or black and one more; a ground that is coloured could be either."""
    import numpy as np

    indices = np.asarray(image if image.mode == "P" else image.convert("P"))
    table = np.zeros((256, 3), np.uint8)
    colours = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
    table[: len(colours)] = colours
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    shown = table[used]
    if (shown == shown[:, :1]).all():
        return binary_values(table[indices, 0], 255, who)
    coloured = shown.any(1)
    if len(np.unique(shown[coloured], axis=0)) == 1 and (not coloured.all() or used[coloured].min() > 0):
        return np.asarray(table.any(1), np.uint8)[indices]
    raise DataError(f"{who}: a palette of {len(used)} colours, not of black and one more; {_AGAIN}")


def _of_colours(array: np.ndarray, mode: str, who: str, lossless: bool) -> np.ndarray:
    import numpy as np

    colours = array[..., : 1 if mode == "LA" else 3]
    mask = _of_rgb(colours, who, lossless)
    if mode in ("LA", "RGBA"):
        alpha = array[..., -1]
        if (alpha != _OPAQUE).any() and not np.array_equal(mask, alpha > _OPAQUE // 2):
            raise DataError(f"{who}: its transparency tells another mask than its colours; {_AGAIN}")
    return mask


def _of_rgb(colours: np.ndarray, who: str, lossless: bool) -> np.ndarray:
    import numpy as np

    first = colours[..., 0]
    if colours.shape[2] == 1 or all(np.array_equal(first, colours[..., k]) for k in (1, 2)):
        return binary_values(np.ascontiguousarray(first), 255, who, lossless)
    if not lossless and np.ptp(colours, 2).max(initial=0) <= _TINT:
        return binary_values(np.ascontiguousarray(colours[..., 1]), 255, who, lossless)
    some = colours.any(2)
    if not lossless or (colours[some] != colours[some][0]).any():
        raise DataError(f"{who}: several colours, not black and one more; {_AGAIN}")
    return np.asarray(some, np.uint8)
