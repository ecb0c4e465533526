"""What drawn trash lies on: floors, tables, streets and meadows, with clutter that belongs to no class."""

from __future__ import annotations

import cv2
import numpy as np

from kagglekit_recycling.contest import SIZE
from kagglekit_recycling.materials import any_of, noise, paint


def draw_ground(rng: np.random.Generator) -> np.ndarray:
    """float32 `[512, 512, 3]` in RGB, 0..255: one of six grounds with some clutter on it."""
    ground = any_of(rng, (_wood, _concrete, _tiles, _grass, _cloth, _wall))(rng)
    _stain(rng, ground)
    for _ in range(int(rng.choice((0, 3, 8, 16)))):
        _clutter(rng, ground)
    return ground


def _wood(rng: np.random.Generator) -> np.ndarray:
    """Planks with a grain."""
    grain = cv2.resize(noise(rng, (SIZE[0], SIZE[1] // 16), 3), SIZE[::-1])
    light = 1 + 0.1 * grain + 0.03 * noise(rng, SIZE, 3)
    wide = int(rng.integers(70, 150))
    for top in range(int(rng.integers(wide)), SIZE[0], wide):
        light[top : top + wide] *= rng.uniform(0.85, 1.1)
        light[top : top + 3] *= 0.45
    image = paint(np.array(any_of(rng, ((150, 104, 66), (110, 72, 46), (190, 158, 118), (96, 84, 76)))), light)
    return np.ascontiguousarray(image.transpose(1, 0, 2)) if rng.random() < 0.5 else image


def _concrete(rng: np.random.Generator) -> np.ndarray:
    """A street: grey, grainy, with patches and cracks."""
    light = 1 + 0.09 * noise(rng, SIZE, 2) + 0.06 * noise(rng, SIZE, 7) + 0.08 * noise(rng, SIZE, 90)
    image = paint(np.array([1, 1, 0.97]) * rng.uniform(75, 200), light)
    for _ in range(int(rng.integers(0, 3))):
        path = np.cumsum(rng.normal(0, 18, (24, 2)) + rng.normal(0, 14, 2), 0) + rng.uniform(0, 512, 2)
        cv2.polylines(image, [np.rint(path).astype(np.int32)], False, (50.0, 50.0, 50.0), 2, cv2.LINE_AA)
    return image


def _tiles(rng: np.random.Generator) -> np.ndarray:
    """Tiles of a floor with joints between."""
    side, joint = int(rng.integers(80, 190)), int(rng.integers(3, 7))
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    at, beside = rows + int(rng.integers(side)), columns + int(rng.integers(side))
    each = rng.uniform(0.92, 1.05, (SIZE[0] // side + 3, SIZE[1] // side + 3)).astype(np.float32)
    light = each[at // side, beside // side] + 0.025 * noise(rng, SIZE, 30)
    light = np.where((at % side < joint) | (beside % side < joint), 0.66, light).astype(np.float32)
    return paint(np.array(any_of(rng, ((205, 200, 190), (150, 160, 168), (176, 140, 116)))), light)


def _grass(rng: np.random.Generator) -> np.ndarray:
    """A meadow of blades."""
    image = paint((62, 88, 38), 1 + 0.25 * noise(rng, SIZE, 6) + 0.15 * noise(rng, SIZE, 60))
    roots = rng.uniform(0, 512, (900, 2))
    tips = roots + rng.normal(0, 13, (900, 2))
    greens = rng.uniform((50, 84, 24), (126, 158, 68), (900, 3))
    for root, tip, green in zip(
        np.rint(roots).astype(int).tolist(), np.rint(tips).astype(int).tolist(), greens, strict=True
    ):
        cv2.line(image, root, tip, green.tolist(), 2)
    return image


def _cloth(rng: np.random.Generator) -> np.ndarray:
    """A carpet."""
    light = 1 + 0.14 * noise(rng, SIZE, 3) + 0.05 * noise(rng, SIZE, 50)
    return paint(rng.uniform(70, 205) + rng.normal(0, 11, 3), light)


def _wall(rng: np.random.Generator) -> np.ndarray:
    """A bright table before a wall."""
    image = paint(np.full(3, rng.uniform(170, 235)) + rng.normal(0, 7, 3), 1 + 0.015 * noise(rng, SIZE, 3))
    edge = int(rng.uniform(0.1, 0.5) * SIZE[0])
    image[:edge] *= rng.uniform(0.65, 0.9, 3).astype(np.float32)
    return image


def _stain(rng: np.random.Generator, ground: np.ndarray) -> None:
    """Darken a part without an edge."""
    dark = np.clip(noise(rng, SIZE, 120), 0, 1.5) * rng.uniform(0, 0.2)
    ground *= 1 - dark[..., None]


def _clutter(rng: np.random.Generator, ground: np.ndarray) -> None:
    """A leaf, a pebble or a twig, none of which is trash."""
    place, size = rng.uniform(0, 512, 2), rng.uniform(5, 15)
    kind, turn = int(rng.integers(3)), float(rng.uniform(0, 180))
    at = tuple(map(float, place))
    dark = tuple(float(value) for value in 0.5 * ground[int(place[1]) % 512, int(place[0]) % 512])
    if kind == 2:
        ends = place + np.array([[-1, -1], [1, 1]]) * rng.normal(0, 2 * size, 2)
        cv2.line(ground, *np.rint(ends).astype(int).tolist(), (84.0, 62.0, 42.0), int(rng.integers(2, 5)), cv2.LINE_AA)
        return
    shape = (at, (2 * size, (0.9 if kind else 1.6) * size), turn)
    cv2.ellipse(ground, ((at[0] + 2, at[1] + 3), *shape[1:]), dark, -1)
    leaf, pebble = rng.uniform((90, 80, 20), (170, 130, 50)), np.full(3, rng.uniform(90, 190))
    cv2.ellipse(ground, shape, tuple(map(float, leaf if kind else pebble)), -1)


def shade(rng: np.random.Generator) -> np.ndarray:
    """float32 `[512, 512, 1]`: light over an image, brighter on one side, perhaps crossed by a shadow from outside."""
    rows, columns = np.mgrid[-0.5 : 0.5 : SIZE[0] * 1j, -0.5 : 0.5 : SIZE[1] * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    along = rows * np.sin(turn) + columns * np.cos(turn)
    light = 1 + rng.uniform(0, 0.5) * along
    if rng.random() < 0.3:
        light *= 1 - rng.uniform(0.2, 0.45) / (1 + np.exp(-(along + rng.uniform(-0.3, 0.3)) * 90))
    return light[..., None]
