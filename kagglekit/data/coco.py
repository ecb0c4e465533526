"""COCO annotations: the JSON file, its polygons and its run lengths, plain and compressed, as masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from kagglekit.data import rle as runs
from kagglekit.data.outline import polygons_to_mask
from kagglekit.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_FARTHEST = 100_000  # pixels from the origin; a point beyond would take memory for a walk to it
_BITS = 5  # of a number in each character of compressed counts, and one that says whether it goes on
_MORE, _SIGN, _FIRST = 1 << _BITS, 1 << (_BITS - 1), ord("0")


class Rle(msgspec.Struct, frozen=True):
    """A mask of `size` (height, width) as run lengths down the columns, background first: numbers, or compressed."""

    size: tuple[int, int]
    counts: list[int] | str


Segmentation = list[list[float]] | Rle


class Image(msgspec.Struct, frozen=True):
    """An entry of `images`; other keys of the file are ignored."""

    id: int
    file_name: str
    height: int
    width: int


class Annotation(msgspec.Struct, frozen=True):
    """An entry of `annotations`: one object, as polygons `[x, y, x, y, ...]` or as run lengths."""

    id: int
    image_id: int
    category_id: int
    segmentation: Segmentation
    area: float | None = None
    iscrowd: int = 0


class Category(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: int
    name: str
    supercategory: str | None = None


@dataclass(frozen=True)
class Fault:
    """Why an annotation, the one at `index` of the file, was left out in whole or in part."""

    index: int
    id: int
    rule: str
    detail: str


@dataclass(frozen=True)
class Coco:
    """A file by its ids, which are any numbers; annotations of every image, in the order of the file.

    All annotations can be drawn and name a known image and category; what could not is told in `faults`.
    """

    images: Mapping[int, Image]
    annotations: Mapping[int, Sequence[Annotation]]
    categories: Mapping[int, Category]
    faults: Sequence[Fault]


class _Document(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw] = []
    categories: list[msgspec.Raw] = []


Entry = TypeVar("Entry", Image, Annotation, Category)


def read_coco(path: Path) -> Coco:
    """The images, annotations and categories of a file.

    Raises DataError with the place for a missing or empty file, broken JSON (line and column), an entry with a missing
    key or a value of another type, and for two images or two categories of one id.
    """
    document = _document(Path(path))
    images = _by_id(path, "images", _entries(path, "images", document.images, Image))
    categories = _by_id(path, "categories", _entries(path, "categories", document.categories, Category))
    annotations, faults = {id: [] for id in images}, []
    for index, entry in enumerate(_entries(path, "annotations", document.annotations, Annotation)):
        kept, found = _sifted(entry, images, categories)
        faults += [Fault(index, entry.id, rule, detail) for rule, detail in found]
        if kept is not None:
            annotations[entry.image_id].append(kept)
    return Coco(images, annotations, categories, faults)


def annotation_mask(segmentation: Segmentation | Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """uint8 `[H, W]` mask, 0 or 1, of an annotation's polygons or run lengths, compressed or not.

    Raises DataError with the reason for no polygon, one of fewer than three points or with half a point, a coordinate
    that is not finite or absurdly far, run lengths that do not add up, and those of an image of another size.
    """
    if isinstance(segmentation, list):
        if not segmentation:
            raise DataError("no polygon")
        for index, polygon in enumerate(segmentation):
            if fault := _polygon_fault(polygon):
                raise DataError(f"polygon {index}: {fault}")
        return polygons_to_mask(segmentation, size)
    if isinstance(segmentation, Mapping):
        try:
            segmentation = msgspec.convert(segmentation, Rle)
        except msgspec.ValidationError as error:
            raise DataError(f"run lengths: {error}") from None
    changes = _counts_of(segmentation, size).cumsum()[:-1]
    return runs.from_columns(runs.fill(changes, size[0] * size[1]), size)


def rle_counts(rle: Rle) -> np.ndarray:
    """int64 `[N]` run lengths, background first; raises DataError unless they are 0 or more and fill the image."""
    import numpy as np

    pixels, shape = rle.size[0] * rle.size[1], f"{rle.size[0]}x{rle.size[1]} (height x width)"
    try:
        counts = decompress(rle.counts) if isinstance(rle.counts, str) else np.array(rle.counts, np.int64)
    except OverflowError:
        raise DataError(f"run lengths: a number is beyond the {pixels:,} pixels of {shape}") from None
    wrong = (counts < 0) | (counts > pixels)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"run lengths: number {at} is {counts[at]}; expected 0 to the {pixels:,} pixels of {shape}")
    if counts.sum() != pixels:
        raise DataError(f"run lengths add up to {counts.sum():,}; expected the {pixels:,} pixels of {shape}")
    return counts


def mask_to_rle(mask: np.ndarray, compressed: bool = False) -> Rle:
    """Run lengths of a mask `[H, W]`, whose foreground is all that is not zero, as pycocotools' encode makes them."""
    import numpy as np

    counts = np.diff(np.concatenate([[0], runs.changes(mask), [mask.size]]))
    return Rle(mask.shape, compress(counts) if compressed else counts.tolist())


