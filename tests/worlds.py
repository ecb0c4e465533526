"""Small worlds to test in: coloured discs in memory, a tiny network, a hair-seg folder made from scratch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from kagglekit.data.intake import Plain
from kagglekit.data.sampling import Shuffle
from kagglekit.data.store import Store, open_store
from kagglekit.errors import DataError
from kagglekit.metrics import MeanIoU
from kagglekit.protocols import Dataset
from kagglekit.recipe import Fidelity, Recipe
from kagglekit.train.fit import Job
from kagglekit.train.losses import build as build_loss
from kagglekit.types import Box, Draw, Sample, Tiling


def disc(size: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """uint8 `[H, W]` mask of a disc."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def centre(weights: np.ndarray) -> np.ndarray:
    """(y, x) of the centre of mass, in shares of the sides: the same for a picture and its resized copy."""
    h, w = weights.shape
    rows, columns = np.mgrid[:h, :w] + 0.5
    return np.array([(weights * rows).sum() / h, (weights * columns).sum() / w]) / weights.sum()


def cropped(array: np.ndarray, box: Box | None) -> np.ndarray:
    """A window of an array, or all of it."""
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]


@dataclass
class Discs(Dataset):
    """A data set in memory: reddish discs on bluish noise. The mask is exactly where red exceeds 127.

    `damaged` ids raise DataError when read; `delay` seconds pass before each picture is read; `reads` counts them.
    """

    samples: Sequence[Sample]
    delay: float = 0.0
    damaged: tuple[str, ...] = ()
    channels: int = 3
    task: str = "binary"
    reads: list[str] = field(default_factory=list)
    test: Sequence[Sample] = ()
    problems: Sequence[Any] = ()
    files: Sequence[Path] = ()
    submission: Any = None
    tiling: Tiling | None = None
    answers: Any = field(default_factory=dict)

    @property
    def train(self) -> Sequence[Sample]:
        return self.samples

    def read_mask(self, sample: Sample, box=None) -> np.ndarray:
        rng = np.random.default_rng(sample.label)
        h, w = sample.size
        y, x = rng.uniform(0.3, 0.7, 2) * sample.size
        mask = disc(sample.size, y, x, min(h, w) * rng.uniform(0.15, 0.3))
        return cropped(np.stack([mask, 1 - mask], -1) if self.task == "multilabel" else mask, box)

    def read_image(self, sample: Sample, box=None) -> np.ndarray:
        time.sleep(self.delay)
        self.reads.append(sample.id)
        if sample.id in self.damaged:
            raise DataError(f"{sample.id}: this picture is broken")
        inside = Discs((), task="binary").read_mask(sample)[..., None].astype(bool)
        noise = np.random.default_rng(10_000 + sample.label).integers(0, 100, (*sample.size, 3))
        image = noise + np.where(inside, np.array([150, 0, 0]), np.array([0, 0, 120]))
        return cropped(np.concatenate([image, image], -1)[..., : self.channels].astype(np.uint8), box)


def samples(count: int, sizes: Sequence[tuple[int, int]] = ((48, 64),)) -> list[Sample]:
    """Samples s000, s001 ... whose sizes take turns."""
    return [
        Sample(f"s{i:03d}", Path(f"/nowhere/s{i:03d}.png"), tuple(sizes[i % len(sizes)]), i, f"group{i // 2}", i % 3)
        for i in range(count)
    ]


def discs(count: int, sizes: Sequence[tuple[int, int]] = ((48, 64),), **fields: Any) -> Discs:
    """A data set of `count` discs."""
    return Discs(samples(count, sizes), **fields)


def filled(cache: Path, dataset: Discs, image_size: int = 32, classes: int = 1) -> Store:
    """The store of a data set, with every sample decoded."""
    store = open_store(cache, "fingerprint", dataset, image_size, dataset.task, classes)
    store.fill(dataset, dataset.train)
    return store


