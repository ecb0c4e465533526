"""The submission of the toy competition: an id and run lengths."""

from dataclasses import dataclass

from kagglekit import SubmissionFormat
from kagglekit.data.codecs import rle
from kagglekit.data.codecs.rows import read_rows, write_rows


@dataclass
class Rows(SubmissionFormat):
    """`id,mask`."""

    names: list[str]
    filename: str = "submission.csv"

    def encode(self, mask):
        """Run lengths."""
        return rle.encode(mask)

    def decode(self, row, size):
        """uint8 `[H, W]`."""
        return rle.decode(row, size)

    def write(self, path, rows):
        """A line for each."""
        write_rows(path, ("id", "mask"), {name: rows[name] for name in self.names})

    def read(self, path):
        """Rows by id."""
        return read_rows(path, ("id", "mask"))
