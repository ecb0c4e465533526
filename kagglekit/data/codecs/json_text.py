"""JSON files that people send: decoded by type, with the place of what is wrong; any encoding that JSON may have."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from kagglekit.errors import DataError

_AROUND = 20  # bytes of the text that an error shows on either side of the place
_HALF = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)")  # a pair, or what has no other half
_NO_NUMBER = re.compile(rb"\bNaN\b|\bInfinity\b")


def decode(path: Path, data: Any, kind: Any, expected: str, nan: bool = False) -> Any:
    """`data`, bytes of the file `path`, as a value of the type `kind`.

    With `nan` the words NaN and Infinity, which Python writes and JSON does not have, are read as null. Raises
    DataError with line and column for broken JSON, and with `expected` for values of another type; also for text in no
    encoding of JSON, halves of characters, and nesting too deep to be anything but an accident.
    """
    data = as_utf8(path, data)
    try:
        return _decoded(data, kind, nan)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}; expected {expected}") from None
    except msgspec.DecodeError as error:
        raise broken(path, data, error) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} (byte {error.start}); save it as UTF-8") from None
    except RecursionError:
        raise DataError(f"{path}: brackets are nested too deep to be {expected}") from None


def as_utf8(path: Path, data: Any) -> Any:
    """The text in UTF-8 without a mark at its beginning; the same object where it is so already."""
    if data[:3] == codecs.BOM_UTF8:
        return memoryview(data)[3:]
    encoding = json.detect_encoding(bytes(data[:4]))
    if encoding.startswith("utf-8"):
        return data
    try:
        return bytes(data).decode(encoding).encode()
    except UnicodeError:
        raise DataError(f"{path}: neither UTF-8 nor {encoding} text; save it as UTF-8") from None


def broken(path: Path, data: Any, error: msgspec.DecodeError) -> DataError:
    """The error of a fault of syntax, with line, column and the text around it."""
    data = bytes(data)
    half = next((found for found in _HALF.finditer(data) if found[1]), None)
    if half is not None:
        where, shown = _place(data, half.start())[0], half[0].decode("ascii", "replace")
        return DataError(f"{path}: {where}: {shown} is half of a character; write the file again as UTF-8")
    found = re.search(r"\(byte (\d+)\)", str(error))
    where, near = _place(data, int(found[1]) if found else len(data))
    return DataError(f"{path}: broken JSON at {where} (near {near!r}): {error}")


def _decoded(data: Any, kind: Any, nan: bool) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        if not nan or not _NO_NUMBER.search(data):
            raise
        try:
            plain = json.loads(bytes(data), parse_constant=lambda _: None)
            return msgspec.json.decode(msgspec.json.encode(plain), type=kind)
        except (ValueError, UnicodeError):
            raise error from None


def _place(data: bytes, at: int) -> tuple[str, str]:
    """(line and column, the text around) of a byte."""
    line, begin = data.count(b"\n", 0, at) + 1, data.rfind(b"\n", 0, at) + 1
    column = len(data[begin:at].decode("utf-8", "replace")) + 1
    near = data[max(begin, at - _AROUND) : at + _AROUND].decode("utf-8", "replace").strip()
    return f"line {line}, column {column}", near
