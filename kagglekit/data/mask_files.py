"""Masks of one object as people save them: black and white, 0 and 1, palettes, colours, soft edges, JPEG.

One rule for all of them. What is shown decides, not how it is stored: black is the ground. A lossless picture of 0 and
one other value is as it is; everything else is cut at half of its range. What could mean two things is refused.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

LOSSY = frozenset({"JPEG", "JPEG2000", "MPO", "WEBP", "AVIF"})
_DEEP_RAW = (";16B", ";16L", ";16N")  # 16-bit colour, which PIL would silently cut down to 8 bits
_PHOTOMETRIC, _SOFTWARE, _WHITE_IS_ZERO = 262, 305, 0
_OPAQUE = 255
_TINT = 16  # how far apart the channels of a gray picture may be once it was compressed
_AGAIN = "save it as PNG of 0 and 255"


def read_binary(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1 from the file of a mask, turned as it is shown.

    Raises DataError naming the file for a missing, damaged or empty one, for another (height, width) than `size`, and
    for pixels that could mean two things: several colours, transparency that tells another mask, index numbers.
    """
    path = Path(path)
    if path.suffix.lower() == ".dcm":
        from kagglekit.data.images import read_picture

        return binary_values(read_picture(path, 1, "uint8", size)[..., 0], 255, str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not data:
        raise DataError(f"{path}: empty file; replace or remove it")
    image = _opened(data, path)
    if size is not None and (image.height, image.width) != tuple(size):
        raise DataError(f"{path}: {image.height}x{image.width} pixels (height x width); expected {size[0]}x{size[1]}")
    return binary_picture(image, str(path))


def binary_picture(image: Image, who: str) -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1 of an open picture; raises DataError, which begins by `who`."""
    import numpy as np

    lossless = image.format not in LOSSY
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
        told = f"{others} values above 0, up to {high:g}, none above half of " + (f"{most:g}" if most else "the range")
        raise DataError(f"{who}: {told}; which of them are the object? {_AGAIN}")
    return (gray > most / 2).astype(np.uint8)


def _opened(data: bytes, path: Path) -> Image:
    """The picture of a file, decoded, and turned as viewers show it."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is the limit
    try:
        image = Image.open(io.BytesIO(data))
        if fault := _unusable(image):
            raise DataError(f"{path}: {fault}")
        kind = image.format
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture that masks are read from; {_AGAIN}") from None
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{path}: damaged picture: {error or type(error).__name__}; replace or remove it") from error
    image.format = kind
    return image


def _unusable(image: Image) -> str:
    """Why a picture that is not decoded yet is no mask that can be read as it is shown, or ""."""
    from kagglekit.data.images import MAX_PIXELS

    if image.width * image.height > MAX_PIXELS:
        return f"{image.width}x{image.height} pixels are too many to decode at once"
    deep = image.mode.startswith("I") or any(raw in str(tile) for tile in image.tile for raw in _DEEP_RAW)
    if deep and image.mode.startswith(("RGB", "LA", "CMYK")):
        return f"{image.mode} pixels of 16 bits are no mask; {_AGAIN}"
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and deep:
        return f"white is 0 in 16 bits, which Pillow does not turn over; {_AGAIN}"
    # tifffile writes bool arrays so: True is 1, and 1 is shown black.
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode == "1" and "tifffile" in str(tags.get(_SOFTWARE)):
        return f"a bool array saved by tifffile, which shows what is True black; {_AGAIN}"
    if getattr(image, "n_frames", 1) > 1:
        return f"{image.n_frames} pictures in one file; a mask is one, {_AGAIN}"
    return ""


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
        return table.any(1).astype(np.uint8)[indices]
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
    return some.astype(np.uint8)
