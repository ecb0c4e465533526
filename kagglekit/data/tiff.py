"""What a TIFF file shows: which of its images is the picture, how its channels lie, how its values become colours.

One answer for whole pictures (`images`) and for windows of slides (`slides`). The picture is the largest image of the
file; previews before it, and pyramid levels and labels after it, are left out. Gray images of one size are channels.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data import orientation as orientations
from kagglekit.errors import DataError
from kagglekit.types import Size

if TYPE_CHECKING:
    import numpy as np
    from tifffile import TiffFile, TiffPage, TiffPageSeries

# It logs each odd tag as an error; what matters of a file is read or refused here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

MOST_CHANNELS = 64
MOST_IMAGES = 10_000  # of a file
CLASSIC = 42  # version of TIFF files below 4 GiB
SEPARATE = 2  # TIFF's planar configuration
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6  # photometric interpretations that are understood
LZW = 5  # compression
APERIO_YCBCR = 33003  # JPEG 2000 of YCbCr, whatever the photometric interpretation says
MAKES_RGB = (6, 7, 34892, 50001, 50002, 52546)  # codecs that give RGB of their own accord: JPEG, WebP, JPEG XL
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha that colours are multiplied with, and alpha that they are not
_YCBCR_TAGS = (529, 532)  # coefficients, and the values of black and white
_AXES = {"Z": "focal planes", "T": "points in time"}


@dataclass(frozen=True)
class Picture:
    """The image of a TIFF file that people see, as stored: pages of one channel (`planes`) or one page of them all.

    `size` is that of the stored rows and columns; `orientation` says how they are turned to be shown.
    """

    path: Path
    pages: tuple[TiffPage, ...]
    planes: bool
    size: Size
    channels: int
    depth: str
    orientation: int
    alike: int = 1  # pictures of this size in the file, of which this is the first

    @property
    def page(self) -> TiffPage:
        """The page that stands for all of them."""
        return self.pages[0]

    @property
    def strange(self) -> str:
        """What of its colours is not understood; "" where all is."""
        page = self.page
        photometric = _name(page.photometric)
        if page.photometric in (BLACK_IS_ZERO, RGB):
            return ""
        if page.photometric == WHITE_IS_ZERO:
            return "" if page.dtype.kind in "ub" else f"{photometric} of {page.dtype} pixels"
        if page.photometric != YCBCR or page.samplesperpixel != 3 or page.bitspersample != 8:
            return f"{photometric} pixels"
        if page.compression in MAKES_RGB or page.compression == APERIO_YCBCR:
            return ""
        if page.planarconfig == SEPARATE or tuple(page.subsampling or (2, 2)) != (1, 1):
            return "subsampled YCbCr pixels"
        # Whether a JPEG 2000 stream was converted is said inside of it.
        return f"YCbCr pixels in {_name(page.compression)}" if "JPEG" in _name(page.compression) else ""


def open_picture(path: Path) -> Picture:
    """The picture of a TIFF file; nothing is decoded. Raises DataError."""
    import tifffile

    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            _refuse_endless(file)
            series = _largest(file)
            pages = [_whole(page) for page in _pages(file, series)]
            for page in pages:
                # Read from the file now, used when it is closed.
                _ = page.dtype, page.jpegtables, page.decode, [page.tags.valueof(tag) for tag in _YCBCR_TAGS]
            page = pages[0]
            _refuse_stack(path, series, page)
            return replace(_picture(path, series, pages), alike=_alike(file, series))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture") from None
    except Exception as error:  # a damaged file makes readers raise whatever they like
        raise DataError(f"{path}: not a TIFF file that can be read: {str(error) or type(error).__name__}") from error


def _picture(path: Path, series: TiffPageSeries, pages: list[TiffPage]) -> Picture:
    page = pages[0]
    size = (page.imagelength, page.imagewidth)
    numbers = (*size, page.samplesperpixel, page.bitspersample)
    if not all(isinstance(number, int) for number in numbers) or any(_form(one) != _form(page) for one in pages):
        raise DataError(
            f"{path}: damaged: its {len(pages)} image(s) have no one size and kind of pixels; fetch it again"
        )
    if page.dtype is None or page.dtype.kind not in "buif" or min(size) < 1 or page.imagedepth != 1:
        kind = f"{page.bitspersample} bits of sample format {page.sampleformat}"
        raise DataError(f"{path}: {size[0]}x{size[1]} pixels of {kind}; expected whole or floating numbers")
    if page.samplesperpixel == 1 and len(pages) == 1 and len(series) > 1:
        raise DataError(f"{path}: {len(series)} images behind one header, shape {tuple(series.shape)}; save them apart")
    if page.bitspersample < 8 and page.bitspersample not in (1, 2, 4):
        raise DataError(f"{path}: {page.bitspersample} bits a pixel; save it with 8")
    planes = page.samplesperpixel == 1 or page.planarconfig == SEPARATE
    channels = len(pages) if page.samplesperpixel == 1 else page.samplesperpixel
    if channels > MOST_CHANNELS:
        raise DataError(f"{path}: {channels} images of one size; a picture has {MOST_CHANNELS} channels at most")
    depth = "uint8" if page.bitspersample in (1, 2, 4) else str(page.dtype.newbyteorder("="))
    tag = page.tags.get(orientations.TAG)
    return Picture(path, tuple(pages), planes, size, channels, depth, orientations.known(tag and tag.value))


def _refuse_endless(file: TiffFile) -> None:
    """Raise ValueError for images whose number has no end, before anybody walks through them all."""
    form = file.tiff
    handle = file.filehandle
    handle.seek(4 if form.version == CLASSIC else 8)
    at, seen = int(struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0]), set()
    while at:
        if at in seen or len(seen) >= MOST_IMAGES:
            raise ValueError(f"more than {MOST_IMAGES:,} images, or some of them twice")
        seen.add(at)
        handle.seek(at)
        (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
        handle.seek(at + form.tagnosize + tags * form.tagsize)
        following = handle.read(form.offsetsize)
        # A file that ends before says nothing of what follows; tifffile takes that for the last image, too.
        at = int(struct.unpack(form.offsetformat, following)[0]) if len(following) == form.offsetsize else 0


def _alike(file: TiffFile, series: TiffPageSeries) -> int:
    """How many pictures of the size of this one a file holds; channels of one picture count once."""
    page = series.keyframe
    if page.samplesperpixel == 1:
        return 1
    same = [one for one in file.series if one.keyframe.shape == page.shape and not one.keyframe.subfiletype & 1]
    return max(1, sum(len(one.pages) for one in same))


def _form(page: TiffPage) -> tuple:
    return page.imagelength, page.imagewidth, page.bitspersample, page.dtype, page.photometric, page.samplesperpixel


def _largest(file: TiffFile) -> TiffPageSeries:
    # A preview may come first; of images of one size the first is the picture.
    return max(file.series, key=lambda one: one.keyframe.imagelength * one.keyframe.imagewidth)


def _pages(file: TiffFile, series: TiffPageSeries) -> list:
    """The pages that hold the channels of a series."""
    page = series.keyframe
    if page.samplesperpixel > 1:
        return [page]
    if len(series.pages) > 1:
        return list(series.pages[: MOST_CHANNELS + 1])
    if page.index == 0 or len(file.pages) > 1:
        alike = [one for one in file.pages[: MOST_CHANNELS + 1] if one.shape == page.shape and one.dtype == page.dtype]
        return [one for one in alike if not (_whole(one).subfiletype & 1)] or [page]
    return [page]


def _whole(page):
    """A page with its tags: tifffile keeps those of the first page alone where many are alike."""
    if page is None:
        raise ValueError("a page of the picture is missing")
    return page.aspage() if hasattr(page, "aspage") else page


def _refuse_stack(path: Path, series: TiffPageSeries, page: TiffPage) -> None:
    """Images that a file calls focal planes or points in time are no channels of one picture."""
    for letter, length in zip(series.axes, series.shape, strict=True):
        if letter in _AXES and length > 1:
            raise DataError(f"{path}: {length} {_AXES[letter]}; a picture has one, save each as a file of its own")


def as_shown(pixels: np.ndarray, picture: Picture) -> np.ndarray:
    """Stored values `[h, w, c]` as they are shown: white-is-zero turned round, few bits spread to 8, YCbCr as RGB."""
    import numpy as np

    page = picture.page
    bits = page.bitspersample
    if bits in (1, 2, 4):
        pixels = pixels.astype(np.uint8) * np.uint8(255 // (2**bits - 1))
    if page.photometric == WHITE_IS_ZERO:
        top = 255 if bits in (1, 2, 4) else 2**bits - 1
        return pixels.dtype.type(top) - pixels
    if page.compression == APERIO_YCBCR or (page.photometric == YCBCR and page.compression not in MAKES_RGB):
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

    coefficients, references = _YCBCR_TAGS
    red, green, blue = stated(coefficients, (0.299, 0.587, 0.114))
    low = stated(references, (0, 255, 128, 255, 128, 255)).reshape(3, 2)
    scale = np.array([255, 127, 127]) / (low[:, 1] - low[:, 0])
    y, cb, cr = np.moveaxis((pixels - low[:, 0]) * scale, -1, 0)
    r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
    rgb = np.stack([r, (y - red * r - blue * b) / green, b], -1)
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def is_plain_lzw(picture: Picture) -> bool:
    """Is it one page of whole bytes in LZW, which libtiff unpacks in two thirds of the time that tifffile takes?"""
    page = picture.page
    plain = len(picture.pages) == 1 and page.planarconfig != SEPARATE and page.bitspersample in (8, 16)
    return plain and page.compression == LZW and not page.is_subifd and all(page.databytecounts)


def whole_by_libtiff(picture: Picture) -> np.ndarray:
    """`[H, W, C]` of a picture, turned as it is stored; raises DataError."""
    import imagecodecs

    try:
        pixels = imagecodecs.tiff_decode(picture.path.read_bytes(), index=picture.page.index)
        return without_associated_alpha(as_shown(pixels.reshape(*picture.size, picture.channels), picture), picture)
    except Exception as error:
        raise DataError(f"{picture.path}: damaged picture: {error}; replace or remove it") from error


def rgb_by_libtiff(picture: Picture) -> np.ndarray:
    """uint8 `[H, W, 3]` as stored of a picture whose colours only libtiff understands (palette, CMYK, CIE L*a*b*)."""
    import imagecodecs

    if picture.page.bitspersample > 8 or picture.page.is_subifd:
        raise DataError(f"{picture.path}: {picture.strange}, which cannot be read; convert it to 8-bit RGB")
    try:
        rgb = imagecodecs.tiff_decode(picture.path.read_bytes(), index=picture.page.index, asrgb=True)[..., :3]
    except Exception as error:
        raise DataError(f"{picture.path}: damaged picture: {error}; replace or remove it") from error
    # libtiff mirrors what an orientation asks for, but never swaps rows and columns: take back what it did.
    undo = {2: 2, 6: 2, 3: 3, 7: 3, 4: 4, 8: 4}.get(picture.orientation, 1)
    return orientations.turned(rgb, undo)


def without_associated_alpha(pixels: np.ndarray, picture: Picture) -> np.ndarray:
    """uint8 `[H, W, 4]` whose colours were multiplied with their alpha, divided by it again; others as they are."""
    from PIL import Image

    if pixels.shape[2] != 4 or pixels.dtype != "uint8" or ASSOCIATED not in picture.page.extrasamples:
        return pixels
    import numpy as np

    size = pixels.shape[1], pixels.shape[0]
    return np.asarray(Image.frombytes("RGBA", size, np.ascontiguousarray(pixels).tobytes(), "raw", "RGBa"))


def is_lossy(picture: Picture) -> bool:
    """May its codec have changed values?"""
    return picture.page.compression in MAKES_RGB or "JP" in _name(picture.page.compression).upper()


def unusual(picture: Picture) -> list[str]:
    """What a person should know of how the colours of a picture are read."""
    notes = []
    if picture.strange or picture.channels != 3 or picture.depth != "uint8":
        kind = _name(picture.page.photometric).lower() if picture.strange else picture.depth
        notes.append(f"{picture.channels} channel(s) of {kind}, read as RGB")
    if picture.page.photometric == WHITE_IS_ZERO:
        notes.append("zero is white, shown so")
    if picture.alike > 1:
        notes.append(f"{picture.alike} pictures of this size, the first is read")
    return notes


def alpha_fault(picture: Picture) -> str:
    """Why the channels of a picture are no colours with or without alpha, or ""."""
    page, count = picture.page, picture.channels
    if page.samplesperpixel == 1:
        return "" if count in (1, 3) else f"{count} gray images of one size"
    extra = set(page.extrasamples) & {ASSOCIATED, UNASSOCIATED}
    return "" if count == 3 or (page.photometric == RGB and count == 4) or extra else f"{count} channels without alpha"


def _name(value: object) -> str:
    return getattr(value, "name", str(value))
