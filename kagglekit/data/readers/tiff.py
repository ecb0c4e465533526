"""What a TIFF file shows: which of its images is the image, how its channels lie, how its values become colours.

One answer for whole images (`images`) and for windows of slides (`slides`). The image is the largest image of the
file; previews before it, and pyramid levels and labels after it, are left out. Gray images of one size are channels.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.readers import orientation as orientations
from kagglekit.errors import DataError
from kagglekit.types import Size

if TYPE_CHECKING:
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
YCBCR_TAGS = (529, 532)  # coefficients, and the values of black and white
_AXES = {"Z": "focal planes", "T": "points in time"}


@dataclass(frozen=True)
class TiffImage:
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
    alike: int = 1  # images of this size in the file, of which this is the first

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
            return "" if page.dtype is not None and page.dtype.kind in "ub" else f"{photometric} of {page.dtype} pixels"
        if page.photometric != YCBCR or page.samplesperpixel != 3 or page.bitspersample != 8:
            return f"{photometric} pixels"
        if page.compression in MAKES_RGB or page.compression == APERIO_YCBCR:
            return ""
        if page.planarconfig == SEPARATE or tuple(page.subsampling or (2, 2)) != (1, 1):
            return "subsampled YCbCr pixels"
        # Whether a JPEG 2000 stream was converted is said inside of it.
        return f"YCbCr pixels in {_name(page.compression)}" if "JPEG" in _name(page.compression) else ""


def open_tiff(path: Path) -> TiffImage:
    """The image of a TIFF file; nothing is decoded. Raises DataError."""
    import tifffile

    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            _refuse_endless(file)
            series = _largest(file)
            pages = [_whole(page) for page in _pages(file, series)]
            for page in pages:
                _keep(page)
            page = pages[0]
            _refuse_stack(path, series, page)
            return replace(_tiff_image(path, series, pages), alike=_alike(file, series))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except Exception as error:  # a damaged file makes readers raise whatever they like
        raise DataError(f"{path}: not a TIFF file that can be read: {str(error) or type(error).__name__}") from error


def _tiff_image(path: Path, series: TiffPageSeries, pages: list[TiffPage]) -> TiffImage:
    page = pages[0]
    size = (page.imagelength, page.imagewidth)
    numbers = (*size, page.samplesperpixel, page.bitspersample)
    if not all(isinstance(number, int) for number in numbers) or any(_form(one) != _form(page) for one in pages):
        raise DataError(
            f"{path}: damaged: its {len(pages)} image(s) have no one size and kind of pixels; fetch it again"
        )
    if page.dtype is None or page.dtype.kind not in "buif" or min(numbers) < 1 or page.imagedepth != 1:
        kind = f"{page.bitspersample} bits of sample format {page.sampleformat}"
        raise DataError(f"{path}: {size[0]}x{size[1]} pixels of {kind}; expected whole or floating numbers")
    if page.samplesperpixel == 1 and len(pages) == 1 and len(series) > 1:
        raise DataError(f"{path}: {len(series)} images behind one header, shape {tuple(series.shape)}; save them apart")
    if page.bitspersample < 8 and page.bitspersample not in (1, 2, 4):
        raise DataError(f"{path}: {page.bitspersample} bits a pixel; save it with 8")
    planes = page.samplesperpixel == 1 or page.planarconfig == SEPARATE
    channels = len(pages) if page.samplesperpixel == 1 else page.samplesperpixel
    if channels > MOST_CHANNELS:
        raise DataError(f"{path}: {channels} images of one size; an image has {MOST_CHANNELS} channels at most")
    depth = "uint8" if page.bitspersample in (1, 2, 4) else str(page.dtype.newbyteorder("="))
    tag = page.tags.get(orientations.TAG)
    return TiffImage(path, tuple(pages), planes, size, channels, depth, orientations.known(tag and tag.value))


def _refuse_endless(file: TiffFile) -> None:
    """Raise ValueError for images whose number has no end, before anybody walks through them all."""
    form = file.tiff
    handle = file.filehandle
    handle.seek(4 if form.version == CLASSIC else 8)
    at = int(struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0])
    seen: set[int] = set()
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


def _keep(page: TiffPage) -> None:
    """Read from the open file what is used when it is closed; tifffile reads it when it is first asked for."""
    if page.photometric == YCBCR or page.compression == APERIO_YCBCR:
        _ = [page.tags.valueof(tag) for tag in YCBCR_TAGS]
    if not is_one_piece(page):
        _ = page.jpegtables, page.decode


def is_one_piece(page: TiffPage) -> bool:
    """Are its pixels there as they are, in one piece, so that nothing has to be decoded?"""
    whole = page.dtype is not None and page.bitspersample == 8 * page.dtype.itemsize and page.fillorder == 1
    one = not page.is_tiled and len(page.dataoffsets) == len(page.databytecounts) == 1
    return whole and one and page.compression == 1 and bool(page.databytecounts[0])


def _alike(file: TiffFile, series: TiffPageSeries) -> int:
    """How many images of the size of this one a file holds; channels of one image count once."""
    page = series.keyframe
    if page.samplesperpixel == 1:
        return 1
    same = [one for one in file.series if one.keyframe.shape == page.shape and not one.keyframe.subfiletype & 1]
    return max(1, sum(len(one.pages) for one in same))


def _form(page: TiffPage) -> tuple:
    return page.imagelength, page.imagewidth, page.bitspersample, page.dtype, page.photometric, page.samplesperpixel


def _largest(file: TiffFile) -> TiffPageSeries:
    # A preview may come first; of images of one size the first is the image.
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
        raise ValueError("a page of the image is missing")
    return page.aspage() if hasattr(page, "aspage") else page


def _refuse_stack(path: Path, series: TiffPageSeries, page: TiffPage) -> None:
    """Images that a file calls focal planes or points in time are no channels of one image."""
    for letter, length in zip(series.axes, series.shape, strict=True):
        if letter in _AXES and length > 1:
            raise DataError(f"{path}: {length} {_AXES[letter]}; an image has one, save each as a file of its own")


def is_lossy(image: TiffImage) -> bool:
    """May its codec have changed values?"""
    return image.page.compression in MAKES_RGB or "JP" in _name(image.page.compression).upper()


def unusual(image: TiffImage) -> list[str]:
    """What a person should know of how the colours of an image are read."""
    notes = []
    if image.strange or image.channels != 3 or image.depth != "uint8":
        kind = _name(image.page.photometric).lower() if image.strange else image.depth
        notes.append(f"{image.channels} channel(s) of {kind}, read as RGB")
    if image.page.photometric == WHITE_IS_ZERO:
        notes.append("zero is white, shown so")
    if image.alike > 1:
        notes.append(f"{image.alike} images of this size, the first is read")
    return notes


def alpha_fault(image: TiffImage) -> str:
    """Why the channels of an image are no colours with or without alpha, or ""."""
    page, count = image.page, image.channels
    if page.samplesperpixel == 1:
        return "" if count in (1, 3) else f"{count} gray images of one size"
    extra = set(page.extrasamples) & {ASSOCIATED, UNASSOCIATED}
    return "" if count == 3 or (page.photometric == RGB and count == 4) or extra else f"{count} channels without alpha"


def _name(value: object) -> str:
    return getattr(value, "name", str(value))
