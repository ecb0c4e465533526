"""DICOM images as people see them: rescaled, white-is-zero turned round, colours as RGB."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import DataError, first_line

if TYPE_CHECKING:
    import numpy as np
    from pydicom import Dataset

SUFFIXES = frozenset({".dcm", ".dicom"})
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_LEVELS = 256  # values that must be left where rescaled values are rounded


def read_dicom(path: Path, data: bytes, most_pixels: int, as_bytes: bool = False) -> np.ndarray:
    """`[H, W]` or `[H, W, 3]` of the only frame of a file, with modality and polarity applied.

    Values are those after the modality transform (rescale or lookup table, PS3.3 C.11.1), MONOCHROME1 and an inverse
    presentation turned round within the range of the stored bits (C.7.6.3.1.2), palettes and YCbCr converted to RGB.
    With `as_bytes` whole values whose range ends at 255 are uint8, however wide they were stored.

    Raises DataError for damage, several frames, more than `most_pixels`, and a rescale that rounding would flatten.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of every small deviation from the standard
        try:
            file = _parsed(path, data)
            _refuse_form(path, file, most_pixels)
            array, high = _shown(path, file)
            fits = as_bytes and array.dtype.kind in "ui" and high <= 255 and array.min(initial=0) >= 0
            return array.astype("uint8") if fits else array
        except DataError:
            raise
        except Exception as error:  # readers and decoders raise whatever they like on damaged data
            raise DataError(f"{path}: damaged DICOM: {first_line(error)}; replace or remove it") from error


def describe(path: Path, data: bytes, most_pixels: int) -> tuple[tuple[int, int], list[str]]:
    """(height, width) and what a person should know of how an image is read; nothing is decoded. Raises DataError."""
    try:
        file = _parsed(path, data)
        _refuse_form(path, file, most_pixels)
        notes = ["DICOM, read as RGB"]
        if file.get("PhotometricInterpretation") == "MONOCHROME1" or _is_inverse(file):
            notes.append("zero is white, shown so")
        return (int(file.Rows), int(file.Columns)), notes
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: damaged DICOM: {first_line(error)}; replace or remove it") from error


def _parsed(path: Path, data: bytes) -> Dataset:
    import pydicom
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    file = pydicom.dcmread(io.BytesIO(data), force=True)  # exports leave the preamble out, and the file is DICOM still
    if "Rows" not in file or "Columns" not in file:
        raise DataError(f"{path}: not a DICOM image; replace or remove it")
    if not file.file_meta.get("TransferSyntaxUID"):
        implicit, little = file.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    return file


def _refuse_form(path: Path, file: Dataset, most_pixels: int) -> None:
    """Raise DataError for what is no single image of a size and kind that can be read."""
    if not any(name in file for name in _PIXELS):
        raise DataError(f"{path}: a DICOM file without pixels; remove it")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: {frames} frames; an image has one, save each as a file of its own")
    if file.Rows * file.Columns > most_pixels:
        raise DataError(f"{path}: {file.Columns}x{file.Rows} pixels are too many to decode at once")
    if "PixelData" in file and int(file.get("HighBit", file.BitsStored - 1)) != file.BitsStored - 1:
        raise DataError(
            f"{path}: HighBit {file.HighBit} of {file.BitsStored} stored bits; bits that do not begin at 0 are not read"
        )


def _shown(path: Path, file: Dataset) -> tuple[np.ndarray, float]:
    """The pixels, and the largest value that they may have."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    from kagglekit.data.readers import dicom_codecs

    dicom_codecs.register()
    array = file.pixel_array
    if file.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(array, file)
        # Palettes have 16 bits by the standard; most hold 8-bit colours in the upper half.
        halved = colours.itemsize == 2 and not (colours & 255).any()
        return ((colours >> 8).astype("uint8"), 255) if halved else (colours, 65535)
    if array.ndim == 3:
        return array, 2 ** int(file.BitsStored) - 1
    if array.dtype.kind == "f":  # which no rescale and no polarity is stated of
        return array, math.inf
    if file.BitsAllocated == 1:
        array = array * array.dtype.type(255)
    low, high = (0, 255) if file.BitsAllocated == 1 else _stored_range(file)
    if file.get("ModalityLUTSequence"):
        array = apply_modality_lut(array, file)
        low, high = 0, 2 ** int(file.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        slope, intercept = (_rescale(path, file, name, plain) for name, plain in (("Slope", 1), ("Intercept", 0)))
        array, low, high = _rescaled(path, array, (low, high), slope, intercept)
    if file.PhotometricInterpretation == "MONOCHROME1" or _is_inverse(file):
        # Not pydicom's own inversion, which subtracts from the largest value of the image: images of one series
        # would be moved against each other.
        turned = (low + high) - array.astype("float64" if array.dtype.kind == "f" else "int64")
        array = turned.astype(array.dtype) if array.dtype.kind == "u" and array.max(initial=0) <= high else turned
    return array, high


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