def compress(counts: np.ndarray) -> str:
    """The characters of run lengths `[N]`: from the fourth on differences to the last but one, 5 bits to a character.

    The lowest bits come first, in two's complement, as pycocotools' rleToString writes them.
    """
    import numpy as np

    left = np.array(counts, np.int64)
    left[3:] -= np.asarray(counts, np.int64)[1:-2]
    columns = []
    more = np.ones(len(left), bool)
    while more.any():
        written, bits = more, left & (_MORE - 1)
        left = left >> _BITS
        more = written & np.where(bits & _SIGN, left != -1, left != 0)
        columns.append(np.where(written, bits + _MORE * more + _FIRST, 0).astype(np.uint8))
    return np.stack(columns, 1).tobytes().translate(None, b"\0").decode("ascii") if columns else ""


def decompress(text: str) -> np.ndarray:
    """int64 `[N]` run lengths from `compress`; raises DataError with the place of a character that cannot be."""
    import numpy as np

    value = (
        np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8) - _FIRST
    )  # wraps round below the first character
    if (value >= 2 * _MORE).any():
        at = next(i for i, c in enumerate(text) if not _FIRST <= ord(c) < _FIRST + 2 * _MORE)
        raise DataError(f"compressed run lengths: character {at} is {text[at]!r}")
    last = np.flatnonzero(value < _MORE)
    if len(value) and (not len(last) or last[-1] != len(value) - 1):
        raise DataError(f"compressed run lengths end within a number, after {len(text)} characters")
    starts = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    sizes = last - starts + 1
    if len(sizes) and sizes.max() * _BITS > 60:
        at = int(starts[sizes.argmax()])
        raise DataError(f"compressed run lengths: the number at character {at} is beyond any image")
    places = np.arange(len(value)) - np.repeat(starts, sizes)
    parts = (value & (_MORE - 1)).astype(np.int64) << (_BITS * places)
    counts = np.add.reduceat(parts, starts) if len(starts) else np.zeros(0, np.int64)
    counts -= ((value[last] & _SIGN) > 0).astype(np.int64) << (_BITS * sizes)
    for first in (1, 2):
        counts[first::2] = counts[first::2].cumsum()
    return counts


def _document(path: Path) -> _Document:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    if not data:
        raise DataError(f"{path}: empty file")
    try:
        return msgspec.json.decode(data, type=_Document)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}; expected an object with lists images, annotations, categories") from None
    except msgspec.DecodeError as error:
        found = re.search(r"\(byte (\d+)\)", str(error))
        at = int(found[1]) if found else len(data)
        line, begin = data.count(b"\n", 0, at) + 1, data.rfind(b"\n", 0, at) + 1
        column = len(data[begin:at].decode("utf-8", "replace")) + 1
        near = data[max(begin, at - 20) : at + 20].decode("utf-8", "replace").strip()
        raise DataError(f"{path}: broken JSON at line {line}, column {column} (near {near!r}): {error}") from None


def _entries(path: Path, name: str, entries: Iterable[msgspec.Raw], kind: type[Entry]) -> Iterable[Entry]:
    decoder = msgspec.json.Decoder(kind)
    for index, raw in enumerate(entries):
        try:
            yield decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: {name}[{index}]: {error}") from None


def _by_id(path: Path, name: str, entries: Iterable[Entry]) -> dict[int, Entry]:
    found = {}
    for index, entry in enumerate(entries):
        if entry.id in found:
            first = list(found).index(entry.id)
            raise DataError(f"{path}: {name}[{index}]: id {entry.id} is also that of {name}[{first}]")
        found[entry.id] = entry
    return found


def _sifted(
    entry: Annotation, images: Mapping[int, Image], categories: Mapping[int, Category]
) -> tuple[Annotation | None, list[tuple[str, str]]]:
    """What of an annotation can be used, and (rule, detail) of what cannot."""
    if entry.image_id not in images:
        return None, [("unknown image", f"image_id {entry.image_id}")]
    if entry.category_id not in categories:
        return None, [("unknown category", f"category_id {entry.category_id}")]
    image, shapes = images[entry.image_id], entry.segmentation
    if isinstance(shapes, Rle):
        try:
            _counts_of(shapes, (image.height, image.width))
        except DataError as error:
            return None, [("bad run lengths", str(error))]
        return entry, []
    told = [_polygon_fault(polygon) for polygon in shapes]
    good = [polygon for polygon, fault in zip(shapes, told, strict=True) if not fault]
    faults = [("bad polygon", f"polygon {index}: {fault}") for index, fault in enumerate(told) if fault]
    if not good:
        return None, faults or [("bad polygon", "no polygon")]
    return msgspec.structs.replace(entry, segmentation=good) if faults else entry, faults


def _counts_of(rle: Rle, size: tuple[int, int]) -> np.ndarray:
    if rle.size != tuple(size):
        height, width = rle.size
        raise DataError(f"run lengths of {height}x{width} pixels (height x width); the image has {size[0]}x{size[1]}")
    return rle_counts(rle)


def _polygon_fault(polygon: Sequence[float]) -> str:
    import numpy as np

    if len(polygon) % 2:
        return f"{len(polygon)} numbers; expected pairs of x and y"
    if len(polygon) < 6:
        return f"{len(polygon) // 2} points; expected 3 or more"
    wrong = ~(np.abs(np.asarray(polygon, np.float64)) <= _FARTHEST)
    if wrong.any():
        at = int(wrong.argmax())
        return f"{'y' if at % 2 else 'x'} of point {at // 2} is {polygon[at]}; expected at most {_FARTHEST:,} pixels"
    return ""
