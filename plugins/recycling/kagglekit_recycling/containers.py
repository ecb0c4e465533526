"""Drawn things that held something: cartons, cans, bottles of glass and of plastic, cups; and batteries."""

from __future__ import annotations

import cv2
import numpy as np

from kagglekit_recycling.materials import (
    Item,
    any_of,
    cover,
    crumple,
    facets,
    fit,
    lump,
    make_item,
    noise,
    paint,
    print_on,
    roundness,
    turned,
)

BRIGHT = ((205, 40, 45), (30, 90, 180), (240, 190, 40), (40, 140, 70), (235, 120, 40), (120, 60, 150), (30, 150, 170))
SILVER = (188, 190, 194)
DARK = (45, 45, 50)
WHITE = (240, 240, 236)


def paper_pack(rng: np.random.Generator, length: int) -> Item:
    """A carton of milk or juice: two faces and a gable, printed all over."""
    height, width = length, int(length * rng.uniform(0.42, 0.62))
    edge = int(width * rng.uniform(0.55, 0.72))  # between the front and the side
    gable, slope = int(height * rng.uniform(0.12, 0.2)), int(height * rng.uniform(0.02, 0.06))
    ink, other = (any_of(rng, BRIGHT) for _ in range(2))
    image = np.empty((height, width, 3), np.float32)
    image[:] = WHITE if rng.random() < 0.85 else any_of(rng, BRIGHT)
    bands = np.sort(rng.uniform(0.25, 1.0, 2)) * height
    cv2.rectangle(image, (0, int(bands[0])), (width, int(bands[1])), ink, -1)
    cv2.circle(image, (edge // 2, int(height * rng.uniform(0.4, 0.75))), int(edge * rng.uniform(0.2, 0.38)), other, -1)
    print_on(rng, image, (edge // 6, gable + height // 12, edge - edge // 6, gable + height // 4), DARK)
    print_on(rng, image, (edge + 4, int(0.55 * height), width - 4, int(0.9 * height)), DARK)
    image[:, edge:] *= rng.uniform(0.62, 0.8)
    image[:gable] *= rng.uniform(0.86, 0.96)
    cv2.line(image, (0, gable), (width, gable), (150.0, 150.0, 150.0), 1)
    image *= 1 + 0.03 * noise(rng, (height, width), 20)[..., None]
    crest = int(gable * 0.35)
    shape = [(2, crest), (edge - 3, 0), (edge + 0.3 * (width - edge), crest), (width - 1, gable + slope)]
    shape += [(width - 1, height - 1 - slope), (edge, height - 1), (0, height - 1 - slope // 2), (0, gable)]
    return make_item(image, np.array(shape, float))


def metal(rng: np.random.Generator, length: int) -> Item:
    """A can, mostly; sometimes a lid or a crumpled foil."""
    kind = rng.random()
    if kind < 0.2:
        return _lid(rng, int(0.7 * length))
    if kind < 0.35:
        size = length, int(length * rng.uniform(0.6, 0.95))
        light = crumple(rng, size, 15, 0.5) ** 2 + 0.15
        return make_item(paint(SILVER, light), lump(rng, size, 0.1))
    height, width = length, int(length * rng.uniform(0.5, 0.72))
    across = roundness(width)
    # Metal mirrors its surroundings: several bright and dark stripes along the body.
    light = 0.62 + 0.3 * np.cos(2.6 * across + rng.uniform(-0.8, 0.8)) + 0.22 * np.cos(9 * across + rng.uniform(0, 6))
    light = np.repeat(light * (1 - 0.45 * across**4), height, 0)
    image = paint(SILVER, light)
    if rng.random() < 0.6:
        top, bottom = int(0.17 * height), int(0.9 * height)
        image[top:bottom] = paint(any_of(rng, BRIGHT), 0.35 + 0.75 * light[top:bottom])
        print_on(rng, image, (width // 4, height // 3, width - width // 5, int(0.6 * height)), WHITE)
    else:
        image *= (1 + 0.12 * np.cos(np.arange(height) * rng.uniform(0.5, 0.9)))[:, None, None]
    flat = width * 0.13
    middle = (width / 2, flat + 1)
    box = (tuple(map(float, middle)), (0.93 * width, 2 * flat), 0.0)
    cv2.ellipse(image, box, (205.0, 206.0, 208.0), -1)
    cv2.ellipse(image, box, (110.0, 110.0, 114.0), 2)
    cv2.ellipse(image, (middle, (0.3 * width, 0.7 * flat), 0.0), (120.0, 120.0, 124.0), 2)
    outline = turned(
        [(0, 0.2), (0.03, 0.4), (0.07, 0.48), (0.12, 0.5), (0.92, 0.5), (0.97, 0.42), (1, 0.2)], (height, width)
    )
    return make_item(image, outline)


def _lid(rng: np.random.Generator, length: int) -> Item:
    """A round lid with grooves, in which light turns around the middle."""
    rows, columns = np.mgrid[-1 : 1 : length * 1j, -1 : 1 : length * 1j].astype(np.float32)
    far, turn = np.hypot(rows, columns), np.arctan2(rows, columns)
    light = 0.85 + 0.3 * np.cos(2 * (turn - rng.uniform(0, 3))) + 0.16 * np.sin(30 * far) * (far > 0.5)
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return make_item(paint(SILVER, light), fit(np.stack([np.cos(turns), np.sin(turns)], -1), (length, length)))


def glass(rng: np.random.Generator, length: int) -> Item:
    """A bottle with a long neck, or a jar; what lies behind shows through, edges are dark, reflections are sharp."""
    jar = rng.random() < 0.25
    height, width = length, int(length * (rng.uniform(0.6, 0.8) if jar else rng.uniform(0.28, 0.38)))
    neck, shoulder = rng.uniform(0.14, 0.2), rng.uniform(0.32, 0.46)
    profile = [(0, neck), (0.05, neck + 0.03), (0.07, neck), (shoulder - 0.14, neck + 0.02), (shoulder, 0.47)]
    if jar:
        profile = [(0, 0.4), (0.14, 0.4), (0.16, 0.36), (0.26, 0.5)]
    outline = turned([*profile, (0.95, 0.5), (1, 0.44)], (height, width))
    inside = cover(outline, (height, width))
    colours = ((38, 96, 42), (104, 58, 22), (60, 140, 90), (38, 96, 42), (176, 196, 190))
    colour = np.array(any_of(rng, colours)) * rng.uniform(0.85, 1.15)
    # Glass is thick where one looks along the wall: near the outline.
    wall = 1 - cv2.GaussianBlur(inside, (0, 0), 0.07 * width) * inside
    image = paint(colour, 1.15 - 0.75 * np.clip(1.4 * wall, 0, 1))
    opacity = np.clip(0.55 + 0.6 * wall, 0, 0.95)
    across = roundness(width)
    for place, wide, power in ((rng.uniform(-0.6, -0.3), 0.05, 0.85), (rng.uniform(0.45, 0.65), 0.035, 0.6)):
        shine = power * np.exp(-(((across - place) / wide) ** 2)) * (noise(rng, (height, width), 40) > -0.9)
        shine = cv2.GaussianBlur(shine.astype(np.float32), (0, 0), 1.2)
        image += shine[..., None] * (255 - image)
        opacity = np.maximum(opacity, shine)
    if rng.random() < 0.4:
        top, bottom = int(height * rng.uniform(0.55, 0.62)), int(height * rng.uniform(0.75, 0.88))
        image[top:bottom] = paint((226, 214, 184), np.repeat(1 - 0.4 * across**2, bottom - top, 0))
        print_on(rng, image, (width // 4, top + 4, width - width // 4, bottom - 4), any_of(rng, BRIGHT))
        opacity[top:bottom] = 1
    if jar:
        lid = int(0.14 * height)
        image[:lid] = paint(any_of(rng, (*BRIGHT, SILVER)), np.repeat(1 - 0.5 * across**2, lid, 0))
        opacity[:lid] = 1
    return make_item(image, outline, opacity)


def plastic(rng: np.random.Generator, length: int) -> Item:
    """A ribbed clear bottle with cap and label, or a cup or canister of one colour."""
    if rng.random() < 0.4:
        return _canister(rng, length)
    height, width = length, int(length * rng.uniform(0.32, 0.42))
    waist = rng.uniform(0.4, 0.48)
    profile = [(0, 0.17), (0.07, 0.17), (0.08, 0.14), (0.12, 0.15), (0.3, 0.48), (0.4, 0.5), (0.55, waist), (0.7, 0.5)]
    outline = turned([*profile, (0.95, 0.5), (1, 0.4)], (height, width))
    across, down = roundness(width), np.arange(height, dtype=np.float32)[:, None]
    ribs = np.cos(down * 2 * np.pi / rng.uniform(0.035, 0.06) / height)
    light = 1 + 0.16 * ribs - 0.35 * np.abs(across) ** 3 + 0.06 * noise(rng, (height, width), 10)
    image = paint(np.array([205, 222, 232]) + rng.normal(0, 8, 3), light)
    wall = 1 - cv2.GaussianBlur(cover(outline, (height, width)), (0, 0), 0.05 * width)
    opacity = np.clip(0.38 + 0.14 * ribs + 0.5 * wall, 0.2, 0.9) * np.ones_like(light)
    for place in (-0.45, rng.uniform(0.1, 0.5)):
        shine = 0.7 * np.exp(-(((across - place) / 0.12) ** 2)) * (0.6 + 0.4 * ribs)
        image += shine[..., None] * (255 - image)
        opacity = np.maximum(opacity, shine)
    colour, ink = any_of(rng, BRIGHT), any_of(rng, (*BRIGHT, WHITE))
    parts = [(0, int(0.075 * height), colour)]
    if rng.random() < 0.75:
        parts.append((int(rng.uniform(0.36, 0.42) * height), int(rng.uniform(0.55, 0.68) * height), colour))
    for top, bottom, paper in parts:
        image[top:bottom] = paint(paper, np.repeat(1.1 - 0.5 * across**2, bottom - top, 0))
        opacity[top:bottom] = 1
        if top:
            print_on(rng, image, (width // 5, top + 3, width - width // 5, bottom - 3), ink)
    return make_item(image, outline, opacity)


def _canister(rng: np.random.Generator, length: int) -> Item:
    """A cup, tub or canister: smooth, of one strong colour, with a rim."""
    height, width = int(length * 0.85), int(length * rng.uniform(0.5, 0.75))
    foot = rng.uniform(0.32, 0.48)
    outline = turned([(0, 0.47), (0.06, 0.5), (0.1, 0.48), (0.96, foot), (1, foot - 0.06)], (height, width))
    across = roundness(width)
    light = 1.08 - 0.4 * across**2 + 0.25 * np.exp(-(((across + 0.4) / 0.16) ** 2))
    light = np.repeat(light, height, 0)
    light[int(0.07 * height) : int(0.11 * height)] *= 0.72
    colour = np.array(any_of(rng, (*BRIGHT, (225, 225, 230)))) * 0.5 + 90
    image = paint(colour, light)
    if rng.random() < 0.5:
        print_on(rng, image, (width // 3, int(0.35 * height), width - width // 3, int(0.7 * height)), WHITE)
    return make_item(image, outline)


def battery(rng: np.random.Generator, length: int) -> Item:
    """A small cylinder in two colours with a knob at its end."""
    height, width = length, max(12, int(length * rng.uniform(0.27, 0.36)))
    outline = turned([(0, 0.17), (0.05, 0.17), (0.055, 0.46), (0.09, 0.5), (0.97, 0.5), (1, 0.44)], (height, width))
    across = roundness(width)
    light = np.repeat(1.1 - 0.6 * across**2 + 0.5 * np.exp(-(((across + 0.35) / 0.12) ** 2)), height, 0)
    image = paint(any_of(rng, (DARK, (30, 40, 90), (120, 20, 25))), light)
    cut = int(height * rng.uniform(0.28, 0.4))
    image[:cut] = paint(any_of(rng, ((196, 130, 60), (206, 170, 70), (190, 192, 196))), light[:cut])
    knob = int(0.06 * height)
    image[:knob], image[-knob:] = paint(SILVER, light[:knob]), paint(SILVER, light[-knob:])
    print_on(rng, image, (width // 4, cut + 3, width - width // 4, height - 2 * knob), WHITE)
    return make_item(image, outline)


def styrofoam(rng: np.random.Generator, length: int) -> Item:
    """A white tray, box or broken piece, made of beads."""
    size = length, int(length * rng.uniform(0.55, 0.95))
    number, distance = facets(rng, size, 5.5)
    beads = rng.uniform(0.93, 1.0, number.max() + 1).astype(np.float32)[number] - 0.022 * distance
    if rng.random() < 0.3:
        return make_item(paint((246, 247, 245), beads - 0.04 * noise(rng, size, 24)), lump(rng, size, 0.09, 22))
    height, width = size
    rim = int(min(size) * rng.uniform(0.09, 0.16))
    light = beads.copy()
    inner = slice(rim, height - rim), slice(rim, width - rim)
    light[inner] *= rng.uniform(0.84, 0.93)
    light[rim : rim + rim // 2, rim : width - rim] *= 0.85  # the shadow of the rim
    light[rim : height - rim, rim : rim + rim // 2] *= 0.9
    corner = rng.uniform(0.04, 0.12) * min(size)
    shape = [(corner, 0), (width - corner, 0), (width - 1, corner), (width - 1, height - corner)]
    shape += [(width - corner, height - 1), (corner, height - 1), (0, height - corner), (0, corner)]
    return make_item(paint((248, 248, 246), light), np.array(shape, float))
