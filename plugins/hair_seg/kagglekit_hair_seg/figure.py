"""The person without the hair: shoulders and clothes, neck, head, ears, face, beard, glasses, hats."""

from typing import NamedTuple

import cv2
import numpy as np

from .scenery import colour, fur, hair_colour
from .strokes import SIZE, Pose, draw_lines, fill, mirror, smooth, to_pixels


class Appearance(NamedTuple):
    """What stays the same about one person's face; lengths in head units, colours float BGR."""

    skin: np.ndarray
    lips: np.ndarray
    eyes: np.ndarray
    brows: np.ndarray
    jaw: float  # half-width of the jaw
    eye_size: float
    nose: float  # length of the nose
    mouth: float  # half-width of the mouth
    age: float  # 0 young to 1 old
    glasses: str  # "none", "round" or "square"
    beard: str  # "none", "stubble" or "full"
    hat: str  # "none", "beanie", "cap" or "brim"
    hat_colour: np.ndarray


class Sketch(NamedTuple):
    """The image (SIZE, SIZE, 3) and what of it hides the hair behind (SIZE, SIZE), both uint8, drawn in place."""

    image: np.ndarray
    cover: np.ndarray


def _shape(sketch: Sketch, pose: Pose, points: list | np.ndarray, tone: np.ndarray) -> None:
    """Fill a closed smooth shape in head units, opaque."""
    ring = np.asarray(points, dtype=float)
    pixels = to_pixels(smooth(np.concatenate([ring, ring[:1]]), 64), pose)
    fill(sketch.image, pixels, np.clip(tone, 0, 255))
    fill(sketch.cover, pixels, 255)


def draw_body(rng: np.random.Generator, sketch: Sketch, appearance: Appearance, pose: Pose) -> None:
    """Draw the neck, the shoulders and what the person wears in this image."""
    base = hair_colour(rng) if rng.random() < 0.45 else colour(rng, value=(0.05, 0.95))
    wide, low = rng.uniform(2.0, 2.6), rng.uniform(1.55, 1.75)
    neck = mirror([(-0.55, 0.4), (-0.53, 1.0), (-0.53, low + 0.12)])
    torso = mirror(
        [(-0.5, low), (-wide * 0.6, low + 0.3), (-wide, low + 0.75), (-wide - 0.25, 2.9), (-wide - 0.4, 6.0)]
    )
    cut = rng.uniform(0.1, 0.9)
    collar = mirror([(-0.52, low - 0.02), (-0.3, low + cut * 0.7), (-0.02, low + cut)])
    _shape(sketch, pose, torso, base)
    _pattern(rng, sketch, base)
    _shape(sketch, pose, neck, appearance.skin * 0.82)
    if pose.back_view:
        _shape(sketch, pose, mirror([(-0.56, low - 0.15), (-0.4, low), (-0.02, low + 0.08)]), appearance.skin * 0.85)
    else:
        _shape(sketch, pose, collar, appearance.skin * 0.86)
    rim = to_pixels(smooth(collar), pose)
    trim = rng.choice(["none", "fur", "dark", "scarf"], p=[0.55, 0.15, 0.15, 0.15])
    if trim == "fur":
        fur(rng, sketch.image, rim, hair_colour(rng), pose.scale * 0.25)
    elif trim != "none":
        width = int(pose.scale * (0.12 if trim == "dark" else 0.35))
        draw_lines(sketch.image, rim[None], base * 0.35 if trim == "dark" else colour(rng), width)
        draw_lines(sketch.cover, rim[None], 255, width)


