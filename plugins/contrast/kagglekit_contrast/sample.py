"""Sample data: 16-bit images in which one contrast window shows what the other hides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from kagglekit.api import new_folder

SIZE = 256
FULL = 12040  # the brightest value there is
DARK = 40  # values of the ground
FAINT = 70  # what a faint object adds to the ground: seen from 0 to 256, under half a percent of the full range
PLATE = (3500, 8500)  # values of bright plates, where everything is white from 0 to 256
BRIGHT = 1400  # what an object on a plate adds


def draw_sample(root: Path, count: int, seed: int, track: Callable) -> None:
    """Write `count` training images and max(4, count // 5) test images with their masks to `root`.

    The same arguments write the same bytes. `root` appears only when it is complete. Raises FileExistsError if `root`
    exists and is not empty.
    """
    with new_folder(root) as part:
        for folder in ("train/images", "train/masks", "test/images", "answers"):
            (part / folder).mkdir(parents=True)
        jobs = [("train/images", "train/masks", i) for i in range(count)]
        jobs += [("test/images", "answers", i) for i in range(count, count + max(4, count // 5))]
        for images, masks, number in track(jobs, len(jobs), "drawing the sample"):
            image, mask = draw_image(np.random.default_rng((seed, number)))
            _save(part / images / f"p{number:04d}.png", image)
            _save(part / masks / f"p{number:04d}.png", mask * np.uint8(255))


def draw_image(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(uint16 image, uint8 mask): noise, bright plates, and objects on both, with decoys of the wrong shape."""
    values = DARK + 8 * smooth_noise(rng, 24) + rng.normal(0, 6, (SIZE, SIZE))
    plates = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(rng.integers(1, 3)):
        corners = blob(rng, rng.uniform(45, 75), 6)
        cv2.fillPoly(plates, [corners], 1)
    level = rng.uniform(*PLATE) + 350 * smooth_noise(rng, 32) + rng.normal(0, 120, (SIZE, SIZE))
    values = np.where(plates > 0, level, values)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(rng.integers(3, 6)):
        shape = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillPoly(shape, [blob(rng, rng.uniform(12, 26), 18)], 1)
        mask |= shape
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    values += soft * np.where(plates > 0, BRIGHT, FAINT)
    for _ in range(rng.integers(2, 5)):  # scratches are no objects, in whichever window they show
        ends = rng.integers(0, SIZE, 4)
        line = np.zeros((SIZE, SIZE), np.float32)
        cv2.line(line, tuple(map(int, ends[:2])), tuple(map(int, ends[2:])), 1, int(rng.integers(2, 4)))
        values += line * np.where(plates > 0, BRIGHT, FAINT)
    return np.clip(np.rint(values), 0, FULL).astype(np.uint16), mask


def smooth_noise(rng: np.random.Generator, cell: int) -> np.ndarray:
    """float32 `[SIZE, SIZE]` with a standard deviation near 1 and waves of about `cell` pixels."""
    coarse = rng.normal(0, 1, (SIZE // cell + 3,) * 2).astype(np.float32)
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def blob(rng: np.random.Generator, radius: float, corners: int) -> np.ndarray:
    """int32 `[N, 2]` outline of a roundish shape somewhere in the image."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * (1 + 0.2 * np.sin(turns * rng.integers(2, 4) + rng.uniform(0, 6)) + rng.normal(0, 0.06, corners))
    centre = rng.uniform(radius, SIZE - radius, 2)
    return np.rint(centre + reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], -1)).astype(np.int32)


def _save(path: Path, array: np.ndarray) -> None:
    done, data = cv2.imencode(".png", array)
    if not done:
        raise OSError(f"{path}: could not be encoded")
    path.write_bytes(data.tobytes())
