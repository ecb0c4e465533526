"""One image of one person, drawn back to front, with the mask of the hair in it."""

from typing import NamedTuple

import cv2
import numpy as np

from .figure import Sketch, draw_body, draw_face, draw_hat, draw_head
from .hairstyles import bands, locks_of
from .locks import Lock
from .people import Person, choose_person, choose_pose
from .scenery import background
from .strokes import SIZE, Pose, blobs, draw_lines, to_pixels


class DrawnImage(NamedTuple):
    """An image (SIZE, SIZE, 3) uint8 BGR, the mask of its hair and of each pigtail in it, (SIZE, SIZE) bool."""

    image: np.ndarray
    hair: np.ndarray
    pigtails: tuple[np.ndarray, ...]


def draw_image(seed: int, person: int, number: int) -> DrawnImage:
    """Draw image number `number` (from 1) of a person; the same three numbers give the same bytes."""
    who = choose_person(seed, person)
    rng = np.random.default_rng([seed, person, number])
    pose = choose_pose(rng, who)
    sketch = Sketch(background(rng), np.zeros((SIZE, SIZE), np.uint8))
    locks = locks_of(rng, who.cut, pose.back_view)
    alpha = _draw_person(rng, sketch, who, pose, locks)
    image = _expose(rng, sketch.image)
    if rng.random() < 0.12:
        _letterbox(rng, image, alpha)
    hair = alpha >= 128
    return DrawnImage(image, hair, tuple(mask & hair for mask in _pigtails(locks, pose)))


def _draw_person(rng: np.random.Generator, sketch: Sketch, who: Person, pose: Pose, locks: list[Lock]) -> np.ndarray:
    """Draw the whole person in place, back to front; returns how much of each pixel is hair, uint8 in [0, 255]."""
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    behind = [lock for lock in locks if lock.behind and not pose.back_view]
    front = [lock for lock in locks if not lock.behind or pose.back_view]
    if behind:
        alpha = _lay(sketch.image, _paint(rng, behind, who, pose, 0.75))
    draw_body(rng, sketch, who.appearance, pose)
    draw_head(sketch, who.appearance, pose)
    if not pose.back_view:
        draw_face(rng, sketch, who.appearance, pose)
    _shade(sketch, pose)
    layer = _paint(rng, front, who, pose, 1.0)
    _cast_shadow(sketch.image, layer[..., 3], sketch.cover, pose)
    alpha = np.maximum(cv2.min(alpha, 255 - sketch.cover), _lay(sketch.image, layer))
    sketch.cover[:] = 0
    ties = to_pixels(np.array(bands(who.cut)).reshape(-1, 2), pose)
    for x, y in ties:
        for canvas, tone in ((sketch.image, who.appearance.hat_colour.tolist()), (sketch.cover, 255)):
            cv2.circle(canvas, (round(x), round(y)), round(pose.scale * 0.17), tone, -1, cv2.LINE_AA)
    if who.appearance.hat != "none":
        draw_hat(sketch, who.appearance, pose, who.cut.volume)
    return cv2.min(alpha, 255 - sketch.cover)


