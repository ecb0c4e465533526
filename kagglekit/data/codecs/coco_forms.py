"""Entries of COCO files in the forms that labelling tools write; what can mean one thing only is taken as that.

Numbers may be written as text or as 1.0, polygons flat or as pairs, run lengths in a list. All else is a ValueError,
which says what was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kagglekit.data.codecs.coco_runs import Rle

Id = int | str
"""The id of an image, an annotation or a category."""
Segmentation = list[list[float]] | Rle
"""Polygons, each `[x, y, x, y, ...]`, or run lengths."""
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_POINTS = 3  # that a polygon has at least
_SHOWN = 40  # characters of a value that an error repeats


class Image(msgspec.Struct, frozen=True):
    """An entry of `images`; other keys of the file are ignored."""

    id: Id
    file_name: str
    height: int
    width: int


class Annotation(msgspec.Struct, frozen=True):
    """An entry of `annotations`: one object, as polygons `[x, y, x, y, ...]` or as run lengths.

    `area` is in pixels, None where the file states none above 0; `id` is None where there is none, nothing needs it.
    """

    id: Id | None
    image_id: Id
    category_id: Id
    segmentation: Segmentation
    area: float | None = None
    iscrowd: int = 0


class Category(msgspec.Struct, frozen=True):
    """An entry of `categories`."""

    id: Id
    name: str
    supercategory: str | None = None


def image_of(value: Any) -> Image:
    """An entry of `images` from plain values; raises ValueError for a missing key and what is no such value."""
    entry = _object(value)
    return Image(
        identity(entry, "id"),
        file_name(_needed(entry, "file_name")),
        *(_positive(entry, side) for side in ("height", "width")),
    )


def annotation_of(value: Any) -> Annotation:
    """An entry of `annotations` from plain values; raises ValueError but for area and iscrowd, which nothing needs."""
    entry = _object(value)
    area = entry.get("area")
    return Annotation(
        None if entry.get("id") is None else identity(entry, "id"),
        identity(entry, "image_id"),
        identity(entry, "category_id"),
        _segmentation(entry.get("segmentation")),
        float(area) if isinstance(area, int | float) and 0 < area < math.inf else None,
        int(entry.get("iscrowd") in (1, "1", "true")),
    )


def category_of(value: Any) -> Category:
    """An entry of `categories` from plain values; raises ValueError for a missing key and what is no such value."""
    entry = _object(value)
    name, above = _needed(entry, "name"), entry.get("supercategory")
    if not isinstance(name, str):
        raise ValueError(f"name {_shown(name)}; expected text")
    return Category(identity(entry, "id"), name, above if isinstance(above, str) else None)


def identity(entry: Mapping[str, Any], key: str) -> Id:
    """The id under a key: whole numbers alike, however they are written, other text as it is."""
    value = _needed(entry, key)
    number = _number(value)
    if number is not None and float(number).is_integer():
        return int(number)
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{key} {_shown(value)}; expected a whole number or text")


def file_name(value: Any) -> str:
    """The name of an image; raises ValueError for one that no file can have."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"file_name {_shown(value)}; expected the name of a file")
    return value


def joined(polygons: list[list[float]]) -> list[list[float]]:
    """A list of points `[x, y]`, as some tools write one polygon, as one; other lists as they are."""
    if len(polygons) >= _POINTS and all(len(polygon) == 2 for polygon in polygons):
        return [[value for point in polygons for value in point]]
    return polygons


def _segmentation(value: Any) -> Segmentation:
    if value is None:
        raise ValueError("no segmentation")
    if isinstance(value, Mapping):
        return _runs(value)
    if not isinstance(value, list):
        raise ValueError(f"segmentation {_shown(value)}; expected polygons or run lengths")
    if len(value) == 1 and isinstance(value[0], Mapping):
        return _runs(value[0])
    if value and not any(isinstance(part, list | Mapping) for part in value):
        value = [value]
    return joined([_polygon(index, part) for index, part in enumerate(value)])


def _polygon(index: int, part: Any) -> list[float]:
    """The numbers of one polygon; points may be pairs."""
    if not isinstance(part, list):
        raise ValueError(f"polygon {index}: {_shown(part)}; expected a list of numbers")
    if part and all(isinstance(point, list) and len(point) == 2 for point in part):
        part = [value for point in part for value in point]
    numbers: list[float] = []
    for at, value in enumerate(part):
        if (number := _number(value)) is None:
            raise ValueError(f"polygon {index}: number {at} is {_shown(value)}")
        numbers.append(float(number))
    return numbers


def _runs(value: Mapping[str, Any]) -> Rle:
    size, counts = value.get("size"), value.get("counts")
    height, width = (_whole(side) for side in size) if isinstance(size, list) and len(size) == 2 else (None, None)
    if height is None or width is None:
        raise ValueError(f"run lengths: size {_shown(size)}; expected height and width")
    if isinstance(counts, str):
        return Rle((height, width), counts)
    if not isinstance(counts, list):
        raise ValueError(f"run lengths: counts {_shown(counts)}; expected numbers or text")
    lengths: list[int] = []
    for at, count in enumerate(counts):
        if (length := _whole(count)) is None:
            raise ValueError(f"run lengths: number {at} is {_shown(count)}")
        lengths.append(length)
    return Rle((height, width), lengths)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{_shown(value)}; expected an object")
    return value


def _needed(entry: Mapping[str, Any], key: str) -> Any:
    if entry.get(key) is None:
        raise ValueError(f"{key} is missing")
    return entry[key]


def _positive(entry: Mapping[str, Any], key: str) -> int:
    number = _whole(_needed(entry, key))
    if number is None or number < 1:
        raise ValueError(f"{key} {_shown(entry[key])}; expected a whole number above 0")
    return number


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and float(number).is_integer() else None


def _number(value: Any) -> float | int | None:
    """A number, also one that is written as text; None for all else, for what is not finite and what no float holds."""
    if isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return int(value)
        try:
            value = float(value) if len(value) < _SHOWN and "_" not in value and value == value.strip() else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -1e300 < value < 1e300 else None


def _shown(value: Any) -> str:
    """A value as JSON has it, in few characters."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "an object"
    text = msgspec.json.encode(value).decode() if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
