"""Backgrounds: smooth, cluttered, textured, and some that look like hair."""

import cv2
import numpy as np

from .strokes import SIZE, blobs, draw_lines, fill

Colour = np.ndarray  # (3,) float BGR in [0, 255]


def colour(rng: np.random.Generator, saturation: tuple = (0.03, 0.48), value: tuple = (0.1, 0.95)) -> Colour:
    """A random colour with HSV saturation and value (both in [0, 1]) from the given ranges."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255


def background(rng: np.random.Generator) -> np.ndarray:
    """A random background, (SIZE, SIZE, 3) uint8 BGR."""
    base = colour(rng)
    coarse = base + (colour(rng) - base) * rng.random((*rng.integers(2, 5, 2), 1))
    image = cv2.resize(coarse.astype(np.float32), (SIZE, SIZE)).astype(np.uint8)
    paint = _KINDS[rng.integers(len(_KINDS))]
    paint(rng, image)
    depth = rng.choice([0, 0, 2.0, 5.0])  # out of focus in half of the images
    if depth:
        small = cv2.resize(image, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
        image = cv2.resize(cv2.GaussianBlur(small, (0, 0), depth), (SIZE, SIZE))
    return image


def hair_colour(rng: np.random.Generator) -> Colour:
    """One of the common hair colours, so that hair-like things cannot be told from hair by colour."""
    tone = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] if rng.random() < 0.88 else colour(rng, (0.5, 0.8), (0.5, 0.9))
    return np.clip(np.asarray(tone) * rng.uniform(0.85, 1.15, 3), 5, 245)


HAIR_COLOURS = (  # BGR, middle tone
    (30, 28, 30), (34, 38, 48), (30, 45, 70), (40, 62, 96), (60, 95, 140), (105, 160, 205), (140, 190, 222),
    (40, 70, 150), (35, 55, 120), (150, 152, 155), (205, 208, 210), (25, 30, 40),
)  # fmt: skip


def _plain(rng: np.random.Generator, image: np.ndarray) -> None:
    """A studio wall with a little grain."""
    grain = (blobs(rng, 90) - 0.5) * rng.uniform(0, 14)
    image[:] = cv2.add(image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)


def _bokeh(rng: np.random.Generator, image: np.ndarray) -> None:
    """Overlapping discs of light and of shadow."""
    for x, y, r in rng.uniform((0, 0, 8), (SIZE, SIZE, 70), (30, 3)):
        cv2.circle(image, (int(x), int(y)), int(r), colour(rng, value=(0.05, 1)).tolist(), -1, cv2.LINE_AA)


def _bricks(rng: np.random.Generator, image: np.ndarray) -> None:
    """A wall of bricks or tiles."""
    tall, wide = int(rng.integers(14, 40)), int(rng.integers(35, 90))
    base = colour(rng)
    for row, y in enumerate(range(0, SIZE, tall)):
        for x in range(-(row % 2) * wide // 2, SIZE, wide):
            tone = np.clip(base * rng.uniform(0.75, 1.2), 0, 255)
            cv2.rectangle(image, (x + 1, y + 1), (x + wide - 3, y + tall - 3), tone.tolist(), -1)


def _curtain(rng: np.random.Generator, image: np.ndarray) -> None:
    """Hanging folds, dark and light, like long straight hair."""
    base = hair_colour(rng)
    image[:] = base.astype(np.uint8)
    _streaks(rng, image, base, SIZE / 2, SIZE, count=160)


def _streaks(
    rng: np.random.Generator, image: np.ndarray, base: Colour, middle: float, length: float, count: int
) -> None:
    """Hair-like streaks of many shades of one colour from the top of the image downwards."""
    t = np.linspace(0, 1, 9)
    for shade in rng.uniform(0.5, 1.5, 8):
        x = middle + rng.normal(0, SIZE / 3, (count // 8, 1)) + rng.normal(0, 6, (count // 8, 9))
        y = np.broadcast_to(rng.uniform(-50, 20) + t * length, x.shape)
        draw_lines(image, np.stack([x, y], -1), np.clip(base * shade, 0, 255), int(rng.integers(2, 8)))


def _foliage(rng: np.random.Generator, image: np.ndarray) -> None:
    """Arching blades and leaves in greens and browns."""
    green = np.asarray((40, 110, 70)) if rng.random() < 0.7 else hair_colour(rng)
    t = np.linspace(0, 1, 10)
    for shade in rng.uniform(0.3, 1.4, 14):
        root = rng.uniform((0, 60), (SIZE, SIZE + 80), (14, 2))
        bend, tall = rng.normal(0, 70, (14, 1)), rng.uniform(60, 220, (14, 1))
        blades = np.stack([root[:, :1] + bend * t * t, root[:, 1:] - tall * t * (1.3 - 0.5 * t)], -1)
        draw_lines(image, blades, np.clip(green * shade, 0, 255), int(rng.integers(2, 9)))


def _shelf(rng: np.random.Generator, image: np.ndarray) -> None:
    """Shelves full of boxes and books, many of them dark."""
    for y in range(int(rng.integers(-40, 0)), SIZE, int(rng.integers(90, 160))):
        x = -10
        while x < SIZE:
            wide, tall = int(rng.integers(12, 60)), int(rng.integers(50, 110))
            tone = colour(rng, value=(0.05, 0.9))
            cv2.rectangle(image, (x, y + 120 - tall), (x + wide, y + 116), tone.tolist(), -1)
            x += wide + int(rng.integers(0, 8))


def _furniture(rng: np.random.Generator, image: np.ndarray) -> None:
    """Big rounded dark things: a sofa, a door, somebody's coat, a furry cushion."""
    for _ in range(rng.integers(2, 5)):
        centre, half = rng.uniform(0, SIZE, 2), rng.uniform(40, 150, 2)
        angle = np.linspace(0, 2 * np.pi, 40)
        shape = (
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.6,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.6,
        )
        base = hair_colour(rng) if rng.random() < 0.7 else colour(rng)
        fill(image, centre + half * np.stack(shape, -1), base)
        if rng.random() < 0.5:
            fur(rng, image, centre + half * 0.92 * np.stack(shape, -1), base, 22)


def _street(rng: np.random.Generator, image: np.ndarray) -> None:
    """House fronts with windows under a sky."""
    x = -20
    while x < SIZE:
        wide, top, base = int(rng.integers(60, 180)), int(rng.integers(0, 220)), colour(rng, (0.05, 0.4))
        cv2.rectangle(image, (x, top), (x + wide, SIZE), base.tolist(), -1)
        pane = np.clip(base * rng.uniform(0.2, 0.6), 0, 255).tolist()
        for wx in range(x + 10, x + wide - 20, 34):
            for wy in range(top + 14, SIZE, 52):
                cv2.rectangle(image, (wx, wy), (wx + 18, wy + 30), pane, -1)
        x += wide


def fur(rng: np.random.Generator, image: np.ndarray, path: np.ndarray, base: Colour, length: float) -> None:
    """Short hairs of many shades along a path of (k, 2) pixels, in place; looks like hair and is not."""
    for shade in rng.uniform(0.6, 1.5, 6):
        root = path[rng.integers(len(path), size=80)] + rng.normal(0, length * 0.4, (80, 2))
        lean = rng.normal(0, length * 0.5, (80, 1, 2)) * np.linspace(0, 1, 4)[None, :, None]
        draw_lines(image, root[:, None] + lean, np.clip(base * shade, 0, 255), 2)


_KINDS = (_plain, _plain, _bokeh, _bricks, _curtain, _foliage, _shelf, _furniture, _street)
