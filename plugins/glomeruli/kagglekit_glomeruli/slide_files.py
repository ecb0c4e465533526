"""Writing slides in the forms that the contest's have: channels last or first, one image or three, tiles or strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

TILE = (256, 256)
STRIP = 64  # rows
JPEG_QUALITY = 88

# The first four occur once, because each needs a way of reading of its own; most slides are as the last two.
FORMS = ("planar", "five axes", "three images", "strips", "jpeg", "deflate")
ODD = 4


def form_of(number: int) -> str:
    """The form of the slide of that number."""
    return FORMS[number] if number < ODD else FORMS[ODD + number % (len(FORMS) - ODD)]


def write_slide(path: Path, image: np.ndarray, form: str) -> None:
    """Write uint8 `[H, W, 3]` in one of FORMS; raises ValueError for another form."""
    # No software and no date: the same image gives the same bytes.
    tiles = {"tile": TILE, "compression": "zlib", "predictor": True, "software": False}
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    match form:
        case "planar":
            tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None, **tiles)
        case "five axes":
            tifffile.imwrite(path, planes[None, None], photometric="minisblack", **tiles)
        case "three images":
            with tifffile.TiffWriter(path) as file:
                for plane in planes:
                    file.write(plane, photometric="minisblack", metadata=None, **tiles)
        case "strips":
            options = {"compression": "lzw", "predictor": True, "rowsperstrip": STRIP, "software": False}
            tifffile.imwrite(path, image, photometric="rgb", metadata=None, **options)
        case "jpeg":
            options = {"compression": "jpeg", "compressionargs": {"level": JPEG_QUALITY}}
            tifffile.imwrite(path, image, photometric="rgb", tile=TILE, metadata=None, software=False, **options)
        case "deflate":
            tifffile.imwrite(path, image, photometric="rgb", metadata=None, **tiles)
        case _:
            raise ValueError(f"no form of a slide: {form}")
