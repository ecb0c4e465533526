"""The submission: a row of run lengths over 350x525 for each image and class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kagglekit import DataError, SubmissionError, SubmissionFormat
from kagglekit.api import read_rows, require_ids, rle, write_rows
from kagglekit_clouds.contest import CLASSES

HEADER = "Image_Label", "EncodedPixels"


@dataclass
class CloudCsv(SubmissionFormat):
    """Rows are a text of run lengths for each class."""

    sample: Path
    filename: str = "submission.csv"
    _ids: list[str] = field(default_factory=list, repr=False)

    def ids(self) -> list[str]:
        """Ids NAME_CLASS in the order of the sample submission; raises DataError for a fault in it."""
        if not self._ids:
            self._ids = list(read_rows(self.sample, HEADER, DataError))
            names = dict.fromkeys(id.rpartition("_")[0] for id in self._ids)
            wanted = {f"{name}_{label}" for name in names for label in CLASSES}
            if not names or wanted != set(self._ids):
                odd = sorted(wanted ^ set(self._ids))
                raise DataError(
                    f"{self.sample}: expected a row NAME.jpg_CLASS for each image and each of {', '.join(CLASSES)}"
                    + (f"; see {odd[0]}" if odd else "; it lists none")
                )
        return self._ids

    def names(self) -> list[str]:
        """File names in the order of the sample submission."""
        return list(dict.fromkeys(id.rpartition("_")[0] for id in self.ids()))

    def encode(self, mask: np.ndarray) -> list[str]:
        """Run lengths of every class of a mask `[350, 525, 4]`."""
        return [rle.encode(mask[..., k]) for k in range(len(CLASSES))]

    def decode(self, row: list[str], size: tuple[int, int]) -> np.ndarray:
        """uint8 `[350, 525, 4]`; raises SubmissionError that names the class."""
        planes = []
        for label, runs in zip(CLASSES, row, strict=True):
            try:
                planes.append(rle.decode(runs, size))
            except SubmissionError as error:
                raise SubmissionError(f"{label}: {error}") from None
        return np.stack(planes, -1)

    def write(self, path: Path, rows: Mapping[str, list[str]]) -> None:
        """A line for each row of the sample submission; raises SubmissionError for other images."""
        flat = {f"{name}_{label}": runs for name, row in rows.items() for label, runs in zip(CLASSES, row, strict=True)}
        require_ids(path, flat, self.ids())
        write_rows(path, HEADER, {id: flat[id] for id in self.ids()})

    def read(self, path: Path) -> dict[str, list[str]]:
        """Rows by image; raises SubmissionError for a fault of the file, missing and other rows."""
        rows = read_rows(path, HEADER)
        require_ids(path, rows, self.ids())
        return {name: [rows[f"{name}_{label}"] for label in CLASSES] for name in self.names()}