def _pattern(rng: np.random.Generator, sketch: Sketch, base: np.ndarray) -> None:
    """Stripes or knitting on the clothes, which are all that is covered so far."""
    kind = rng.choice(["plain", "stripes", "knit"], p=[0.5, 0.2, 0.3])
    if kind == "plain":
        return
    cloth = sketch.image.copy()
    step = int(rng.integers(9, 40))
    across = np.linspace(0, SIZE, 13)
    if kind == "stripes":
        lines = [np.stack([across, y + 8 * np.sin(across / 60)], -1) for y in range(0, SIZE + 20, step)]
        draw_lines(cloth, np.array(lines), colour(rng), max(2, step // 3), soft=False)
    else:
        lines = [np.stack([x + 3 * np.sin(across), across], -1) for x in range(0, SIZE + 10, 10)]
        draw_lines(cloth, np.array(lines), base * 0.7, 3, soft=False)
    cv2.copyTo(cloth, sketch.cover, sketch.image)


def draw_head(sketch: Sketch, appearance: Appearance, pose: Pose) -> None:
    """Draw the shadow under the chin, the ears and the bare head."""
    turn = pose.yaw * 0.12
    shadow = [(x, y + 0.22) for x, y in mirror([(-0.5, 0.8), (-0.45, 1.15), (-0.1, 1.3)])]
    _shape(sketch, pose, shadow, appearance.skin * 0.66)
    for sign in (-1, 1):
        x = sign * (1.0 + sign * turn)
        ear = [
            (x, -0.25),
            (x + sign * 0.17, -0.2),
            (x + sign * 0.15, 0.15),
            (x + sign * 0.03, 0.42),
            (x - sign * 0.05, 0.3),
        ]
        _shape(sketch, pose, ear, appearance.skin * 0.9)
        bow = np.array([[(x + sign * 0.04, -0.12), (x + sign * 0.1, -0.05), (x + sign * 0.06, 0.18)]])
        draw_lines(sketch.image, to_pixels(bow, pose), appearance.skin * 0.7, 2)
    half = [
        (-0.02, -1.3),
        (-0.55, -1.2),
        (-0.93, -0.75),
        (-1.0, -0.1),
        (-0.95, 0.35),
        (-appearance.jaw, 0.85),
        (-0.3, 1.2),
        (-0.02, 1.26),
    ]
    _shape(sketch, pose, mirror(half), appearance.skin)


def _on_face(points: list | np.ndarray, pose: Pose) -> np.ndarray:
    """Face points (..., 2) in head units to pixels, moved sideways as the head turns."""
    points = np.array(points, dtype=float)
    points[..., 0] += pose.yaw * 0.3 * (1.1 - points[..., 0] ** 2)
    return to_pixels(points, pose)


def draw_face(rng: np.random.Generator, sketch: Sketch, appearance: Appearance, pose: Pose) -> None:
    """Draw cheeks, beard, nose, mouth, eyes, eyebrows, wrinkles and glasses; none of it counts as hair."""
    image, skin = sketch.image, appearance.skin
    for sign in (-1, 1):
        disc = np.stack([np.cos(np.linspace(0, 6.3, 20)), np.sin(np.linspace(0, 6.3, 20))], -1)
        fill(image, _on_face(disc * 0.24 + (sign * 0.52, 0.38), pose), np.clip(skin * (0.965, 0.965, 1.02), 0, 255))
    if appearance.beard != "none":
        _beard(rng, image, appearance, pose)
    tip = 0.1 + appearance.nose
    nose = [(-0.06, -0.05), (-0.1, tip - 0.15), (-0.19, tip), (0.0, tip + 0.08), (0.19, tip), (0.1, tip - 0.12)]
    draw_lines(image, _on_face(smooth(nose), pose)[None], skin * 0.72, 2)
    fill(image, _on_face(np.array(nose[1:]), pose), np.clip(skin * 1.03, 0, 255))
    y, w, lift = 0.8, appearance.mouth, 0.16 * pose.smile
    upper = [(-w, y - lift), (-w * 0.4, y - 0.05), (0, y - 0.02), (w * 0.4, y - 0.05), (w, y - lift)]
    lower = [(w, y - lift), (w * 0.45, y + 0.1 + lift * 0.4), (-w * 0.45, y + 0.1 + lift * 0.4), (-w, y - lift)]
    fill(image, _on_face(np.concatenate([smooth(upper), smooth(lower)]), pose), np.clip(appearance.lips, 0, 255))
    middle = [(-w, y - lift), (0, y + 0.03 + lift * 0.25), (w, y - lift)]
    if pose.smile > 0.6:
        fill(
            image,
            _on_face(np.concatenate([smooth(middle), smooth(upper)[::-1]]) * (0.85, 1) + (0, 0.03), pose),
            (235, 238, 240),
        )
    draw_lines(image, _on_face(smooth(middle), pose)[None], appearance.lips * 0.5, 2)
    for sign in (-1, 1):
        _eye(rng, image, appearance, pose, sign)
    if appearance.age > 0.5:
        lines = [smooth([(s * 0.3, 0.55), (s * 0.45, 0.7), (s * 0.46, 0.9)]) for s in (-1, 1)]
        lines += [smooth([(-0.45, h), (0, h - 0.04), (0.45, h)]) for h in (-0.52, -0.62)]
        draw_lines(image, _on_face(np.array(lines), pose), skin * 0.8, 1)
    if appearance.glasses != "none":
        _glasses(image, appearance, pose)


def _eye(rng: np.random.Generator, image: np.ndarray, appearance: Appearance, pose: Pose, sign: int) -> None:
    """One eye with its eyebrow of short hairs."""
    x, size = sign * 0.42, appearance.eye_size
    lid = np.array([(x - 0.2, 0.0), (x - 0.08, -size), (x + 0.08, -size), (x + 0.2, 0.0)])
    below = np.array([(x + 0.2, 0.0), (x, size * 0.8), (x - 0.2, 0.0)])
    if not pose.blink:
        fill(image, _on_face(np.concatenate([smooth(lid, 16), smooth(below, 12)]), pose), (228, 230, 232))
        centre = _on_face([(x + pose.yaw * 0.05, -0.01)], pose)[0]
        for radius, tone in ((0.1, appearance.eyes), (0.045, np.full(3, 12.0))):
            cv2.circle(
                image,
                tuple(np.round(centre * 16).astype(int)),
                int(radius * pose.scale * 16),
                tone.tolist(),
                -1,
                cv2.LINE_AA,
                4,
            )
        cv2.circle(image, tuple(np.round(centre - pose.scale * 0.03).astype(int)), 1, (245, 245, 245), -1, cv2.LINE_AA)
    draw_lines(image, _on_face(smooth(lid if not pose.blink else below, 16), pose)[None], appearance.skin * 0.3, 2)
    along = rng.random((26, 1)) * 2 - 1
    root = np.stack([x + along * 0.24, -0.27 + 0.06 * along**2 + 0.02 * along * sign], -1) + rng.normal(
        0, 0.012, (26, 1, 2)
    )
    hairs = root + np.array([(0, 0), (sign * 0.07, -0.025)])
    draw_lines(image, _on_face(hairs, pose), appearance.brows, 2)


def _beard(rng: np.random.Generator, image: np.ndarray, appearance: Appearance, pose: Pose) -> None:
    """A beard with the texture of hair."""
    count = 260 if appearance.beard == "full" else 120
    a = rng.uniform(-1, 1, count)
    inner, outer = (
        np.stack([0.62 * a, 0.62 + 0.38 * (1 - a * a)], -1),
        np.stack([appearance.jaw * 1.15 * a, 0.3 + 1.02 * (1 - a**4)], -1),
    )
    share = rng.random((count, 1))
    root = np.concatenate([inner * (1 - share) + outer * share, rng.uniform((-0.32, 0.6), (0.32, 0.72), (50, 2))])
    length = 0.16 if appearance.beard == "full" else 0.03
    hairs = root[:, None] + np.array([(0, 0), (0.0, 0.6), (0.02, 1)]) * length
    hairs[..., 0] += rng.normal(0, 0.02, hairs.shape[:2])
    if appearance.beard == "full":
        ring = np.concatenate([outer[np.argsort(a)], inner[np.argsort(-a)]])
        fill(image, _on_face(ring, pose), appearance.brows * 0.75)
    for part, shade in zip(np.array_split(hairs, 5), (0.6, 0.85, 1.1, 1.3, 0.95), strict=True):
        draw_lines(
            image,
            _on_face(part, pose),
            np.clip(appearance.brows * shade, 0, 255),
            2 if appearance.beard == "full" else 1,
        )


def _glasses(image: np.ndarray, appearance: Appearance, pose: Pose) -> None:
    """A pair of glasses with arms to the ears."""
    angle = np.linspace(0, 2 * np.pi, 32)
    square = 0.45 if appearance.glasses == "square" else 1.0
    ring = np.stack(
        [
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** square * 0.3,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** square * 0.24,
        ],
        -1,
    )
    width = max(2, round(pose.scale * 0.035))
    draw_lines(
        image,
        _on_face(np.stack([ring - np.array([0.42, -0.02]), ring + np.array([0.42, 0.02])]), pose),
        appearance.hat_colour * 0.35,
        width,
    )
    bars = [[(-0.12, -0.03), (0.12, -0.03)], [(-0.72, -0.03), (-0.98, -0.08)], [(0.72, -0.03), (0.98, -0.08)]]
    draw_lines(image, _on_face(bars, pose), appearance.hat_colour * 0.35, width)


def draw_hat(sketch: Sketch, appearance: Appearance, pose: Pose, volume: float) -> None:
    """Draw a hat over the hair; it covers the top of it."""
    v, tone = min(volume, 0.2), appearance.hat_colour
    edge = -0.62 if not pose.back_view else -0.35
    crown = mirror([(-0.02, -1.5 - v), (-0.75, -1.36 - v), (-1.12 - v, -0.95), (-1.14 - v, edge), (-0.6, edge - 0.08)])
    _shape(sketch, pose, crown, tone)
    ribs = np.array(
        [smooth([(x * 0.5, -1.45 - v), (x * 1.05, -1.0), (x * 1.08, edge - 0.1)]) for x in np.linspace(-0.9, 0.9, 11)]
    )
    draw_lines(sketch.image, to_pixels(ribs, pose), tone * 0.82, 2)
    band = mirror([(-1.16 - v, edge - 0.2), (-1.17 - v, edge + 0.04), (-0.6, edge + 0.02), (-0.02, edge)])
    top = mirror([(-1.16 - v, edge - 0.2), (-0.6, edge - 0.25), (-0.02, edge - 0.27)])[::-1]
    if appearance.hat == "beanie":
        _shape(sketch, pose, np.concatenate([band, top[:3], top[3:]]), tone * 0.75)
    elif appearance.hat == "brim":
        _shape(
            sketch,
            pose,
            mirror(
                [
                    (-0.02, edge - 0.2),
                    (-1.0, edge - 0.14),
                    (-1.9, edge + 0.05),
                    (-1.2, edge + 0.16),
                    (-0.02, edge + 0.12),
                ]
            ),
            tone * 0.7,
        )
    elif not pose.back_view:
        x = pose.yaw * 0.5
        _shape(
            sketch,
            pose,
            [
                (x - 0.95, edge - 0.1),
                (x, edge - 0.2),
                (x + 0.95, edge - 0.1),
                (x + 0.8, edge + 0.2),
                (x, edge + 0.3),
                (x - 0.8, edge + 0.2),
            ],
            tone * 0.65,
        )
