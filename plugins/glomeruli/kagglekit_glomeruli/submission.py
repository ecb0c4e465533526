"""The submission: `id,predicted`, one row of run lengths for each slide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kagglekit import DataError, SubmissionFormat
from kagglekit.api import read_rows, require_ids, rle, write_rows

HEADER = "id", "predicted"


@dataclass
class RleCsv(SubmissionFormat):
    """Rows are the text of run lengths."""

    sample: Path
    filename: str = "submission.csv"
    _names: list[str] = field(default_factory=list, repr=False)

    def names(self) -> list[str]:
        """Ids in the order of the sample submission; raises DataError for a fault in it."""
        if not self._names:
            self._names = list(read_rows(self.sample, HEADER, DataError))
            if not self._names:
                raise DataError(f"{self.sample}: lists no slide")
        return self._names

    def encode(self, mask: np.ndarray) -> str:
        """Run lengths of one mask."""
        return rle.encode(mask)

    def decode(self, row: str, size: tuple[int, int]) -> np.ndarray:
        """uint8 `[H, W]`."""
        return rle.decode(row, size)

    def encode_stripes(self, stripes: Iterable[np.ndarray], size: tuple[int, int]) -> str:
        """Run lengths of a mask that is never held whole."""
        return rle.encode_stripes(stripes, size[0])

    def decode_stripes(self, row: str, size: tuple[int, int], width: int) -> Iterator[np.ndarray]:
        """The mask, `width` columns at a time."""
        return rle.decode_stripes(row, size, width)

    def write(self, path: Path, rows: Mapping[str, str]) -> None:
        """One line for each slide of the sample submission; raises SubmissionError for other ids."""
        require_ids(path, rows, self.names())
        write_rows(path, HEADER, {name: rows[name] for name in self.names()})

    def read(self, path: Path) -> dict[str, str]:
        """Rows by slide; raises SubmissionError for a fault of the file, missing and other slides."""
        rows = read_rows(path, HEADER)
        require_ids(path, rows, self.names())
        return rows
