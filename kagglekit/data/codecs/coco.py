"""COCO annotations: the JSON file, its polygons and its run lengths, plain and compressed, as masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kagglekit.data.codecs.coco_forms import (
    Annotation,
    Category,
    Id,
    Image,
    Segmentation,
    annotation_of,
    category_of,
    identity,
    image_of,
    joined,
)
from kagglekit.data.codecs.coco_runs import Rle, compress, counts_of, decompress, mask_to_rle, rle_counts
from kagglekit.data.codecs.coco_shapes import FEWEST, annotation_mask, nowhere, polygon_fault
from kagglekit.data.codecs.json_text import decode
from kagglekit.errors import DataError

__all__ = [
    "UNREADABLE",
    "Annotation",
    "Category",
    "Coco",
    "Fault",
    "Id",
    "Image",
    "Rle",
    "Segmentation",
    "annotation_mask",
    "compress",
    "decompress",
    "mask_to_rle",
    "read_coco",
    "rle_counts",
]

UNREADABLE = "unreadable annotation"
"""The rule of a `Fault` whose annotation could not be read."""
_EXPECTED = "an object with lists images, annotations, categories"


@dataclass(frozen=True)
class Fault:
    """Why an annotation, the one at `index` of the file, was left out in whole or in part.

    `image` is the id of the image that lost an object, or a part of one, by it; None where none did.
    """

    index: int
    id: Id | None
    rule: str
    detail: str
    image: Id | None = None

    @property
    def name(self) -> str:
        """How messages call the annotation."""
        return f"annotations[{self.index}]" if self.id is None else f"annotation {self.id}"


@dataclass(frozen=True)
class Coco:
    """A file by its ids, which are any numbers or texts; annotations of every image, in the order of the file.

    All annotations can be drawn and name a known image and category; what could not is told in `faults`. `broken` says
    what is wrong with images that cannot be used, by their file names, or by their places where these are missing.
    """

    images: Mapping[Id, Image]
    annotations: Mapping[Id, Sequence[Annotation]]
    categories: Mapping[Id, Category]
    faults: Sequence[Fault]
    broken: Mapping[str, str] = field(default_factory=dict)


class _Document(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw] | None = None
    categories: list[msgspec.Raw] | None = None


class _Named(msgspec.Struct):
    """What is known of an image that cannot be used."""

    id: Any = None
    file_name: Any = None


Entry = TypeVar("Entry", Image, Category)


def read_coco(path: Path) -> Coco:
    """The images, annotations and categories of a file.

    One that cannot be used is left out and told. Raises DataError with the place for a missing or empty file, broken
    JSON (line and column), an unreadable category, and for two images or two categories of one id.
    """
    path = Path(path)
    document = _document(path)
    try:
        return _read(path, document)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason}; save it as UTF-8") from None


def _read(path: Path, document: _Document) -> Coco:
    broken: dict[str, str] = {}
    lost: set[Id] = set()
    images = _by_id(path, "images", _images(document.images, broken, lost))
    categories = _by_id(path, "categories", _categories(path, document.categories or ()))
    annotations: dict[Any, list[Any]] = {id: [] for id in images}
    faults: list[Fault] = []
    for index, raw in enumerate(document.annotations or ()):
        kept, found = _sifted(index, raw, images, categories, lost)
        faults += found
        if kept is not None:
            annotations[kept.image_id].append(kept)
    return Coco(images, annotations, categories, faults, broken)


def _document(path: Path) -> _Document:
    try:
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(f"{path}: {'no such file' if missing else f'cannot be read: {error.strerror}'}") from None
    if not data:
        raise DataError(f"{path}: empty file")
    return decode(path, data, _Document, _EXPECTED, nan=True)


def _entry(raw: msgspec.Raw, decoder: msgspec.json.Decoder, plain: Callable, usual: Callable) -> Any:
    """An entry: decoded by its type, which is fast, or, where that does not fit, from plain values; a ValueError says
    what does not."""
    try:
        found = decoder.decode(raw)
        if usual(found):
            return found
    except msgspec.MsgspecError:
        pass
    try:
        return plain(msgspec.json.decode(raw))
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def _images(entries: Sequence[msgspec.Raw], broken: dict[str, str], lost: set[Id]) -> Iterator[tuple[int, Image]]:
    decoder = msgspec.json.Decoder(Image)

    def usual(image: Image) -> Any:
        named = image.file_name and "\0" not in image.file_name
        return type(image.id) is int and named and min(image.height, image.width) > 0

    for index, raw in enumerate(entries):
        try:
            yield index, _entry(raw, decoder, image_of, usual)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            named = _named(raw)
            name = named.file_name if isinstance(named.file_name, str) and named.file_name else f"images[{index}]"
            broken[name] = f"images[{index}]: {error}"
            lost |= {named.id} if isinstance(named.id, int | str) else set()


def _named(raw: msgspec.Raw) -> _Named:
    try:
        return msgspec.json.decode(raw, type=_Named)
    except msgspec.MsgspecError:
        return _Named()


def _categories(path: Path, entries: Sequence[msgspec.Raw]) -> Iterator[tuple[int, Category]]:
    decoder = msgspec.json.Decoder(Category)
    for index, raw in enumerate(entries):
        try:
            yield index, _entry(raw, decoder, category_of, lambda category: type(category.id) is int)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise DataError(f"{path}: categories[{index}]: {error}") from None


def _by_id(path: Path, name: str, entries: Iterable[tuple[int, Entry]]) -> dict[Id, Entry]:
    found: dict[Any, Any] = {}
    indices: dict[Any, Any] = {}
    for index, entry in entries:
        if entry.id in found:
            raise DataError(f"{path}: {name}[{index}]: id {entry.id} is also that of {name}[{indices[entry.id]}]")
        found[entry.id], indices[entry.id] = entry, index
    return found


_DECODER = msgspec.json.Decoder(Annotation)


def _usual(entry: Annotation) -> bool:
    ids = type(entry.image_id) is type(entry.category_id) is int
    return ids and (entry.area is None or entry.area > 0)


def _sifted(
    index: int,
    raw: msgspec.Raw,
    images: Mapping[Id, Image],
    categories: Mapping[Id, Category],
    lost: Collection[Id],
) -> tuple[Annotation | None, list[Fault]]:
    """What of an annotation can be used, and what cannot."""
    try:
        entry = _entry(raw, _DECODER, annotation_of, _usual)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        return None, [_unreadable(index, raw, str(error), images)]
    if entry.image_id not in images:
        known = entry.image_id in lost
        return None, [] if known else [Fault(index, entry.id, "unknown image", f"image_id {entry.image_id}")]
    if entry.category_id not in categories:
        detail = f"category_id {entry.category_id}"
        return None, [Fault(index, entry.id, "unknown category", detail, entry.image_id)]
    image, shapes = images[entry.image_id], entry.segmentation
    if isinstance(shapes, Rle):
        try:
            counts_of(shapes, (image.height, image.width))
        except DataError as error:
            return None, [Fault(index, entry.id, "bad run lengths", str(error), entry.image_id)]
        return entry, []
    return _drawable(index, entry, joined(shapes), (image.height, image.width))


def _drawable(
    index: int, entry: Annotation, shapes: list[list[float]], size: tuple[int, int]
) -> tuple[Annotation | None, list[Fault]]:
    """The annotation with those of its polygons that can be drawn in an image of `size`."""
    complaints = [polygon_fault(polygon) for polygon in shapes]
    good = [polygon for polygon, fault in zip(shapes, complaints, strict=True) if not fault]

    def fault(detail: str, harmless: bool) -> Fault:
        return Fault(index, entry.id, "bad polygon", detail, None if harmless else entry.image_id)

    # A polygon of two points encloses nothing: beside others it takes nothing from the object.
    faults = [
        fault(f"polygon {at}: {text}", bool(good) and len(shapes[at]) < FEWEST and len(shapes[at]) % 2 == 0)
        for at, text in enumerate(complaints)
        if text
    ]
    if not good:
        return None, faults or [fault("no polygon", False)]
    if outside := nowhere(good, size):
        return None, [*faults, fault(outside, False)]
    return entry if good == entry.segmentation else msgspec.structs.replace(entry, segmentation=good), faults


def _unreadable(index: int, raw: msgspec.Raw, detail: str, images: Mapping[Id, Image]) -> Fault:
    """The fault of an annotation that does not say what it must, with the image that it belongs to."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        value = None
    entry = value if isinstance(value, dict) else {}
    try:
        image = identity(entry, "image_id")
    except ValueError:
        image = None
    id = entry.get("id")
    known = image if image in images else None
    return Fault(index, id if isinstance(id, int | str) else None, UNREADABLE, detail, known)
