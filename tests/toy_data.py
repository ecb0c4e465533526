"""Small worlds to test in: coloured discs in memory, a tiny network, a hair-seg folder made from scratch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from kagglekit.data.input_transform import Plain
from kagglekit.data.sampling import Shuffle
from kagglekit.data.store import Store
from kagglekit.metrics import MeanIoU
from kagglekit.recipe import Fidelity, Recipe
from kagglekit.testing.fixtures import Discs, cropped, disc, discs, filled, samples, tiny_network
from kagglekit.train.fit import Job
from kagglekit.train.losses import build as build_loss
from kagglekit.types import Draw, Sample

__all__ = ["Discs", "cropped", "disc", "discs", "filled", "samples", "tiny_network"]  # moved to the kit, used from here


def centre(weights: np.ndarray) -> np.ndarray:
    """(y, x) of the centre of mass, in shares of the sides: the same for an image and its resized copy."""
    h, w = weights.shape
    rows, columns = np.mgrid[:h, :w] + 0.5
    return np.array([(weights * rows).sum() / h, (weights * columns).sum() / w]) / weights.sum()


def recipe(**values: Any) -> Recipe:
    """A recipe for discs, in 32-bit floats."""
    fidelity = {"image_size": 32, "epochs": 3} | values.pop("fidelity", {})
    defaults = {"competition": "discs", "precision": "fp32", "lr": 0.02, "batch_size": 8, "warmup": 0.5}
    return Recipe(**(defaults | values), fidelity=Fidelity(**fidelity))


def flip_half(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plain augmentation: every second image is mirrored."""
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
            "input_transform": Plain(dataset.channels),
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
    """A faultless hair-seg folder, two images per person, with answers for its test images."""
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