def recipe(**values: Any) -> Recipe:
    """A recipe for discs, in 32-bit floats."""
    fidelity = {"image_size": 32, "epochs": 3} | values.pop("fidelity", {})
    defaults = {"competition": "discs", "precision": "fp32", "lr": 0.02, "batch_size": 8, "warmup": 0.5}
    return Recipe(**(defaults | values), fidelity=Fidelity(**fidelity))


def tiny_network(channels: int = 3, classes: int = 1, norm: bool = True) -> nn.Module:
    """Two convolutions, with batch norm unless told otherwise."""
    middle = nn.BatchNorm2d(6) if norm else nn.Identity()
    body = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), middle, nn.ReLU(), nn.Conv2d(6, classes, 3, padding=1))
    body.normalisation = ((0.5,) * channels, (0.5,) * channels)
    return body


def flip_half(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plain augmentation: every second picture is mirrored."""
    if np.random.random() < 0.5:
        return image[:, ::-1], mask[:, ::-1]
    return image, mask


def whole(found: Sequence[Sample]) -> list[Draw]:
    """A draw of each sample, whole."""
    return [Draw(sample) for sample in found]


def job(
    folder: Path,
    store: Store,
    dataset: Discs,
    settings: Recipe,
    *,
    holdout: int = 4,
    make_model: Callable[[], nn.Module] = tiny_network,
    augment: Any = flip_half,
    **fields: Any,
) -> Job:
    """A training job on all but the last `holdout` samples of a data set."""
    split = len(dataset.train) - holdout
    train, validation = dataset.train[:split], dataset.train[split:]
    return Job(
        **{
            "recipe": settings,
            "task": dataset.task,
            "metric": MeanIoU(),
            "store": store,
            "make_model": make_model,
            "loss": build_loss(settings, dataset.task),
            "sampler": Shuffle(tuple(whole(train)), settings.seed),
            "augment": augment,
            "intake": Plain(dataset.channels),
            "validation": whole(validation),
            "folder": folder,
            **fields,
        }
    )


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Are two sets of tensors equal bit by bit?"""
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def ring(y: float, x: float, radius: float, corners: int = 24) -> list[dict[str, int]]:
    """A disc as a polygon in the form of the hair labels."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [{"x": int(x + radius * np.cos(t)), "y": int(y + radius * np.sin(t))} for t in turns]


def photo(y: float, x: float, radius: float, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """A dark disc on a bright ground."""
    inside = disc(size, y, x, radius)[..., None].astype(bool)
    return Image.fromarray(np.where(inside, [60, 30, 20], [190, 180, 200]).astype(np.uint8))


def write_json(path: Path, value: Any) -> None:
    """Write readable UTF-8 JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def hair_folder(root: Path, train: int = 12, test: int = 3) -> Path:
    """A faultless hair-seg folder, two pictures per person, with answers for its test pictures."""
    for part, count, label_file in (
        ("task02_train", train, root / "task02_train/labels.json"),
        ("task02_test", test, root / "answers.json"),
    ):
        (root / part / "images").mkdir(parents=True)
        entries = []
        for i in range(count):
            y, x, radius = 200 + 9 * (i % 12), 220 + 7 * (i % 10), 90 + 3 * (i % 20)
            name = f"{'p' if part.endswith('train') else 't'}{i // 2:03d}-{i:04d}.jpg"
            photo(y, x, radius).save(root / part / "images" / name, quality=90)
            entries.append({"file_name": name, "polygon1": ring(y, x, radius)})
        write_json(label_file, {"annotations": entries})
    triangle = [{"x": 0, "y": 0}] * 3
    names = [entry["file_name"] for entry in json.loads((root / "answers.json").read_text())["annotations"]]
    write_json(
        root / "task02_test/sample_submission.json",
        {"annotations": [{"file_name": name, "polygon1": triangle} for name in names]},
    )
    return root


def edit_json(path: Path, change: Callable[[dict], Any]) -> None:
    """Load a JSON file, let `change` alter it in place, write it back."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    write_json(path, document)
