"""DICOM pictures as people see them: rescaled, white-is-zero turned round, colours as RGB."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from pydicom import Dataset

SUFFIXES = frozenset({".dcm", ".dicom"})
_LEVELS = 256  # values that must be left where rescaled values are rounded


def read_dicom(path: Path, data: bytes, most_pixels: int) -> np.ndarray:
    """`[H, W]` or `[H, W, 3]` of the only frame of a file, with modality and polarity applied.

    Values are those after the modality transform (rescale or lookup table, PS3.3 C.11.1), MONOCHROME1 and an inverse
    presentation turned round within the range of the stored bits (C.7.6.3.1.2), palettes and YCbCr converted to RGB.
    Raises DataError for damage, several frames, more than `most_pixels`, and a rescale that rounding would flatten.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every small deviation from the standard
        try:
            file = _parsed(path, data)
            _refuse_size(path, file, most_pixels)
            return _shown(path, file)
        except DataError:
            raise
        except Exception as error:  # readers and decoders raise whatever they like on damaged data
            raise DataError(f"{path}: damaged DICOM: {_first_line(error)}; replace or remove it") from error


def _parsed(path: Path, data: bytes) -> Dataset:
    import pydicom
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    file = pydicom.dcmread(io.BytesIO(data), force=True)  # exports leave the preamble out, and the file is DICOM still
    if "Rows" not in file or "Columns" not in file:
        raise DataError(f"{path}: not a DICOM picture; replace or remove it")
    if not file.file_meta.get("TransferSyntaxUID"):
        implicit, little = file.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    return file


def _refuse_size(path: Path, file: Dataset, most_pixels: int) -> None:
    frames = int(file.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: {frames} frames; a picture has one, save each as a file of its own")
    if file.Rows * file.Columns > most_pixels:
        raise DataError(f"{path}: {file.Columns}x{file.Rows} pixels are too many to decode at once")


def _shown(path: Path, file: Dataset) -> np.ndarray:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    from kagglekit.data import dicom_codecs

    dicom_codecs.register()
    array = file.pixel_array
    if file.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(array, file)
        # Palettes have 16 bits by the standard; most hold 8-bit colours in the upper half.
        return (colours >> 8).astype("uint8") if colours.itemsize == 2 and not (colours & 255).any() else colours
    if array.ndim == 3:
        return array
    low, high = _stored_range(file)
    if file.get("ModalityLUTSequence"):
        array = apply_modality_lut(array, file)
        low, high = 0, 2 ** int(file.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        slope, intercept = (_rescale(path, file, name, plain) for name, plain in (("Slope", 1), ("Intercept", 0)))
        array, low, high = _rescaled(path, array, (low, high), slope, intercept)
    if file.PhotometricInterpretation == "MONOCHROME1" or _is_inverse(file):
        # Not pydicom's own inversion, which subtracts from the largest value of the picture: pictures of one series
        # would be moved against each other.
        return (low + high) - array.astype("float64" if array.dtype.kind == "f" else "int64")
    return array


def _stored_range(file: Dataset) -> tuple[int, int]:
    bits = int(file.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if file.PixelRepresentation else (0, 2**bits - 1)


def _rescale(path: Path, file: Dataset, name: str, plain: float) -> float:
    """Rescale slope or intercept, wherever the file states it; `plain` where it does not, or leaves it empty."""
    groups = [
        group
        for kind in ("PerFrame", "Shared")
        for group in (file.get(f"{kind}FunctionalGroupsSequence") or ())[:1]  # there is one frame
    ]
    enhanced = [one for group in groups for one in group.get("PixelValueTransformationSequence") or ()]
    for where in (file, *enhanced):
        value = where.get(f"Rescale{name}")
        if value is None or value == "":
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or (name == "Slope" and number == 0):
            raise DataError(f"{path}: damaged DICOM: Rescale{name} is {value!r}, expected one number; replace it")
        return number
    return plain


def _rescaled(path: Path, array: np.ndarray, limits: tuple, slope: float, intercept: float) -> tuple:
    """The rescaled pixels, whole where rounding leaves enough of them, and the limits of what they may be."""
    import numpy as np

    if (slope, intercept) == (1, 0):
        return array, *limits
    low, high = sorted(limit * slope + intercept for limit in limits)
    if slope == int(slope) and intercept == int(intercept):
        return array.astype(np.int64) * int(slope) + int(intercept), int(low), int(high)
    spread = float(np.ptp(array)) if array.size else 0.0
    if abs(slope) < 1 and spread * abs(slope) < _LEVELS - 1 < spread:
        raise DataError(
            f"{path}: RescaleSlope {slope:g} gives fractions that do not fit whole numbers; save it with a slope of 1"
        )
    return np.rint(array * slope + intercept), round(low), round(high)


def _is_inverse(file: Dataset) -> bool:
    return str(file.get("PresentationLUTShape") or "").strip().upper() == "INVERSE"


def _first_line(error: Exception) -> str:
    """What a library says in its first line; pydicom lists every decoder below."""
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(":") if lines else "") or type(error).__name__