def _paint(rng: np.random.Generator, locks: list[Lock], who: Person, pose: Pose, light: float) -> np.ndarray:
    """Draw locks of hair strand by strand on an empty layer, (SIZE, SIZE, 4) uint8 BGR and alpha."""
    layer: np.ndarray = np.empty((SIZE, SIZE, 4), np.uint8)
    layer[:] = (*np.clip(who.root_colour * light, 0, 255), 0)
    for lock in locks:
        strands = to_pixels(lock.strands, pose)
        _flyaways(rng, layer, strands, who.root_colour * light)
        width = max(2, round(lock.width * pose.scale))
        under = np.clip(who.root_colour * 0.62 * light, 0, 255)
        draw_lines(layer, strands[:, :-3], (*under, 255), width, soft=False)
        draw_lines(layer, strands[:, -5:], (*under, 255), max(1, width // 2), soft=False)
    layer = cv2.GaussianBlur(layer, (3, 3), 0)
    for lock in locks:
        strands = to_pixels(lock.strands, pose)
        if not lock.solid:
            strands = np.repeat(strands, 5, 0) + rng.normal(0, lock.width * pose.scale * 0.13, (len(strands) * 5, 1, 2))
        _shine(rng, layer, strands, who, light)
    return layer


def _flyaways(rng: np.random.Generator, layer: np.ndarray, strands: np.ndarray, tone: np.ndarray) -> None:
    """Single hairs that leave the mass; their alpha stays below a half, nobody labels them."""
    loose = strands[rng.integers(len(strands), size=14)]
    drift = rng.normal(0, 9, (14, 1, 2)) * np.linspace(0, 1, strands.shape[1])[None, :, None] ** 2
    draw_lines(layer, loose + drift * 2, (*np.clip(tone, 0, 255), 115), 1)


def _shine(rng: np.random.Generator, layer: np.ndarray, strands: np.ndarray, who: Person, light: float) -> None:
    """Draw the visible strands: pieces of many shades, darker at the roots, one band of highlights."""
    points = strands.shape[1]
    glow = int(rng.integers(2, points // 2))
    for step in range(18):
        some = strands[rng.random(len(strands)) < 0.35]
        start = int(rng.integers(0, points - 5))
        stop = min(points, start + int(rng.integers(5, 11)))
        middle = (start + stop) / 2 / points
        tone = who.root_colour + (who.tip_colour - who.root_colour) * middle**2
        shade = rng.uniform(0.65, 1.2) * (0.8 + 0.25 * middle)
        if step > 13:  # highlights come last and lie on the glow band
            start = max(0, glow + int(rng.integers(-2, 3)))
            stop, shade = start + int(rng.integers(3, 7)), rng.uniform(1.1, 1.35)
            tone = tone + 18
        jitter = rng.normal(0, 1.8, (len(some), 1, 2))
        draw_lines(
            layer, some[:, start:stop] + jitter, (*np.clip(tone * shade * light, 0, 255), 255), 1 if step > 5 else 2
        )


def _lay(image: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Blend a BGR + alpha layer into the image in place; returns its alpha."""
    alpha = layer[..., 3]
    share = alpha.astype(np.float32) * np.float32(1 / 255)
    image[:] = cv2.blendLinear(np.ascontiguousarray(layer[..., :3]), image, share, 1 - share)
    return alpha.copy()


def _shade(sketch: Sketch, pose: Pose) -> None:
    """Model head and shoulders in place with light from one side, as on a rounded body."""
    y, x = (np.mgrid[0:64, 0:64] * (SIZE / 64) - np.array([pose.y, pose.x]).reshape(2, 1, 1)) / pose.scale
    slope = (np.cos(pose.light) * np.tanh(x) + np.sin(pose.light) * np.tanh(y * 0.7)) * 0.24
    edge = -0.18 * np.clip(np.hypot(x, y / 1.25) - 0.6, 0, 0.5)
    field = cv2.resize((1 + slope + edge).astype(np.float32), (SIZE, SIZE))
    cv2.copyTo(_scaled(sketch.image, field), sketch.cover, sketch.image)


def _scaled(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Multiply every channel with a (SIZE, SIZE) float32 field, saturating."""
    return cv2.multiply(image, cv2.merge([field] * 3), dtype=cv2.CV_8U)


def _cast_shadow(image: np.ndarray, alpha: np.ndarray, cover: np.ndarray, pose: Pose) -> None:
    """Darken in place what lies just beside the front hair."""
    small = cv2.resize(alpha, (128, 128), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(1.0, pose.scale * 0.025)).astype(np.float32)
    field = 1 - cv2.resize(soft, (SIZE, SIZE)) * np.float32(0.45 / 255)
    cv2.copyTo(_scaled(image, field), cover, image)


def _pigtails(locks: list[Lock], pose: Pose) -> list[np.ndarray]:
    """Where each pigtail may be, (SIZE, SIZE) bool, with a margin for stray strands."""
    masks = []
    for lock in (lock for lock in locks if lock.part != "hair"):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        draw_lines(mask, to_pixels(lock.strands, pose), 255, round(lock.width * pose.scale) + 9, soft=False)
        masks.append(mask > 0)
    return masks


def _letterbox(rng: np.random.Generator, image: np.ndarray, alpha: np.ndarray) -> None:
    """Fill two sides with a plain bar in place, as on photos that were not square; no hair there."""
    bar, upright, tone = int(rng.integers(20, 90)), rng.random() < 0.6, image.mean((0, 1))
    for piece in (slice(0, bar), slice(SIZE - bar, SIZE)):
        where = (slice(None), piece) if upright else (piece, slice(None))
        image[where], alpha[where] = tone.astype(np.uint8), 0


def _expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Take the photo: uneven light, colour cast, contrast, a little blur and sensor noise; uint8 again."""
    field = 1 + (blobs(rng, 3) - 0.5) * rng.uniform(0, 0.5)
    field *= rng.uniform(0.8, 1.2)
    lit = cv2.multiply(
        image, cv2.merge([field * np.float32(tint) for tint in rng.uniform(0.94, 1.06, 3)]), dtype=cv2.CV_8U
    )
    blur = rng.uniform(-0.6, 1.2)
    if blur > 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), blur)
    contrast = rng.uniform(0.85, 1.12)
    noise = rng.standard_normal((SIZE, SIZE), dtype=np.float32) * np.float32(rng.uniform(0.5, 6))
    noise += np.float32(120 * (1 - contrast))
    return cv2.addWeighted(lit, contrast, cv2.merge([noise] * 3), 1.0, 0.0, dtype=cv2.CV_8U)
