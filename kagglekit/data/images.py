"""Reading picture files so that damage is noticed and nothing is guessed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import DataError
from kagglekit.types import Depth

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".dcm"})
MAX_PIXELS = 500_000_000  # larger single pictures are slides, which are read by window
_DEEP_MODES = ("I", "F")  # PIL's names begin so for 16-bit, 32-bit and float pictures
_DEEP_RAW = (";16B", ";16L", ";16N")  # 16-bit colour, which PIL would silently cut down to 8 bits
_ROTATED = range(2, 9)  # EXIF orientations other than "as stored"
_EXIF_ORIENTATION = 0x0112


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 `[H, W, 3]` of an 8-bit picture file, EXIF orientation applied as viewers and labelling tools do.

    Gray, palette, RGBA and CMYK pictures are converted (alpha is dropped). Raises DataError naming the file for
    missing, empty, truncated and non-image files, for more than 8 bits, and for another (height, width) than `size`.
    """
    import numpy as np
    from PIL import ImageOps

    image = _open(path)
    if image.mode.startswith(_DEEP_MODES) or any(raw in str(tile) for tile in image.tile for raw in _DEEP_RAW):
        raise DataError(
            f"{path}: {image.mode} pixels (more than 8 bits); convert it to 8 bits, a silent conversion would "
            "guess the range"
        )
    try:
        image = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{path}: damaged picture: {_plain(error)}; replace or remove it") from error
    if size is not None and (image.height, image.width) != tuple(size):
        raise DataError(f"{path}: {image.height}x{image.width} pixels (height x width); expected {size[0]}x{size[1]}")
    return np.asarray(image)


def read_picture(path: Path, channels: int, depth: Depth, size: tuple[int, int] | None = None) -> np.ndarray:
    """`[H, W, channels]` of `depth` of a picture file; 8-bit colour by `read_rgb`, everything else as it is stored.

    16-bit PNG and TIFF, and DICOM (`.dcm`, rescale slope and intercept applied) are read without any change of range.
    Raises DataError for damage, another number of channels, values that do not fit the depth, another size.
    """
    if depth == "uint8" and channels == 3:
        return read_rgb(path, size)
    array = _read_dicom(path) if Path(path).suffix.lower() == ".dcm" else _read_as_stored(path)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != channels:
        raise DataError(f"{path}: pixels of shape {array.shape}; expected {channels} channel(s)")
    if size is not None and array.shape[:2] != tuple(size):
        raise DataError(
            f"{path}: {array.shape[0]}x{array.shape[1]} pixels (height x width); expected {size[0]}x{size[1]}"
        )
    return _as_depth(path, array, depth)


def _read_as_stored(path: Path) -> np.ndarray:
    import numpy as np

    suffix = Path(path).suffix.lower()
    if suffix in (".tif", ".tiff"):
        import tifffile

        try:
            return np.squeeze(tifffile.imread(path))
        except FileNotFoundError:
            raise DataError(f"{path}: no such picture") from None
        except Exception as error:  # decoders raise whatever they like on damaged data
            raise DataError(f"{path}: damaged picture: {_plain(error)}; replace or remove it") from error
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture") from None
    array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if array is None:
        raise DataError(f"{path}: {'damaged or not a picture' if len(data) else 'empty file'}; replace or remove it")
    return array if array.ndim == 2 else np.ascontiguousarray(array[..., ::-1])


def _read_dicom(path: Path) -> np.ndarray:
    import pydicom

    try:
        file = pydicom.dcmread(path)
        array = file.pixel_array
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture") from None
    except Exception as error:
        raise DataError(f"{path}: damaged or not DICOM: {_plain(error)}; replace or remove it") from error
    slope, intercept = float(getattr(file, "RescaleSlope", 1)), float(getattr(file, "RescaleIntercept", 0))
    return array if (slope, intercept) == (1, 0) else array * slope + intercept


def _as_depth(path: Path, array: np.ndarray, depth: Depth) -> np.ndarray:
    import numpy as np

    if array.dtype == depth:
        return array
    limits = np.iinfo(depth)
    low, high = array.min(initial=0), array.max(initial=0)
    if not (np.isfinite(low) and np.isfinite(high)) or low < limits.min or high > limits.max:
        raise DataError(f"{path}: values from {low:g} to {high:g} do not fit {depth} ({limits.min} to {limits.max})")
    if array.dtype == np.uint8:
        raise DataError(f"{path}: 8-bit pixels where {depth} was expected; convert it with its range kept")
    return np.rint(array).astype(depth) if array.dtype.kind == "f" else array.astype(depth)


def describe(path: Path) -> tuple[tuple[int, int], list[str]]:
    """(height, width) as displayed and what is unusual about a picture, without decoding it; raises DataError."""
    image = _open(path)
    notes = []
    if image.mode != "RGB":
        notes.append(f"{image.mode} pixels, read as RGB")
    size = (image.height, image.width)
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    if orientation in _ROTATED:
        notes.append(f"EXIF orientation {orientation}, applied")
        size = size[::-1] if orientation >= 5 else size
    return size, notes


def list_pictures(folder: Path) -> list[Path]:
    """Picture files directly in `folder`, sorted by name; raises DataError if there is no such folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def write_png(path: Path, array: np.ndarray) -> None:
    """Write uint8 `[H, W]` or `[H, W, 3]` as PNG, by way of a temporary name."""
    from PIL import Image

    from kagglekit.files import write_bytes

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def _open(path: Path) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture") from None
    if not data:
        raise DataError(f"{path}: empty file; replace or remove it")
    Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is the limit; PIL's lower one would call a large picture damaged
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture; replace or remove it") from None
    except Exception as error:
        raise DataError(f"{path}: damaged picture: {_plain(error)}; replace or remove it") from error
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{path}: {image.width}x{image.height} pixels are too many to decode at once")
    return image


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__
