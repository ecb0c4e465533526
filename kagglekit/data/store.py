"""The store: every image and mask of a data set decoded and resized once, memory-mapped ever after.

Images too large for a network are shrunk by a whole number instead of resized, band by band, and read by window.
One folder per (data fingerprint, size) under the cache, shared by all runs and trials of a machine. Images and masks
lie at fixed offsets of two sparse files; a byte per sample says absent, ready or damaged. The byte is written after the
pixels are on disk, so a killed build leaves a smaller store, never a wrong one, and the next build goes on from there.
Each sample has checksums, which are compared when a process first asks for it; what differs is decoded anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kagglekit import progress
from kagglekit.data.codecs import mask_png
from kagglekit.data.resize import resize_image, resize_mask, shrink_image, shrink_mask, stored_size, tiling_of
from kagglekit.data.store_files import DAMAGED, READY, Folder, Sums
from kagglekit.errors import DataError
from kagglekit.files import locked
from kagglekit.protocols import Dataset
from kagglekit.types import Box, Depth, Sample, Size, Task, Tiling, Track, untracked

if TYPE_CHECKING:
    import numpy as np

DEPTHS = {"uint8": 1, "uint16": 2, "int16": 2}  # bytes of a channel
CHUNK = 64  # samples between two flushes to disk
BAND = 256  # stored rows that are decoded at once of a large image


@dataclass
class Store:
    """Images `[h, w, channels]` of one depth and masks of all training samples at one size.

    Safe to pickle to loader workers: the files are mapped again on first use in each process.
    """

    folder: Path
    task: Task
    channels: int
    classes: int
    index: dict[str, int]
    shapes: list[Size]
    offsets: list[int]  # first pixel of each sample; offsets[-1] is the total
    depth: Depth = "uint8"
    tiling: Tiling | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # masks that are read instead of the stored, as PNG in text
    _maps: tuple | None = field(default=None, repr=False)
    _compared: set[str] = field(default_factory=set, repr=False)  # samples whose checksums this process has seen agree

    @property
    def files(self) -> Folder:
        """The files beside the pixels."""
        return Folder(self.folder)

    @property
    def planes(self) -> int:
        """Channels of a mask: the classes of a multilabel task, else 1."""
        return self.classes if self.task == "multilabel" else 1

    def __getstate__(self):
        return {**self.__dict__, "_maps": None}

    def shape(self, sample: Sample) -> Size:
        """The size of a stored image."""
        return self.shapes[self.index[sample.id]]

    def read(self, sample: Sample, box: Box | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(image, mask) of a filled sample as read-only views; `box` in pixels of the stored image.

        Where a box leaves the image, the image's edge is repeated and the mask is empty.
        """
        image, mask = self._stored(sample)
        h, w = self.shape(sample)
        if sample.id in self.labels:
            mask = mask_png.from_text(self.labels[sample.id], sample.id, (h, w), self.task, self.classes)
        if box is None:
            return image, mask
        window = slice(max(0, box.top), box.top + box.height), slice(max(0, box.left), box.left + box.width)
        return _fitted(image[window], box, (h, w), "edge"), _fitted(mask[window], box, (h, w), "constant")

    def _stored(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        if self._maps is None:
            images, masks = self._map("images.raw", self.channels, self.depth), self._map("masks.raw", self.planes)
            self._maps = images, masks
        at = self.index[sample.id]
        (h, w), start, end = self.shapes[at], self.offsets[at], self.offsets[at + 1]
        image = self._maps[0][start * self.channels : end * self.channels].reshape(h, w, self.channels)
        mask = self._maps[1][start * self.planes : end * self.planes].reshape(
            (h, w, self.planes) if self.planes > 1 else (h, w)
        )
        return image, mask

    def relabelled(self, labels: Mapping[str, str]) -> Store:
        """The same store with other masks for some samples; `labels` are those of `small_label`, by id."""
        return replace(self, labels={**self.labels, **labels}) if labels else self

    def small_label(self, sample: Sample, mask: np.ndarray) -> str:
        """A mask of the image's size brought to that of the store, as a PNG in text, which takes little memory."""
        return mask_png.to_text(resize_mask(mask, self.shape(sample), self.task), self.task)

    def fill(self, dataset: Dataset, samples: Sequence[Sample], track: Track = untracked) -> dict[str, str]:
        """Decode what is absent or has changed on disk; returns sample id -> reason for what cannot be read.

        Waits while another process fills the same store. Raises DataError when the disk cannot hold it.
        """
        stale = self._stale(samples, track)
        missing = {s.id for s in self._absent(samples)} | stale
        if missing:
            with locked(self.folder / "lock"):
                self.files.forget([self.index[id] for id in stale])
                wanted = [s for s in self._absent(samples) if s.id in missing]
                self._check_disk(wanted)
                chunks = [wanted[i : i + CHUNK] for i in range(0, len(wanted), CHUNK)]
                with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
                    done = (s for chunk in chunks for s in self._fill_chunk(dataset, chunk, pool))
                    for _ in track(done, len(wanted), f"decoding images to {self.shapes[0][0]} px"):
                        pass
        state, reasons = self.files.state(), self.files.reasons()
        return {s.id: reasons.get(s.id, "cannot be read") for s in samples if state[self.index[s.id]] == DAMAGED}

    def _absent(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those that were never decoded; a state that no build writes, or damage without a reason, is none."""
        state, reasons = self.files.state(), self.files.reasons()

        def is_known(id: str) -> bool:
            return state[self.index[id]] == READY or (state[self.index[id]] == DAMAGED and id in reasons)

        return [s for s in samples if not is_known(s.id)]

    def _stale(self, samples: Sequence[Sample], track: Track) -> set[str]:
        """Ids of ready samples whose pixels on disk are no longer those that were written."""
        state, sums = self.files.state(), self.files.sums()
        ready = [s for s in samples if state[self.index[s.id]] == READY and s.id not in self._compared]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            agree = pool.map(lambda s: self._sums(s) == sums[self.index[s.id]], ready)
            answer = list(track(zip(ready, agree, strict=True), len(ready), "comparing checksums of the store"))
        self._compared |= {s.id for s, same in answer if same}
        stale = {s.id for s, same in answer if not same}
        if stale:
            what = f"{len(stale)} images have changed on disk, {min(stale)} among them"
            progress.say(f"{self.folder}: {what}; they are decoded anew")
        return stale

    def _sums(self, sample: Sample) -> Sums:
        image, mask = self._stored(sample)
        return Sums().over(image, mask)

    def _fill_chunk(self, dataset: Dataset, chunk: Sequence[Sample], pool: ThreadPoolExecutor) -> Sequence[Sample]:
        with self.files.pixels() as (images, masks):
            results = list(pool.map(lambda s: self._decode(dataset, s, images, masks), chunk))
        bad = {s.id: answer for s, answer in zip(chunk, results, strict=True) if isinstance(answer, str)}
        good = {s.id: answer for s, answer in zip(chunk, results, strict=True) if not isinstance(answer, str)}
        self.files.finish({self.index[id]: sums for id, sums in good.items()}, bad, self.index)
        self._compared |= set(good)
        return chunk

    def _decode(self, dataset: Dataset, sample: Sample, images: int, masks: int) -> Sums | str:
        """Write one sample's pixels; returns their checksums, or why it cannot be read."""
        at = self.offsets[self.index[sample.id]]
        wide = self.channels * DEPTHS[self.depth]
        parts = decode_bands if self.tiling else decode
        sums = Sums()
        try:
            for image, mask in parts(dataset, sample, self.shape(sample), self.task, self.classes):
                # Plain writes instead of a writable map: on a full disk they raise an error, a map would kill the
                # process.
                pixels, labels = image.tobytes(), mask.tobytes()
                _write_all(images, pixels, at * wide)
                _write_all(masks, labels, at * self.planes)
                sums = sums.over(pixels, labels)
                at += image.shape[0] * image.shape[1]
        except DataError as error:
            return str(error)
        return sums

    def _check_disk(self, missing: Sequence[Sample]) -> None:
        import shutil

        pixels = sum(self.shapes[self.index[s.id]][0] * self.shapes[self.index[s.id]][1] for s in missing)
        needed = pixels * (self.channels * DEPTHS[self.depth] + self.planes)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"the store needs {needed / 2**20:,.0f} MiB in {self.folder}, {free / 2**20:,.0f} MiB are free; "
                "free some, set KAGGLEKIT_CACHE to a larger disk, or lower -o fidelity.image_size or -o "
                "fidelity.fraction"
            )

    def _map(self, name: str, channels: int, depth: Depth = "uint8") -> np.ndarray:
        import numpy as np

        return np.memmap(self.folder / name, depth, "r", shape=(self.offsets[-1] * channels,))


def open_store(cache: Path, fingerprint: str, dataset: Dataset, image_size: int, task: Task, classes: int) -> Store:
    """The store of a data set at a size, created empty where it does not exist; nothing is decoded yet."""
    planes = classes if task == "multilabel" else 1
    shapes = [stored_size(s.size, image_size, dataset.tiling) for s in dataset.train]
    offsets = [0]
    for h, w in shapes:
        offsets.append(offsets[-1] + h * w)
    # The layout is part of the name: another plugin version that lists samples differently gets a store of its own.
    from kagglekit.recipe import digest

    layout = digest([[s.id for s in dataset.train], shapes, dataset.channels, dataset.depth, planes])
    scale = image_size if dataset.tiling is None else f"by{dataset.tiling.reduce}"
    folder = cache / "store" / f"{fingerprint}-{scale}-{layout}"
    index = {s.id: i for i, s in enumerate(dataset.train)}
    store = Store(folder, task, dataset.channels, classes, index, shapes, offsets, dataset.depth, dataset.tiling)
    pixels = offsets[-1]
    Folder(folder).create(pixels * dataset.channels * DEPTHS[dataset.depth], pixels * planes, len(shapes))
    return store


Decoded = Iterator[tuple["np.ndarray", "np.ndarray"]]


def decode(dataset: Dataset, sample: Sample, size: Size, task: Task, classes: int) -> Decoded:
    """(image, mask) of one sample read from its files and resized to `size`; raises DataError."""
    image, mask = dataset.read_image(sample), dataset.read_mask(sample)
    _check(dataset, sample, image, mask, task, classes)
    yield resize_image(image, size), resize_mask(mask, size, task)


def decode_bands(dataset: Dataset, sample: Sample, size: Size, task: Task, classes: int) -> Decoded:
    """(image, mask) of bands of a large sample from top to bottom, shrunk to the rows of `size`; raises DataError."""
    reduce = tiling_of(dataset.tiling).reduce
    for box in bands(sample.size, reduce):
        image, mask = dataset.read_image(sample, box), dataset.read_mask(sample, box)
        _check(dataset, sample, image, mask, task, classes)
        yield shrink_image(image, reduce), shrink_mask(mask, reduce, task)


def bands(size: Size, reduce: int) -> Iterator[Box]:
    """Boxes of whole rows that cover a large image from top to bottom, `BAND` shrunk rows each."""
    for top in range(0, size[0], BAND * reduce):
        yield Box(top, 0, min(BAND * reduce, size[0] - top), size[1])


def _check(dataset: Dataset, sample: Sample, image: np.ndarray, mask: np.ndarray, task: Task, classes: int) -> None:
    import numpy as np

    planes = classes if task == "multilabel" else 1
    if image.dtype != dataset.depth or image.ndim != 3 or image.shape[2] != dataset.channels:
        raise DataError(
            f"{sample.id}: read_image gave {image.dtype} {image.shape}; expected {dataset.depth} "
            f"[H, W, {dataset.channels}]"
        )
    expected = image.shape[:2] + ((planes,) if planes > 1 else ())
    if mask.shape != expected:
        raise DataError(f"{sample.id}: its mask is {mask.shape}, its image asks for {expected}")
    most = classes - 1 if task == "multiclass" else 1
    if mask.dtype != np.uint8 or mask.max(initial=0) > most:
        found = f"{mask.dtype} up to {mask.max(initial=0)}"
        raise DataError(f"{sample.id}: read_mask gave {found}; expected uint8 up to {most}")


def _fitted(part: np.ndarray, box: Box, size: Size, mode: Literal["constant", "reflect", "edge"]) -> np.ndarray:
    """A window that was cut at the borders of an image, filled up to the size of `box`."""
    import numpy as np

    if part.shape[:2] == (box.height, box.width):
        return part
    above, left = max(0, -box.top), max(0, -box.left)
    below, right = max(0, box.top + box.height - size[0]), max(0, box.left + box.width - size[1])
    return np.pad(part, ((above, below), (left, right), *((0, 0),) * (part.ndim - 2)), mode)


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
