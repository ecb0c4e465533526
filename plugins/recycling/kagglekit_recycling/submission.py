"""The submission: `image_id,PredictionString`, a label map of 256x256 in each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kagglekit import SubmissionFormat
from kagglekit.api import read_rows, require_ids, write_rows
from kagglekit_recycling import label_map
from kagglekit_recycling.contest import UNKNOWN
from kagglekit_recycling.labels import Edition

HEADER = "image_id", "PredictionString"


@dataclass
class LabelCsv(SubmissionFormat):
    """Rows are the text of a label map, in the pixel values of the edition."""

    names: Sequence[str]
    edition: Edition
    filename: str = "submission.csv"

    @property
    def loses(self) -> str:
        """Classes that one edition knows and the other does not."""
        return "" if self.edition.has_unknown else f"the class {UNKNOWN}, which this edition does not have"

    def encode(self, mask: np.ndarray) -> str:
        """The label map `[256, 256]` row by row."""
        return label_map.encode(self.edition.to_file()[mask])

    def decode(self, row: str, size: tuple[int, int]) -> np.ndarray:
        """uint8 `[256, 256]`; raises SubmissionError for a wrong count and for values that are no class."""
        return self.edition.from_file()[label_map.decode(row, size, len(self.edition.names))]

    def write(self, path: Path, rows: Mapping[str, str]) -> None:
        """A line for each test image, in the order of test.json; raises SubmissionError for other images."""
        require_ids(path, rows, self.names)
        write_rows(path, HEADER, {name: rows[name] for name in self.names})

    def read(self, path: Path) -> dict[str, str]:
        """Rows by image; raises SubmissionError for a fault of the file, missing and other images."""
        rows = read_rows(path, HEADER)
        require_ids(path, rows, self.names)
        return rows
