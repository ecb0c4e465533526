"""Masks as PNG: binary 0 and 1 (or 255), the index of the class of each pixel, or a bit per class that may overlap."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.readers import png
from kagglekit.data.readers.mask_files import binary_image
from kagglekit.errors import DataError
from kagglekit.types import Size, Task

if TYPE_CHECKING:
    import numpy as np


def encode(mask: np.ndarray, task: Task) -> bytes:
    """The PNG of a mask: uint8 `[H, W]`, or `[H, W, K]` of 0 and 1 where up to 16 classes overlap."""
    import numpy as np
    from PIL import Image

    if task == "binary":
        mask = np.where(mask > 0, np.uint8(255), np.uint8(0))  # white, for people who open it
    elif mask.ndim == 3:
        bits = (mask.astype(np.uint16) << np.arange(mask.shape[2], dtype=np.uint16)).sum(2)
        mask = bits.astype(np.uint8 if mask.shape[2] <= 8 else np.uint16)
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return stream.getvalue()


def read(path: Path, size: Size, task: Task, classes: int) -> np.ndarray:
    """The mask in a file, as `decode` gives it; raises DataError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"mask {path}: cannot be read: {error.strerror}") from error
    return decode(data, f"mask {path}", size, task, classes)


def decode(data: bytes, who: str, size: Size, task: Task, classes: int) -> np.ndarray:
    """The mask in a PNG: uint8 `[H, W]`, or `[H, W, K]` where classes overlap; raises DataError, which begins by `who`.

    Binary: 0 and 1, or 0 and 255. Label map: the index of the class. Overlapping classes: bit k for class k, 8 or 16
    bits deep.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # a slide's mask is as large as the slide
    try:
        image = Image.open(io.BytesIO(data))
        if image.format != "PNG":
            raise ValueError(f"it is a {image.format}")
        if png.is_damaged(data):  # PIL does not compare checksums
            raise ValueError("a checksum is wrong")
        array = np.asarray(image)  # a palette stays indices
        coloured = task == "binary" and image.mode == "P"  # where the colours say more than the indices
    except UnidentifiedImageError:
        raise DataError(f"{who}: not a PNG, or damaged; save it again") from None
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise DataError(f"{who}: not a PNG, or damaged: {error}; save it again") from error
    if array.ndim != 2 or array.shape != tuple(size):
        form = f"{array.shape[0]}x{array.shape[1]} pixels" + (
            f" of {array.shape[2]} channels" if array.ndim > 2 else ""
        )
        raise DataError(f"{who}: {form}; expected {size[0]}x{size[1]} (height x width) of one channel")
    array = array.astype(np.uint8) if array.dtype == bool else array
    array = binary_image(image, who) if coloured else array
    most = {"binary": 1, "multiclass": classes - 1, "multilabel": 2**classes - 1}[task]
    if task == "binary" and set(np.unique(array).tolist()) <= {0, 255}:
        array = array // 255
    if array.max(initial=0) > most:
        raise DataError(f"{who}: holds the value {array.max()}; a {task} mask of this competition ends at {most}")
    if task == "multilabel" and classes > 1:
        return np.stack([(array >> k) & 1 for k in range(classes)], -1).astype(np.uint8)
    return array.astype(np.uint8)


def to_text(mask: np.ndarray, task: Task) -> str:
    """The PNG of a mask in base64, for JSON."""
    return base64.b64encode(encode(mask, task)).decode()


def from_text(text: str, who: str, size: Size, task: Task, classes: int) -> np.ndarray:
    """The mask whose PNG `text` holds in base64; raises DataError, which begins by `who`."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DataError(f"{who}: not base64: {error}") from error
    return decode(data, who, size, task, classes)
