"""People: the traits that one person keeps in all images, and the pose that changes."""

from typing import NamedTuple

import numpy as np

from .figure import Appearance
from .hairstyles import STYLES
from .locks import Cut
from .scenery import colour, hair_colour
from .strokes import SIZE, Pose

SKINS = (  # BGR
    (125, 160, 205), (150, 185, 228), (170, 200, 238), (95, 135, 185), (60, 92, 140), (42, 62, 100), (32, 46, 78),
)  # fmt: skip
LENGTHS = {  # y of the tips in head units, shortest and longest; (1.2, 2.4) for the other styles
    "short": (0.2, 0.4), "quiff": (0.2, 0.4), "balding": (0.3, 0.5), "mohawk": (0.2, 0.3), "afro": (0.4, 0.5),
    "bun": (0.6, 0.7), "bob": (0.7, 1.2), "curly": (1.0, 2.6), "wet": (1.2, 2.8), "dreads": (1.2, 3.0),
    "wavy": (1.5, 3.3), "long": (1.6, 3.6),
}  # fmt: skip
WAVES = {"wavy": 0.1, "curly": 0.17, "ponytail": 0.04, "pigtails": 0.05, "short": 0.03, "quiff": 0.04, "balding": 0.05}
BEARDED = ("short", "quiff", "balding", "mohawk", "dreads", "afro", "bun")
TOO_TALL_FOR_HATS = ("bun", "mohawk", "afro", "quiff")


class Person(NamedTuple):
    """What stays the same in all images of one person; colours float BGR."""

    appearance: Appearance
    cut: Cut
    root_colour: np.ndarray
    tip_colour: np.ndarray


def choose_person(seed: int, person: int) -> Person:
    """Choose the traits of a person; every len(STYLES) persons in a row have every style once."""
    styles = list(STYLES)
    deal = np.random.default_rng([seed, person // len(styles), 0, 1]).permutation(len(styles))
    style = styles[deal[person % len(styles)]]
    rng = np.random.default_rng([seed, person, 0])
    age = rng.random()
    hair = hair_colour(rng)
    if age > 0.85:
        hair = hair * 0.4 + rng.uniform(120, 220) * 0.6
    tips = colour(rng, (0.4, 0.8), (0.5, 0.9)) if rng.random() < 0.15 else hair * rng.uniform(0.9, 1.4)
    return Person(_appearance(rng, style, age, hair), _cut(rng, style), hair, np.clip(tips, 5, 250))


def _appearance(rng: np.random.Generator, style: str, age: float, hair: np.ndarray) -> Appearance:
    """Choose the face and what is worn on it."""
    skin = np.asarray(SKINS[rng.integers(len(SKINS))]) * rng.uniform(0.92, 1.06, 3)
    bearded = style in BEARDED and rng.random() < 0.75
    return Appearance(
        skin=skin,
        lips=skin * (0.62, 0.62, 0.9),
        eyes=colour(rng, (0.3, 0.7), (0.15, 0.5)),
        brows=np.clip(hair * 0.75, 8, 200),
        jaw=rng.uniform(0.62, 0.82),
        eye_size=rng.uniform(0.08, 0.14),
        nose=rng.uniform(0.2, 0.36),
        mouth=rng.uniform(0.25, 0.38),
        age=age,
        glasses=rng.choice(["none", "round", "square"], p=[0.7, 0.15, 0.15]),
        beard=rng.choice(["none", "stubble", "full"], p=[0.3, 0.25, 0.45]) if bearded else "none",
        hat="none"
        if style in TOO_TALL_FOR_HATS
        else rng.choice(["none", "beanie", "cap", "brim"], p=[0.82, 0.06, 0.06, 0.06]),
        hat_colour=colour(rng, value=(0.08, 0.8)),
    )


def _cut(rng: np.random.Generator, style: str) -> Cut:
    """Choose the details of a haircut."""
    fringe = rng.choice(["none", "straight", "swept", "strands"], p=[0.4, 0.25, 0.2, 0.15])
    return Cut(
        style=style,
        parting=rng.choice([-0.4, -0.2, 0.0, 0.0, 0.3]),
        length=rng.uniform(*LENGTHS.get(style, (1.2, 2.4))),
        volume=rng.uniform(0.04, 0.2) + (0.12 if style in ("curly", "afro", "mohawk") else 0),
        wave=WAVES.get(style, 0.012),
        fringe="none" if style in ("balding", "mohawk", "quiff") else fringe,
        forward=int(rng.choice([-1, 0, 1, 2], p=[0.25, 0.15, 0.25, 0.35])),
    )


def choose_pose(rng: np.random.Generator, who: Person) -> Pose:
    """Choose how the person stands in one image; seldom from behind if there are pigtails to see."""
    scale = rng.uniform(65, 145)
    room = max(0.25, 1.0 - scale / 140)
    return Pose(
        back_view=bool(rng.random() < (0.12 if who.cut.style in ("pigtails", "braids") else 0.3)),
        scale=scale,
        x=SIZE / 2 + rng.normal(0, 50),
        y=170 + scale * 0.45 + rng.uniform(-60, 130) * room,
        tilt=rng.normal(0, 0.16),
        yaw=rng.uniform(-1, 1),
        smile=rng.uniform(-0.3, 1),
        blink=bool(rng.random() < 0.08),
        light=rng.uniform(-np.pi, 0),
    )
