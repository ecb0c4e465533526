"""JPEG-LS, JPEG lossless, 12-bit JPEG, JPEG XL and high-throughput JPEG 2000 for pydicom, decoded by imagecodecs.

pydicom asks a module like this for `is_available`, `DECODER_DEPENDENCIES` and a function for each frame; alone it reads
none of these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

_CODECS = {  # transfer syntax -> the decoder of imagecodecs
    "1.2.840.10008.1.2.4.50": "jpeg_decode",
    "1.2.840.10008.1.2.4.51": "jpeg_decode",
    "1.2.840.10008.1.2.4.57": "ljpeg_decode",
    "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.201": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.202": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.203": "jpeg2k_decode",
}
DECODER_DEPENDENCIES = dict.fromkeys(_CODECS, ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Can frames of this transfer syntax be decoded?"""
    return uid in _CODECS


@cache
def register() -> None:
    """Let pydicom use these decoders where its own fail or are missing."""
    from pydicom.pixels import get_decoder

    for syntax in _CODECS:
        get_decoder(syntax).add_plugin("imagecodecs", (__name__, "decode_frame"))


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """The pixels of one frame, colour by pixel, in the smallest whole bytes that hold them."""
    import imagecodecs
    import numpy as np

    syntax = str(runner.transfer_syntax)
    decode: Callable = getattr(imagecodecs, _CODECS[syntax])
    # A codec converts colours only if it is told to, and `photometric_interpretation` says whether it has to.
    options = {"colorspace": 0, "outcolorspace": 0} if decode is imagecodecs.jpeg_decode and _is_colour(runner) else {}
    frame = decode(src, **options)
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[..., 0]
    wanted = (runner.rows, runner.columns) + ((runner.samples_per_pixel,) if _is_colour(runner) else ())
    if frame.shape != wanted:
        raise ValueError(f"the frame has the shape {frame.shape}; the file says {wanted}")
    if _CODECS[syntax] == "jpeg2k_decode" and runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * frame.itemsize)
    return np.ascontiguousarray(frame).tobytes()


def _is_colour(runner: DecodeRunner) -> bool:
    return runner.samples_per_pixel > 1
