"""Reading `labels.json`: one entry at a time, typed, so that half a gigabyte needs neither much memory nor trust.

The outer document is only scanned (each entry stays a slice of the mapped file); entries are decoded one by one, so
that a fault is known by its entry and field, and points are kept as compact arrays.
"""

from __future__ import annotations

import ast
import mmap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from kagglekit import DataError
from kagglekit.types import Track, untracked


class Point(msgspec.Struct, gc=False):
    """One corner, in pixels."""

    x: float
    y: float


class Entry(msgspec.Struct, gc=False):
    """One labelled picture; unknown keys are ignored."""

    file_name: str
    polygon1: list[Point] | str


class Name(msgspec.Struct):
    """The file name alone, to say which entry has a fault."""

    file_name: str


class Document(msgspec.Struct):
    """The file: `annotations`, or `annotation` as in the raw form of the data."""

    annotations: list[msgspec.Raw] | None = None
    annotation: list[msgspec.Raw] | None = None


def read_labels(path: Path, track: Track = untracked) -> Iterator[tuple[str, np.ndarray | None, str]]:
    """(file name, points `[N, 2]` of (x, y), "") of every entry, or (name, None, what is wrong with it).

    Points are int16 where all coordinates are whole, else float32. Raises DataError if the document itself is broken,
    with line and column.
    """
    with _mapped(path) as data:
        entries = _scan(path, data)
        entry, points = msgspec.json.Decoder(Entry), msgspec.json.Decoder(list[Point])
        for index, raw in enumerate(track(entries, len(entries), f"reading {path.name}")):
            try:
                decoded = entry.decode(raw)
                polygon = decoded.polygon1
                if isinstance(polygon, str):
                    polygon = points.decode(msgspec.json.encode(ast.literal_eval(polygon)))
                yield decoded.file_name, to_array(polygon), ""
            except (msgspec.MsgspecError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
                yield _name_of(raw, index), None, f"entry {index}: {error}"


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
        try:
            document = msgspec.json.decode(data)
        except msgspec.DecodeError as error:
            raise DataError(_where(path, data, error)) from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text: {error}") from None
    entries = document.get("annotations", document.get("annotation")) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise DataError(f'{path}: expected an object with a list "annotations"')
    return document, entries


def _scan(path: Path, data) -> list[msgspec.Raw]:
    try:
        document = msgspec.json.decode(data, type=Document)
    except msgspec.ValidationError as error:
        raise DataError(f'{path}: {error}; expected an object with a list "annotations"') from None
    except msgspec.DecodeError as error:
        raise DataError(_where(path, data, error)) from None
    entries = document.annotations if document.annotations is not None else document.annotation
    if entries is None:
        raise DataError(
            f'{path}: has neither "annotations" nor "annotation"; is it the label file of this competition?'
        )
    return entries


def _where(path: Path, data, error: msgspec.DecodeError) -> str:
    """The message of a syntax error with line, column and the text around it."""
    import re

    match = re.search(r"\(byte (\d+)\)", str(error))
    at = int(match.group(1)) if match else len(data)
    before = bytes(data[:at])
    line, column = before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    near = bytes(data[max(0, at - 20) : at + 20]).decode("utf-8", "replace").strip()
    return f"{path}: broken JSON at line {line}, column {column} (near {near!r}): {error}"


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
        try:
            self.map = mmap.mmap(self.stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            self.stream.close()
            raise DataError(f"{self.path}: empty file") from None
        return self.map

    def __exit__(self, *_):
        self.stream.close()  # the map itself lives as long as slices of it do
