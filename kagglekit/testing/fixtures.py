"""Small worlds to try plugins in: coloured discs in memory, a tiny network, a competition that needs no files."""

from __future__ import annotations

import time
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.competition import Competition
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError
from kagglekit.metrics import ClassIoU, MeanDice, MeanIoU
from kagglekit.plugin.hookspecs import hookimpl
from kagglekit.plugin.registry import Plugin, Registry
from kagglekit.protocols import Dataset
from kagglekit.types import Box, Depth, Sample, Size, Task, Tiling

if TYPE_CHECKING:
    from torch import nn

DRAWN = "drawn"  # the ids of drawn competitions begin so


def disc(size: Size, y: float, x: float, radius: float) -> np.ndarray:
    """uint8 `[H, W]` mask of a disc."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def cropped(array: np.ndarray, box: Box | None) -> np.ndarray:
    """A window of an array, or all of it."""
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


@dataclass
class Discs(Dataset):
    """A data set in memory: reddish discs on bluish noise. The mask is exactly where red exceeds 127.

    Several classes: of a multilabel task the first is the disc, the second all else, further ones other discs; of a
    label map the disc is cut into sectors. `damaged` ids raise DataError when read; `delay` seconds pass before each
    image is read; `reads` counts them. A `deep` image has 16 bits.
    """

    samples: Sequence[Sample]
    delay: float = 0.0
    damaged: tuple[str, ...] = ()
    channels: int = 3
    task: Task = "binary"
    reads: list[str] = field(default_factory=list)
    test: Sequence[Sample] = ()
    problems: Sequence[Any] = ()
    files: Sequence[Path] = ()
    submission: Any = None
    tiling: Tiling | None = None
    answers: Any = field(default_factory=dict)
    classes: int = 2
    depth: Depth = "uint8"

    @property
    def train(self) -> Sequence[Sample]:  # type: ignore[override]  # nobody sets it
        """All samples."""
        return self.samples

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The disc, in the form of the task."""
        rng = np.random.default_rng(sample.label)
        h, w = sample.size
        y, x = rng.uniform(0.3, 0.7, 2) * sample.size
        mask = disc(sample.size, y, x, min(h, w) * rng.uniform(0.15, 0.3))
        if self.task == "multilabel":
            places = [rng.uniform(0.2, 0.8, 2) * sample.size for _ in range(self.classes)]
            others = [disc(sample.size, down, right, h / 5) for down, right in places]
            mask = np.stack([mask, 1 - mask, *others][: self.classes], -1)
        elif self.task == "multiclass":
            rows, columns = np.mgrid[:h, :w]
            sector = (np.arctan2(rows - y, columns - x) / (2 * np.pi) + 0.5) * (self.classes - 1)
            mask = np.where(mask > 0, 1 + np.minimum(sector, self.classes - 2), 0).astype(np.uint8)
        return cropped(mask, box)

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """Red where the disc is; raises DataError for a damaged one."""
        time.sleep(self.delay)
        self.reads.append(sample.id)
        if sample.id in self.damaged:
            raise DataError(f"{sample.id}: this image is broken")
        inside = Discs((), task="binary").read_mask(sample)[..., None].astype(bool)
        noise = np.random.default_rng(10_000 + sample.label).integers(0, 100, (*sample.size, 3))
        image = noise + np.where(inside, np.array([150, 0, 0]), np.array([0, 0, 120]))
        image = np.concatenate([image, image], -1)[..., : self.channels] * (1 if self.depth == "uint8" else 40)
        return cropped(image.astype(self.depth), box)


def samples(count: int, sizes: Sequence[Size] = ((48, 64),)) -> list[Sample]:
    """Samples s000, s001 ... whose sizes take turns."""
    return [
        Sample(f"s{i:03d}", Path(f"/nowhere/s{i:03d}.png"), sizes[i % len(sizes)], i, f"group{i // 2}", i % 3)
        for i in range(count)
    ]


def discs(count: int, sizes: Sequence[Size] = ((48, 64),), **fields: Any) -> Discs:
    """A data set of `count` discs."""
    return Discs(samples(count, sizes), **fields)


def filled(cache: Path, dataset: Any, image_size: int = 32, classes: int = 1, task: Task | None = None) -> Store:
    """The store of a data set, with every sample decoded; raises DataError that names the first that cannot be."""
    store = open_store(cache, "fingerprint", dataset, image_size, task or dataset.task, classes)
    store.fill(dataset, dataset.train)
    return store


def tiny_network(channels: int = 3, classes: int = 1, norm: bool = True) -> nn.Module:
    """Two convolutions, with batch norm unless told otherwise."""
    from torch import nn

    middle = nn.BatchNorm2d(6) if norm else nn.Identity()
    body = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), middle, nn.ReLU(), nn.Conv2d(6, classes, 3, padding=1))
    made: Any = body  # any module may carry it
    made.normalisation = ((0.5,) * channels, (0.5,) * channels)
    return body


TASKS: Mapping[Task, Competition] = {
    "binary": Competition(f"{DRAWN}-binary", "Discs", ("disc",), "binary", (48, 64), MeanIoU()),
    "multilabel": Competition(f"{DRAWN}-multilabel", "Discs", ("disc", "ground"), "multilabel", (48, 64), MeanDice()),
    "multiclass": Competition(
        f"{DRAWN}-multiclass",
        "Sectors",
        ("ground", "left", "right"),
        "multiclass",
        (48, 64),
        ClassIoU(3),
        recipe={"loss": {"ce": 1.0}},
    ),
}


def with_drawn(registry: Registry) -> Registry:
    """The same plugins and three competitions, one for each task, whose images are drawn in memory."""
    module = types.ModuleType(f"kagglekit.{DRAWN}")
    vars(module)["kk_dataset"] = hookimpl(_answer_dataset)
    plugin = Plugin(DRAWN, "kagglekit", module)
    made = {competition.id: (plugin, competition) for competition in TASKS.values()}
    return replace(registry, competitions={**registry.competitions, **made})


def _answer_dataset(competition):
    return dataset_for(competition)


def dataset_for(competition: Competition, depth: str = "uint8", count: int = 12, tiled: bool = False) -> Discs:
    """Discs in the form of a competition's task and classes, of two sizes that are not square; larger where tiled."""
    shape = {"task": competition.task, "classes": len(competition.classes), "depth": depth}
    sizes = ((160, 192), (192, 160)) if tiled else ((48, 64), (64, 48))
    return discs(count, sizes, **shape, tiling=Tiling(reduce=1) if tiled else None)
