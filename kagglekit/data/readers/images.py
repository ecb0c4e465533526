"""Reading image files so that damage is noticed and nothing is guessed."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.readers import dicom, png
from kagglekit.data.readers import orientation as orientations
from kagglekit.data.readers.depths import as_depth
from kagglekit.errors import DataError, first_line
from kagglekit.types import Depth

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}) | dicom.SUFFIXES
MAX_PIXELS = 500_000_000  # larger single images are slides, which are read by window
MAX_BYTES = 8 << 30  # of a decoded image of many or deep channels
# What PIL may open besides TIFF, which `tiff` reads: nothing that runs a program or refers to another file.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM")  # and WebP, see `_open`
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEEP_MODES = ("I", "F")  # PIL's names begin so for 16-bit, 32-bit and float images
DEEP_RAW = (";16B", ";16L", ";16N")  # 16-bit colour, which PIL would silently cut down to 8 bits


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 `[H, W, 3]` of an 8-bit image file, orientation applied as viewers and labelling tools do.

    Gray, palette, RGBA and CMYK images are converted (alpha is dropped). Raises DataError naming the file for
    missing, empty, truncated and non-image files, for more than 8 bits, and for another (height, width) than `size`.
    """
    import numpy as np

    if is_tiff(path):
        array = _read_tiff(path, as_colours=True)
    elif _is_dicom(path, data := _bytes(path)):
        array = dicom.read_dicom(path, data, MAX_PIXELS, as_bytes=True)
    elif png.is_plain(data):
        array = _read_png(path, _open(path, data), data)
    else:
        _refuse_wrong_checksum(path, data)
        image = _open(path, data)
        tiles = getattr(image, "tile", ())
        if image.mode.startswith(_DEEP_MODES) or any(raw in str(tile) for tile in tiles for raw in DEEP_RAW):
            raise _too_deep(path, image.mode)
        array = _decoded(path, image, "RGB")
    if array.dtype != np.uint8:
        raise _too_deep(path, str(array.dtype))
    array = _three_channels(path, array)
    _refuse_other_size(path, array, size)
    return array


def read_image(path: Path, channels: int, depth: Depth, size: tuple[int, int] | None = None) -> np.ndarray:
    """`[H, W, channels]` of `depth` of an image file; 8-bit colour by `read_rgb`, everything else as it is stored.

    16-bit PNG and TIFF, and DICOM (rescale and polarity applied) are read without any change of range, orientation
    is applied. Raises DataError for damage, another number of channels, values that do not fit the depth (fractions
    do not fit whole numbers), another size.
    """
    if depth == "uint8" and channels == 3:
        return read_rgb(path, size)
    array = read_as_shown(path)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != channels:
        raise DataError(f"{path}: pixels of shape {array.shape}; expected {channels} channel(s)")
    _refuse_other_size(path, array, size)
    return as_depth(path, array, depth)


def describe(path: Path) -> tuple[tuple[int, int], list[str]]:
    """(height, width) as displayed and what is unusual about an image, without decoding it; raises DataError."""
    if is_tiff(path):
        from kagglekit.data.readers import tiff

        found = tiff.open_tiff(path)
        _refuse_too_many(path, found.size)
        size, orientation, notes = found.size, found.orientation, tiff.unusual(found)
    elif _is_dicom(path, data := _bytes(path)):
        return dicom.describe(path, data, MAX_PIXELS)
    else:
        image = _open(path, data)
        size = (image.height, image.width)
        # Of a PNG without notes PIL would decode the whole image to look for an orientation.
        orientation = _orientation(image) if not png.is_png(data) or png.has_notes(data) else 1
        notes = [] if image.mode == "RGB" else [f"{image.mode} pixels, read as RGB"]
        if getattr(image, "n_frames", 1) > 1:
            notes.append(f"{getattr(image, 'n_frames', 1)} frames, the first is read")
    if orientation != 1:
        notes.append(f"EXIF orientation {orientation}, applied")
    return orientations.turned_size(size, orientation), notes


