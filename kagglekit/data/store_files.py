"""The files of a store: sparse pixels, a state byte and checksums per sample, reasons of damage."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kagglekit.files import locked, write_text

ABSENT, READY, DAMAGED = 0, 1, 2
IMAGES, MASKS, STATE, SUMS, REASONS = "images.raw", "masks.raw", "state.u8", "sums.u32", "damaged.json"
_PAIR = struct.Struct("<II")


class Sums(NamedTuple):
    """Checksums (CRC-32) of the pixels of a sample and of its mask."""

    image: int = 0
    mask: int = 0

    def over(self, image, mask) -> Sums:
        """Those of what was summed so far and these buffers behind it."""
        return Sums(zlib.crc32(image, self.image), zlib.crc32(mask, self.mask))


@dataclass(frozen=True)
class Folder:
    """The folder of one store; a file that is missing or too short makes all samples absent."""

    path: Path

    def create(self, image_bytes: int, mask_bytes: int, samples: int) -> None:
        """Make what is missing. Pixels that were lost are zero then, so that nothing counts as decoded any more."""
        self.path.mkdir(parents=True, exist_ok=True)
        sizes = {IMAGES: image_bytes, MASKS: mask_bytes, SUMS: samples * _PAIR.size, STATE: samples}
        if not self._short(sizes):
            return
        with locked(self.path / "lock"):
            short = self._short(sizes)
            if short:  # the state first: a kill between here and the end leaves a store of nothing
                (self.path / STATE).write_bytes(bytes(samples))
            for name in short:
                with (self.path / name).open("ab") as stream:
                    stream.truncate(sizes[name])

    def _short(self, sizes: Mapping[str, int]) -> list[str]:
        return [name for name, size in sizes.items() if not _size(self.path / name) >= size]

    def state(self) -> bytes:
        """A byte per sample."""
        return (self.path / STATE).read_bytes()

    def sums(self) -> list[Sums]:
        """Those of each sample; zeros where nothing was written."""
        return [Sums(*pair) for pair in _PAIR.iter_unpack((self.path / SUMS).read_bytes())]

    def reasons(self) -> dict[str, str]:
        """Sample id -> why it cannot be read; what is unreadable itself says nothing."""
        try:
            found = json.loads((self.path / REASONS).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def forget(self, indices: Iterable[int]) -> None:
        """Make samples absent."""
        with (self.path / STATE).open("r+b") as state:
            for index in indices:
                os.pwrite(state.fileno(), bytes([ABSENT]), index)

    @contextmanager
    def pixels(self) -> Iterator[tuple[int, int]]:
        """The open files of images and masks, on disk when the block ends."""
        with (self.path / IMAGES).open("r+b") as images, (self.path / MASKS).open("r+b") as masks:
            yield images.fileno(), masks.fileno()
            os.fsync(images.fileno())
            os.fsync(masks.fileno())

    def finish(self, good: Mapping[int, Sums], bad: Mapping[str, str], index: Mapping[str, int]) -> None:
        """Say what samples are: ready, by place with their checksums, or damaged, by id with the reason."""
        if bad:
            write_text(self.path / REASONS, json.dumps(self.reasons() | dict(bad)))
        with (self.path / SUMS).open("r+b") as sums:
            for at, pair in good.items():
                os.pwrite(sums.fileno(), _PAIR.pack(*pair), at * _PAIR.size)
        with (self.path / STATE).open("r+b") as state:
            for at in good:
                os.pwrite(state.fileno(), bytes([READY]), at)
            for id in bad:
                os.pwrite(state.fileno(), bytes([DAMAGED]), index[id])


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
