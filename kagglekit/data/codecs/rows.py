"""CSV files: two columns, an id and its value, as Kaggle's labels and submissions are, and tables of any columns."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kagglekit.errors import DataError, KagglekitError, SubmissionError, did_you_mean
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
    rows: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for line, cells in _records(Path(path), header, error):
        if len(cells) != 2:
            raise error(f"{path}: line {line}: {_count(cells)}; expected 2: {','.join(header)}")
        id, value = cells
        if id in rows:
            raise error(f"{path}: line {line}: id {_short(id)} is also that of line {lines[id]}")
        rows[id], lines[id] = value, line
    return rows


def read_table(
    path: Path, needed: Sequence[str], error: type[KagglekitError] = DataError
) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of a table that people may have saved with any spreadsheet.

    A byte order mark, UTF-16, Latin-1, semicolons and tabs are read; blank lines and columns that nobody needs may be
    left out. Raises `error` with file and line for a missing or empty file, a needed column that is missing or twice
    there, broken quoting, and rows whose needed cells are missing or displaced.
    """
    csv.field_size_limit(_LONGEST)
    path = Path(path)
    text = _text(path, error)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # the first of those that are as often there
    rows, line = [], 1
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in needed:
            if header.count(name) != 1:
                what = f"column {name} is {'twice there' if name in header else 'missing'}"
                raise error(f"{path}: {what}; expected {', '.join(needed)}" if any(header) else f"{path}: empty file")
        least = max(map(header.index, needed)) + 1
        line = reader.line_num + 1
        for cells in reader:
            while len(cells) > len(header) and not cells[-1].strip():
                cells.pop()
            if any(cell.strip() for cell in cells):
                if not least <= len(cells) <= len(header):
                    raise error(f"{path}: line {line}: {_count(cells)}; expected {len(header)}")
                rows.append((line, dict(zip(header, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as fault:
        raise error(f"{path}: line {line}: {fault}") from None
    return rows


def whole_number(text: str) -> int | None:
    """A whole number as spreadsheets may have saved it ("300", "300.0", "3e2"); None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


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
    except OSError as fault:
        raise error(f"{path}: cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise error(f"{path}: {_not_utf8(path)}") from None
    except csv.Error as fault:
        raise error(f"{path}: line {line}: {fault}") from None


def _text(path: Path, error: type[KagglekitError]) -> str:
    """The text of a file in the encoding that its first bytes tell; every text that is not UTF-8 is Latin-1."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        missing = isinstance(fault, FileNotFoundError)
        raise error(f"{path}: {'no such file' if missing else f'cannot be read: {fault.strerror}'}") from None
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


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