def list_images(folder: Path) -> list[Path]:
    """Image files directly in `folder`, sorted by name; raises DataError if there is no such folder.

    Folders and pipes are none, whatever they are called.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images")
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if Path(e.name).suffix.lower() in SUFFIXES and is_file(e)]
    return sorted(folder / name for name in names if not name.startswith("."))


def is_file(entry: os.DirEntry) -> bool:
    """Is it a file, or a link to one? A link to itself is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def write_png(path: Path, array: np.ndarray) -> None:
    """Write uint8 `[H, W]` or `[H, W, 3]` as PNG, by way of a temporary name."""
    from PIL import Image

    from kagglekit.files import write_bytes

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def is_tiff(path: Path) -> bool:
    """Does a file begin as TIFF does? Raises DataError for one that cannot be read, and for an empty one."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would else wait for somebody to write
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise DataError(f"{path}: not a file; remove it, or rename it")
            start = os.read(handle, 4)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise DataError(f"{path}: empty file; replace or remove it")
    return start in _TIFF_STARTS


def _bytes(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _is_dicom(path: Path, data: bytes) -> bool:
    return data[128:132] == b"DICM" or Path(path).suffix.lower() in dicom.SUFFIXES


def read_as_shown(path: Path) -> np.ndarray:
    """`[H, W]` or `[H, W, C]` of any kind of number, turned as it is shown; palettes are colours. Raises DataError."""
    if is_tiff(path):
        return _read_tiff(path)
    data = _bytes(path)
    if _is_dicom(path, data):
        return dicom.read_dicom(path, data, MAX_PIXELS)
    image = _open(path, data)
    if png.is_plain(data):
        return _read_png(path, image, data)
    if png.is_png(data) and data[24] == 16:  # with a transparent colour, which becomes the last channel
        return _read_png(path, image, data)[..., :-1]
    _refuse_wrong_checksum(path, data)
    modes = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
    return _decoded(path, image, modes.get(image.mode, image.mode))


def _read_png(path: Path, image: Image, data: bytes) -> np.ndarray:
    import numpy as np

    try:
        array = png.decode(data)
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{path}: damaged image: {first_line(error)}; replace or remove it") from error
    return np.ascontiguousarray(orientations.turned(array, _orientation(image) if png.has_notes(data) else 1))


def _read_tiff(path: Path, as_colours: bool = False) -> np.ndarray:
    """`[H, W, C]` of the image of a TIFF file as it is shown."""
    import numpy as np

    from kagglekit.data.readers import tiff, tiff_pixels
    from kagglekit.data.readers.slides import Slide

    found = tiff.open_tiff(path)
    _refuse_too_many(path, found.size, found.channels * np.dtype(found.depth).itemsize)
    if as_colours and not found.strange and (fault := tiff.alpha_fault(found)):
        raise DataError(f"{path}: {fault}; expected gray, RGB or RGBA")
    if found.strange:
        array = tiff_pixels.rgb_by_libtiff(found)
    elif tiff_pixels.is_plain_lzw(found):
        array = tiff_pixels.whole_by_libtiff(found)
    else:
        return Slide(path, found).read()
    return np.ascontiguousarray(orientations.turned(array, found.orientation))


def _decoded(path: Path, image: Image, mode: str) -> np.ndarray:
    """An opened image decoded to a mode of PIL, turned as it is shown."""
    import numpy as np

    try:
        image.load()  # raises for damage, but for that which only checksums show
        orientation = _orientation(image)
        if image.mode != mode:
            image = image.convert(mode)
        return np.ascontiguousarray(orientations.turned(np.asarray(image), orientation))
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{path}: damaged image: {first_line(error)}; replace or remove it") from error


def _orientation(image: Image) -> int:
    try:
        return orientations.known(image.getexif().get(orientations.TAG, 1))
    except Exception:  # damaged notes do not cost the image
        return 1


def _three_channels(path: Path, array: np.ndarray) -> np.ndarray:
    import numpy as np

    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == 2:  # gray and alpha
        return np.repeat(array[..., :1], 3, axis=2)
    if channels not in (3, 4):
        raise DataError(f"{path}: {channels} channels; expected gray, RGB or RGBA")
    return np.ascontiguousarray(array[..., :3])


def _too_deep(path: Path, kind: str) -> DataError:
    return DataError(
        f"{path}: {kind} pixels (more than 8 bits); convert it to 8 bits, a silent conversion would guess the range"
    )


def _refuse_other_size(path: Path, array: np.ndarray, size: tuple[int, int] | None) -> None:
    if size is not None and array.shape[:2] != tuple(size):
        raise DataError(
            f"{path}: {array.shape[0]}x{array.shape[1]} pixels (height x width); expected {size[0]}x{size[1]}"
        )


def _refuse_too_many(path: Path, size: tuple[int, int], bytes_each: int = 1) -> None:
    if size[0] * size[1] > MAX_PIXELS or size[0] * size[1] * bytes_each > MAX_BYTES:
        raise DataError(f"{path}: {size[1]}x{size[0]} pixels are too many to decode at once")


def open_image(path: Path) -> Image:
    """The header of an image that PIL reads (no TIFF, no DICOM); raises DataError, also for too many pixels."""
    data = _bytes(path)
    _refuse_wrong_checksum(path, data)
    return _open(path, data)


def _refuse_wrong_checksum(path: Path, data: bytes) -> None:
    if png.is_png(data) and png.is_damaged(data):
        raise DataError(f"{path}: damaged image: a checksum is wrong; replace or remove it")


def _open(path: Path, data: bytes) -> Image:
    from PIL import Image, UnidentifiedImageError
    from PIL.WebPImagePlugin import WebPImageFile  # PIL knows it once it is imported

    formats = (*_FORMATS, WebPImageFile.format)
    Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is the limit; PIL's lower one would call a large image damaged
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        if data.startswith(b"\xff\xd8\xff"):
            raise DataError(f"{path}: a JPEG that is not read (of 12 bits, or lossless); save it as PNG") from None
        raise DataError(f"{path}: not an image; replace or remove it") from None
    except Exception as error:
        raise DataError(f"{path}: damaged image: {first_line(error)}; replace or remove it") from error
    _refuse_too_many(path, (image.height, image.width))
    return image
