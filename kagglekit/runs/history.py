"""The history of a run as a table, `history.csv`: one line per epoch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from kagglekit.files import write_text
from kagglekit.runs.reading import damaged, text_of
from kagglekit.runs.record import AGAIN
from kagglekit.train.trained import Epoch

HISTORY = "history.csv"


def read_history(folder: Path) -> list[Epoch]:
    """The epochs of `history.csv`, empty cells None; none where there is no such file. Raises RunError."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    rows, reader = [], csv.DictReader(io.StringIO(text_of(path)))
    try:
        for row in reader:
            if None in row:
                raise ValueError("more cells than columns")
            whole = {name: int(row[name]) for name in ("epoch", "fold") if name == "epoch" or row.get(name)}
            names = [name for name in Epoch.__struct_fields__ if row.get(name) and name not in whole]
            values = {name: float(row[name]) for name in names}
            if not math.isfinite(values.get("seconds", 0.0)):
                raise ValueError(f"seconds: {row['seconds']} is no time")
            rows.append(msgspec.convert(whole | values, Epoch))
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise damaged(path, f"line {reader.line_num}", str(error), AGAIN) from error
    return rows


def write_history(folder: Path, history: Iterable[Epoch]) -> None:
    """`history.csv`, one line per epoch."""
    rows = [row.as_dict() for row in history]
    lines = [",".join(rows[0])] + [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    write_text(folder / HISTORY, "\n".join(lines) + "\n")
