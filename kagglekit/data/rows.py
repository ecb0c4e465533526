"""CSV files of two columns, an id and its value: the form of Kaggle's labels and submissions."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from kagglekit.errors import KagglekitError, SubmissionError, did_you_mean
from kagglekit.files import write_with

_LONGEST = 2**31 - 1  # characters of a value: a mask of a slide takes megabytes, Python's limit is 131,072
_SHOWN = 60  # characters of a value that an error repeats
_LISTED = 10  # ids up to which an error lists them all


def read_rows(path: Path, header: tuple[str, str], error: type[KagglekitError] = SubmissionError) -> dict[str, str]:
    """Values by id, in the order of the file; an empty cell is "".

    Raises `error` with file and line, counted as editors do, for a missing or empty file, another header, text that
    is not UTF-8, broken quoting, rows (also blank ones) that have not two columns, and an id that comes twice.
    """
    csv.field_size_limit(_LONGEST)
    rows, lines = {}, {}
    for line, cells in _records(Path(path), header, error):
        if len(cells) != 2:
            raise error(f"{path}: line {line}: {_count(cells)}; expected 2: {','.join(header)}")
        id, value = cells
        if id in rows:
            raise error(f"{path}: line {line}: id {_short(id)} is also that of line {lines[id]}")
        rows[id], lines[id] = value, line
    return rows


def require_ids(path: Path, rows: Collection[str], expected_ids: Iterable[str]) -> None:
    """Raises SubmissionError unless `rows` has exactly the expected ids, in any order: how many and the first."""
    expected = dict.fromkeys(expected_ids)
    missing = [id for id in expected if id not in rows]
    extra = [id for id in rows if id not in expected]
    faults = []
    if missing:
        faults.append(f"ids missing: {len(missing):,} of {len(expected):,}, first {_short(missing[0])}")
    if extra:
        near = expected if len(expected) <= _LISTED else get_close_matches(extra[0], expected, n=1)
        hint = did_you_mean(extra[0], near)
        faults.append(f"ids not asked for: {len(extra):,}, first {_short(extra[0])}{hint}")
    if faults:
        raise SubmissionError(f"{path}: {'; '.join(faults)}")


def write_rows(path: Path, header: tuple[str, str], rows: Mapping[str, str]) -> None:
    """Write a file that `read_rows` reads, whole or not at all: UTF-8, lines end with a line feed, cells are quoted
    where they must be."""

    def fill(temporary: Path) -> None:
        # csv.writer looks at each character by itself, which takes seconds for label maps.
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            for id, value in (header, *rows.items()):
                stream.write(f"{_cell(id)},{_cell(value)}\n")

    write_with(path, fill)


def _records(path: Path, header: tuple[str, str], error: type[KagglekitError]) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, cells) of the records below the header."""
    wanted, line = ",".join(header), 1
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            found = next(reader, None)
            if found is None:
                raise error(f"{path}: empty file; expected the header {wanted}")
            if found and found[0].startswith("\ufeff"):
                raise error(f"{path}: line 1: begins with a byte order mark; save it as UTF-8 without one")
            if found != list(header):
                raise error(f"{path}: line 1: header {_short(','.join(found))}; expected {wanted!r}")
            line = reader.line_num + 1
            for cells in reader:
                yield line, cells
                line = reader.line_num + 1
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise error(f"{path}: {_not_utf8(path)}") from None
    except csv.Error as fault:
        raise error(f"{path}: line {line}: {fault}") from None


def _not_utf8(path: Path) -> str:
    """Where the text stops being UTF-8; the decoder of a stream only knows the place in its buffer."""
    for line, data in enumerate(path.read_bytes().splitlines(), 1):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as fault:
            return f"line {line}: not UTF-8 text (byte 0x{data[fault.start]:02x})"
    return "not UTF-8 text"


def _cell(text: str) -> str:
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _count(cells: list[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
