"""The submission of the craters contest, PNGs in a zip, and its score, F2."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kagglekit import SubmissionError, SubmissionFormat
from kagglekit.api import require_ids, write_bytes

STAMP = (1980, 1, 1, 0, 0, 0)  # equal rows are equal files


@dataclass(frozen=True)
class F2:
    """F-beta with beta = 2 over the pixels of all images together: a missed crater costs more than a false one."""

    name: str = "F2 over the data set"
    greater_is_better: bool = True

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """int64 `[3]`: pixels of both masks, of the mask alone, of the truth alone."""
        t, m = truth > 0, mask > 0
        return np.array([np.count_nonzero(t & m), np.count_nonzero(m & ~t), np.count_nonzero(t & ~m)], np.int64)

    def reduce(self, statistics: np.ndarray) -> float:
        """The score of `[N, 3]`; 1 where there is no crater and none is found."""
        hits, false, missed = statistics.sum(0)
        whole = 5 * hits + 4 * missed + false
        return float(5 * hits / whole) if whole else 1.0


@dataclass
class PngZip(SubmissionFormat):
    """A zip with a PNG of 0 and 255 for each test image; a row is the bytes of a PNG."""

    names: Sequence[str]
    filename: str = "submission.zip"

    def encode(self, mask: np.ndarray) -> bytes:
        """The PNG of one mask."""
        from PIL import Image

        target = io.BytesIO()
        Image.fromarray((mask > 0) * np.uint8(255)).save(target, "PNG")
        return target.getvalue()

    def decode(self, row: bytes, size: tuple[int, int]) -> np.ndarray:
        """uint8 `[H, W]`; raises SubmissionError for bytes that are no PNG, and for another size."""
        from PIL import Image

        try:
            mask = np.asarray(Image.open(io.BytesIO(row)).convert("L"))
        except (OSError, SyntaxError) as error:
            raise SubmissionError(f"not a PNG: {error}") from None
        if mask.shape != tuple(size):
            raise SubmissionError(f"the PNG has {mask.shape[0]}x{mask.shape[1]} pixels; expected {size[0]}x{size[1]}")
        return (mask > 127).astype(np.uint8)

    def write(self, path: Path, rows: Mapping[str, bytes]) -> None:
        """One PNG for each test image, in their order; raises SubmissionError for other images."""
        require_ids(path, rows, self.names)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name in self.names:
                archive.writestr(zipfile.ZipInfo(name, STAMP), rows[name])
        write_bytes(path, target.getvalue())

    def read(self, path: Path) -> dict[str, bytes]:
        """PNGs by image; raises SubmissionError for what is no zip, and for missing and other images."""
        try:
            with zipfile.ZipFile(path) as archive:
                rows = {name: archive.read(name) for name in archive.namelist()}
        except (OSError, zipfile.BadZipFile) as error:
            raise SubmissionError(f"{path}: cannot be read as a zip: {error}") from None
        require_ids(path, rows, self.names)
        return rows
