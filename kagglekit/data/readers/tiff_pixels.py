"""Stored values of a TIFF image as they are shown: polarity, few bits, YCbCr, alpha; by libtiff where it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.data.readers import orientation as orientations
from kagglekit.data.readers import tiff
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from tifffile import TiffPage


def as_shown(pixels: np.ndarray, image: tiff.TiffImage) -> np.ndarray:
    """Stored values `[h, w, c]` as they are shown: white-is-zero turned round, few bits spread to 8, YCbCr as RGB."""
    import numpy as np

    page = image.page
    bits = page.bitspersample
    if bits in (1, 2, 4):
        pixels = pixels.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
    if page.photometric == tiff.WHITE_IS_ZERO:
        top = 255 if bits in (1, 2, 4) else 2**bits - 1
        return pixels.dtype.type(top) - pixels
    if page.compression == tiff.APERIO_YCBCR or (
        page.photometric == tiff.YCBCR and page.compression not in tiff.MAKES_RGB
    ):
        return _rgb_of_ycbcr(pixels, page)
    return pixels


def _rgb_of_ycbcr(pixels: np.ndarray, page: TiffPage) -> np.ndarray:
    """TIFF 6.0, section 21, with the file's own coefficients and reference values where it has them."""
    import numpy as np

    def stated(tag: int, plain: tuple) -> np.ndarray:
        values = np.asarray(page.tags.valueof(tag, plain), float)
        if values.size == 2 * len(plain):  # fractions
            values = values.reshape(-1, 2)[:, 0] / values.reshape(-1, 2)[:, 1]
        return values

    coefficients, references = tiff.YCBCR_TAGS
    red, green, blue = stated(coefficients, (0.299, 0.587, 0.114))
    low = stated(references, (0, 255, 128, 255, 128, 255)).reshape(3, 2)
    scale = np.array([255, 127, 127]) / (low[:, 1] - low[:, 0])
    y, cb, cr = np.moveaxis((pixels - low[:, 0]) * scale, -1, 0)
    r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
    rgb = np.stack([r, (y - red * r - blue * b) / green, b], -1)
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def is_plain_lzw(image: tiff.TiffImage) -> bool:
    """Is it one page of whole bytes in LZW, which libtiff unpacks in two thirds of the time?"""
    page = image.page
    plain = len(image.pages) == 1 and page.planarconfig != tiff.SEPARATE and page.bitspersample in (8, 16)
    return plain and page.compression == tiff.LZW and not page.is_subifd and all(page.databytecounts)


def whole_by_libtiff(image: tiff.TiffImage) -> np.ndarray:
    """`[H, W, C]` of an image, turned as it is stored; raises DataError."""
    import imagecodecs

    try:
        pixels = imagecodecs.tiff_decode(image.path.read_bytes(), index=image.page.index)
        return without_associated_alpha(as_shown(pixels.reshape(*image.size, image.channels), image), image)
    except Exception as error:
        raise DataError(f"{image.path}: damaged image: {error}; replace or remove it") from error


def rgb_by_libtiff(image: tiff.TiffImage) -> np.ndarray:
    """uint8 `[H, W, 3]` as stored of an image whose colours only libtiff understands (palette, CMYK, CIE L*a*b*)."""
    import imagecodecs

    if image.page.bitspersample > 8 or image.page.is_subifd:
        raise DataError(f"{image.path}: {image.strange}, which cannot be read; convert it to 8-bit RGB")
    try:
        rgb = imagecodecs.tiff_decode(image.path.read_bytes(), index=image.page.index, asrgb=True)[..., :3]
    except Exception as error:
        raise DataError(f"{image.path}: damaged image: {error}; replace or remove it") from error
    # libtiff mirrors what an orientation asks for, but never swaps rows and columns: take back what it did.
    undo = {2: 2, 6: 2, 3: 3, 7: 3, 4: 4, 8: 4}.get(image.orientation, 1)
    return orientations.turned(rgb, undo)


def without_associated_alpha(pixels: np.ndarray, image: tiff.TiffImage) -> np.ndarray:
    """uint8 `[H, W, 4]` whose colours were multiplied with their alpha, divided by it again; others as they are."""
    from PIL import Image

    if pixels.shape[2] != 4 or pixels.dtype != "uint8" or tiff.ASSOCIATED not in image.page.extrasamples:
        return pixels
    import numpy as np

    size = pixels.shape[1], pixels.shape[0]
    return np.asarray(Image.frombytes("RGBA", size, np.ascontiguousarray(pixels).tobytes(), "raw", "RGBa"))
