"""Reading `labels.json`: one entry at a time, typed, so that half a gigabyte needs neither much memory nor trust.

The outer document is only scanned (each entry stays a slice of the mapped file); entries are decoded one by one, so
that a fault is known by its entry and field, and points are kept as compact arrays.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kagglekit import DataError
from kagglekit.api import Track, json_text, untracked
from kagglekit_hair_seg.contest import SIZE
from kagglekit_hair_seg.polygon import too_much

_EXPECTED = 'an object with a list "annotations"'
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_NO_FIELD = re.compile(r'[\x00-\x1f"\\]')  # in a key: msgspec takes no such field, or gives it no value
_NONE = msgspec.Raw()  # the value of a key that an entry does not have
_MOST = 32  # other keys that are counted each by itself
_WORDS = {"None": "null", "True": "true", "False": "false"}
_WORD = re.compile("|".join(_WORDS))


class Point(msgspec.Struct, gc=False):
    """One corner, in pixels."""

    x: float
    y: float


class Entry(msgspec.Struct, gc=False):
    """One labelled image; unknown keys are ignored."""

    file_name: str
    polygon1: list[Point] | str


class Name(msgspec.Struct):
    """The file name alone, to say which entry has a fault."""

    file_name: str


class Document(msgspec.Struct):
    """The file: `annotations`, or `annotation` as in the raw form of the data."""

    annotations: list[msgspec.Raw] | None = None
    annotation: list[msgspec.Raw] | None = None


def read_labels(
    path: Path, track: Track = untracked, others: Counter | None = None
) -> Iterator[tuple[str, np.ndarray | None, str]]:
    """(file name, points `[N, 2]` of (x, y), "") of every entry, or (name, None, what is wrong with it).

    Points are int16 where all coordinates are whole, else float32. `others` counts the keys that are not read. Raises
    DataError if the document itself is broken, with line and column.
    """
    with _mapped(path) as data:
        entries = _scan(path, data)
        read, points = _reader(others if others is not None else Counter()), msgspec.json.Decoder(list[Point])
        for index, raw in enumerate(track(entries, len(entries), f"reading {path.name}")):
            try:
                decoded = read(raw)
                polygon = decoded.polygon1
                if isinstance(polygon, str):
                    polygon = _from_text(polygon, points)
                array = to_array(polygon)
                fault = too_much(array, SIZE)
                yield decoded.file_name, None if fault else array, fault and f"entry {index}: {fault}"
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                yield _name_of(raw, index), None, f"entry {index}: {error}"


def _reader(others: Counter) -> Callable[[msgspec.Raw], Entry]:
    """What decodes an entry and counts its other keys, in one pass: a type of those that were met is made anew."""
    met: list[str] = []
    decoder = _decoder_of(met)

    def read(raw: msgspec.Raw) -> Entry:
        nonlocal decoder
        while True:
            try:
                decoded = decoder.decode(raw)
            except msgspec.ValidationError as error:
                unknown = _UNKNOWN.search(str(error))
                if unknown is None:
                    raise
                met.append(unknown[1])
                decoder = _decoder_of(met)
            else:
                if met:
                    others.update(
                        k for at, k in enumerate(met[:_MOST]) if getattr(decoded, f"other{at}", _NONE) != _NONE
                    )
                return decoded

    return read


def _decoder_of(met: list[str]) -> msgspec.json.Decoder:
    """For entries with the other keys that were met, and no more of them; for any where there are too many."""
    fields = [
        (f"other{at}", msgspec.Raw, msgspec.field(default=_NONE, name=key))
        for at, key in enumerate(met[:_MOST])
        if not _NO_FIELD.search(key)
    ]
    strict = len(fields) == len(met)
    kind = msgspec.defstruct("EntryWithOthers", fields, bases=(Entry,), forbid_unknown_fields=strict, gc=False)
    return msgspec.json.Decoder(kind)


def _from_text(text: str, points: msgspec.json.Decoder) -> list[Point]:
    """A list of points as Python prints it, read as JSON: nothing is evaluated, and memory grows with the points."""
    try:
        return points.decode(_WORD.sub(lambda found: _WORDS[found[0]], text.replace("'", '"')))
    except msgspec.MsgspecError as error:
        raise ValueError(f"polygon1 as text: {error}") from None


def to_array(polygon: list[Point]) -> np.ndarray:
    """Points as int16 `[N, 2]`, float32 where one is not whole; raises ValueError for what is no coordinate."""
    both = np.array([[p.x for p in polygon], [p.y for p in polygon]]).T.reshape(-1, 2)
    if not np.isfinite(both).all() or (len(both) and np.abs(both).max() > 32_000):
        raise ValueError("a coordinate is infinite or beyond 32,000 pixels")
    whole = both.astype(np.int16)
    return whole if np.array_equal(whole, both) else both.astype(np.float32)


def read_document(path: Path) -> tuple[dict, list[dict]]:
    """A whole label or submission file as plain values, and its list of entries; for files of submission size."""
    with _mapped(path) as data:
        document = json_text.decode(path, data, Any, _EXPECTED)
    entries = document.get("annotations", document.get("annotation")) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected {_EXPECTED}")
    return document, entries


def _scan(path: Path, data) -> list[msgspec.Raw]:
    document = json_text.decode(path, data, Document, _EXPECTED)
    entries = document.annotations if document.annotations is not None else document.annotation
    if entries is None:
        raise DataError(
            f'{path}: has neither "annotations" nor "annotation"; is it the label file of this competition?'
        )
    return entries


def _name_of(raw: msgspec.Raw, index: int) -> str:
    try:
        return msgspec.json.decode(raw, type=Name).file_name
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"entry {index}"


class _mapped:
    """A file's bytes without reading it whole into memory; raises DataError for a missing or empty file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self):
        try:
            self.stream = self.path.open("rb")
        except FileNotFoundError:
            raise DataError(f"{self.path}: no such file") from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from None
        try:
            self.map = mmap.mmap(self.stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            self.stream.close()
            raise DataError(f"{self.path}: empty file") from None
        return self.map

    def __exit__(self, *_):
        self.stream.close()  # the map itself lives as long as slices of it do
