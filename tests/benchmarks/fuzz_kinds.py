"""Valid files of every kind that is read, and their readers, for `reader_fuzz.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

H, W = 60, 84


@dataclass(frozen=True)
class Kind:
    """A file name, how a valid file is written there, how it is read (to what can be compared).

    `checked`: does the format hold checksums of its pixels, so that other values cannot pass?
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    checked: bool = False


def colours() -> np.ndarray:
    """uint8 `[H, W, 3]`, a little noisy."""
    rows, columns = np.mgrid[:H, :W]
    noise = np.random.default_rng(0).integers(0, 9, (H, W))
    return np.stack([rows * 3 + noise, columns * 2 + noise, (rows + columns) // 2], -1).astype(np.uint8)


def deep() -> np.ndarray:
    """uint16 `[H, W]`."""
    return colours()[..., 0].astype(np.uint16) * 31 + 5


def mark(array: np.ndarray) -> str:
    """What tells two arrays apart."""
    return f"{array.dtype} {array.shape} {hashlib.blake2b(np.ascontiguousarray(array).tobytes()).hexdigest()}"


def rgb(path: Path) -> str:
    """The colour reader."""
    from kagglekit.data.readers.images import describe, read_rgb

    size, _ = describe(path)
    array = read_rgb(path)
    if array.shape[:2] != size:
        raise AssertionError(f"describe says {size}, read_rgb gives {array.shape}")
    return mark(array)


def gray16(path: Path) -> str:
    """The deep reader."""
    from kagglekit.data.readers.images import read_image

    return mark(read_image(path, 1, "uint16"))


def windows(path: Path) -> str:
    """The reader of slides: a band and a corner."""
    from kagglekit.data.readers.slides import Slide
    from kagglekit.types import Box

    slide = Slide(path)
    height, width = (min(64, side) for side in slide.size)
    corner = Box(slide.size[0] - height, slide.size[1] - width, height, width)
    return mark(slide.read(Box(0, 0, height, width))) + mark(slide.read(corner))


def by_pil(mode: str = "RGB", **options) -> Callable[[Path], None]:
    """A writer of images."""

    def write(path: Path) -> None:
        from PIL import Image

        image = Image.fromarray(colours())
        (image.quantize(64) if mode == "P" else image.convert(mode)).save(path, **options)

    return write


def by_tifffile(pixels: Callable[[], np.ndarray] = colours, **options) -> Callable[[Path], None]:
    """A writer of TIFF."""

    def write(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, pixels(), **options)

    return write


def png16(path: Path) -> None:
    """A gray PNG of 16 bits."""
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(deep()))


def turned_jpeg(path: Path) -> None:
    """A JPEG with an orientation."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours()).save(path, exif=exif)


def dicom(syntax: str = "", encode: Callable | None = None, pixels: Callable = deep, **tags) -> Callable[[Path], None]:
    """A writer of DICOM."""

    def write(path: Path) -> None:
        from pydicom.encaps import encapsulate

        from tests.engine.test_dicom import dataset, save

        file = dataset(pixels(), **tags)
        if encode is not None:
            file.file_meta.TransferSyntaxUID = syntax
            file.PixelData = encapsulate([encode(pixels())])
            file["PixelData"].VR = "OB"
        save(path, file)

    return write


def _codec(name: str) -> Callable:
    import imagecodecs

    return getattr(imagecodecs, name)


def pyramid(path: Path) -> None:
    """A preview, the image in tiles, a level below it."""
    import tifffile

    with tifffile.TiffWriter(path) as file:
        file.write(colours()[::6, ::6], photometric="rgb", subfiletype=1)
        file.write(colours(), photometric="rgb", tile=(32, 32), compression="jpeg", subifds=1)
        file.write(colours()[::2, ::2], photometric="rgb", tile=(32, 32), compression="jpeg", subfiletype=1)


TILED = {"photometric": "rgb", "tile": (32, 32)}
IMAGES = {
    "jpeg": Kind("a.jpg", by_pil(quality=90), rgb),
    "jpeg-turned": Kind("a.jpg", turned_jpeg, rgb),
    "jpeg-progressive": Kind("a.jpg", by_pil(progressive=True), rgb),
    "jpeg-cmyk": Kind("a.jpg", by_pil("CMYK"), rgb),
    "png": Kind("a.png", by_pil(), rgb, checked=True),
    "png-palette": Kind("a.png", by_pil("P"), rgb, checked=True),
    "png-alpha": Kind("a.png", by_pil("RGBA"), rgb, checked=True),
    "png-16": Kind("a.png", png16, gray16, checked=True),
    "bmp": Kind("a.bmp", by_pil(), rgb),
    "webp": Kind("a.webp", by_pil(), rgb),
    "webp-lossless": Kind("a.webp", by_pil(lossless=True), rgb),
    "tiff-raw": Kind("a.tif", by_tifffile(photometric="rgb"), rgb),
    "tiff-lzw": Kind("a.tif", by_tifffile(photometric="rgb", compression="lzw", predictor=True), rgb),
    "tiff-deflate": Kind("a.tif", by_tifffile(**TILED, compression="zlib"), rgb),
    "tiff-jpeg": Kind("a.tif", by_tifffile(**TILED, compression="jpeg"), rgb),
    "tiff-palette": Kind("a.tif", by_pil("P"), rgb),
    "tiff-fax": Kind("a.tif", by_pil("1", compression="group4"), rgb),
    "tiff-16": Kind("a.tif", by_tifffile(deep), gray16),
    "tiff-16-lzw": Kind("a.tif", by_tifffile(deep, compression="lzw"), gray16),
    "tiff-white-is-zero": Kind("a.tif", by_tifffile(deep, photometric="miniswhite"), gray16),
    "tiff-ome": Kind("a.ome.tif", by_tifffile(deep, metadata={"axes": "YX"}), gray16),
    "slide-tiles": Kind("a.tif", by_tifffile(**TILED, compression="zlib"), windows),
    "slide-strips": Kind("a.tif", by_tifffile(photometric="rgb", rowsperstrip=7, compression="lzw"), windows),
    "slide-raw": Kind("a.tif", by_tifffile(photometric="rgb"), windows),
    "slide-big": Kind("a.tif", by_tifffile(**TILED, bigtiff=True, compression="zlib"), windows),
    "slide-planes": Kind(
        "a.tif", by_tifffile(lambda: colours().transpose(2, 0, 1).copy(), photometric="minisblack"), windows
    ),
    "slide-pyramid": Kind("a.tif", pyramid, windows),
    "dicom": Kind("a.dcm", dicom(RescaleSlope="1", RescaleIntercept="0"), gray16),
    "dicom-white-is-zero": Kind("a.dcm", dicom(PhotometricInterpretation="MONOCHROME1"), gray16),
    "dicom-jpegls": Kind("a.dcm", dicom("1.2.840.10008.1.2.4.80", lambda p: _codec("jpegls_encode")(p)), gray16),
    "dicom-ljpeg": Kind("a.dcm", dicom("1.2.840.10008.1.2.4.70", lambda p: _codec("ljpeg_encode")(p)), gray16),
    "dicom-rgb": Kind("a.dcm", dicom(pixels=colours), rgb),
}
