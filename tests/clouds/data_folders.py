"""A small clouds folder made from scratch: two-coloured images at the contest's size, some with a black swath."""

import csv
from pathlib import Path

import cv2
import numpy as np

from kagglekit.data.codecs import rle
from kagglekit_clouds.contest import CLASSES, SIZE

HEADER = ["Image_Label", "EncodedPixels"]


def make_image(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 image, uint8 mask `[1400, 2100, 4]`); about half of the classes are absent."""
    rng = np.random.default_rng(seed)
    image = np.full((*SIZE, 3), 40, np.uint8)
    mask = np.zeros((*SIZE, 4), np.uint8)
    for k in range(4):
        if (seed + k) % 2:
            top, left = int(rng.integers(0, 700)), int(rng.integers(0, 1000))
            window = slice(top, top + 600), slice(left, left + 900)
            mask[(*window, k)] = 1
            image[window] += np.uint8(40)
    if seed % 3 == 0:
        image[:, 300:500] = 0
        mask[:, 300:500] = 0
    return image, mask


def table(images: dict[str, np.ndarray]) -> list[list[str]]:
    """The rows of masks."""
    return [[f"{name}_{c}", rle.encode(mask[..., k])] for name, mask in images.items() for k, c in enumerate(CLASSES)]


def write_rows(path: Path, rows, header=HEADER) -> None:
    """A CSV file."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def folder(root: Path, train: int = 6, test: int = 3) -> Path:
    """A faultless data folder: a0.jpg, a1.jpg ... and b0.jpg ..."""
    for part in ("train_images", "test_images"):
        (root / part).mkdir(parents=True)
    masks: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for i in range(train + test):
        part, name = ("train", f"a{i}.jpg") if i < train else ("test", f"b{i - train}.jpg")
        image, masks[part][name] = make_image(i)
        (root / f"{part}_images" / name).write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    write_rows(root / "train.csv", table(masks["train"]))
    write_rows(root / "answers.csv", table(masks["test"]))
    write_rows(root / "sample_submission.csv", [[id, "1 1"] for id, _ in table(masks["test"])])
    return root
