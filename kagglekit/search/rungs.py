"""Rungs of rising fidelity, and how many trials climb from one to the next."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kagglekit.errors import UsageError

if TYPE_CHECKING:
    from kagglekit.competition import Competition
    from kagglekit.recipe import Recipe

FORM = re.compile(r"(\d+):(\d+(?:\.\d+)?)%:(\d+)")
FEW = 200  # steps of the optimizer below which who learns fast leads; kinds of networks crossed at 100 to 190
FIELDS = ("image_size", "fraction", "epochs")


@dataclass(frozen=True)
class Rung:
    """One fidelity: pixels of the shorter side, part of the training images (0..1], epochs."""

    image_size: int
    fraction: float
    epochs: int

    @property
    def work(self) -> float:
        """Pixels a network sees, in units of the whole training set at one pixel: what the time is proportional to."""
        return self.image_size**2 * self.fraction * self.epochs

    def __str__(self) -> str:
        return f"{self.image_size}:{100 * self.fraction:g}%:{self.epochs}"


def parse_rungs(text: str) -> tuple[Rung, ...]:
    """Rungs written as `256:26%:4,512:100%:14` (size:images:epochs); raises UsageError."""
    rungs = []
    for part in text.split(","):
        found = FORM.fullmatch(part.strip())
        if not found:
            raise UsageError(f"--rungs {text}: {part.strip() or 'an empty rung'}: expected SIZE:PART%:EPOCHS, "
                             "for example 256:26%:4,512:100%:14")  # fmt: skip
        rungs.append(Rung(int(found[1]), float(found[2]) / 100, int(found[3])))
    return check_rungs(rungs)


def check_rungs(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """The same rungs; raises UsageError unless each is a fidelity, costs more than the one before and never asks less.

    A rung may keep size, part or epochs of the one before but not fall below: subsets are nested, weights may climb.
    """
    from pydantic import ValidationError

    from kagglekit.recipe import Fidelity, explain

    for rung in rungs:
        try:
            Fidelity(**{name: getattr(rung, name) for name in FIELDS})
        except ValidationError as error:
            raise UsageError(explain(error, f"--rungs {rung}")) from error
    for low, high in pairwise(rungs):
        fallen = [name for name in FIELDS if getattr(high, name) < getattr(low, name)]
        if fallen or high.work <= low.work:
            raise UsageError(
                f"--rungs: {high} after {low}: {fallen[0].replace('_', ' ') if fallen else 'the cost'} must "
                f"{'not fall' if fallen else 'rise'}; order rungs from cheap to full"
            )
    return tuple(rungs)


def default_rungs(competition: Competition, recipe: Recipe, images: float) -> tuple[Rung, ...]:
    """Three rungs that end at the recipe's fidelity; `images` are those of an epoch, of the whole training set.

    They begin at the competition's `trial` preset where that is much cheaper, else at half the side, a quarter of the
    images and half the epochs (a 32nd of the work). The middle rung, where kinds of networks are compared, has the
    geometric mean of their work; see `middle_of`.
    """
    top = Rung(*(getattr(recipe.fidelity, name) for name in FIELDS))
    named: Mapping[str, Any] = competition.presets.get("trial", {})
    trial = {name: named[f"fidelity.{name}"] for name in FIELDS if f"fidelity.{name}" in named}
    low = Rung(**{name: min(value, getattr(top, name)) for name, value in trial.items()}) if len(trial) == 3 else top
    if low.work > top.work / 16:
        low = Rung(_size(top.image_size / 2), round(top.fraction / 4, 3), math.ceil(top.epochs / 2))
    rungs = [low]
    for rung in (middle_of(low, top, images / (recipe.batch_size * recipe.accumulate)), top):
        if rung.work > rungs[-1].work and rung.work <= top.work:
            rungs.append(rung)
    return tuple(rungs)


def middle_of(low: Rung, top: Rung, steps: float) -> Rung:
    """The rung between two, where an epoch of all images has so many steps.

    The geometric mean in pixels, images and epochs where that trains long enough to compare slow starters; else the
    same work in more steps, on fewer pixels.
    """
    middle = Rung(
        _size(math.sqrt(low.image_size * top.image_size)),
        round(math.sqrt(low.fraction * top.fraction), 2),
        int(math.sqrt(low.epochs * top.epochs)),
    )
    work = middle.work
    for side in range(middle.image_size - 32, low.image_size - 1, -32):
        if steps * middle.fraction * middle.epochs >= FEW:
            break
        epochs = round(work / (side**2 * top.fraction))
        # Rounding up to whole epochs may nearly double a little work.
        if epochs >= low.epochs and epochs * side**2 * top.fraction <= 1.5 * work:
            middle = Rung(side, top.fraction, min(top.epochs, epochs))
        else:  # for all images there is too little work in so few epochs
            middle = Rung(side, round(work / (side**2 * low.epochs), 3), low.epochs)
    return middle


def _size(pixels: float) -> int:
    return max(32, 32 * round(pixels / 32))


def climbers(trials: int, promote: int, rungs: int) -> list[int]:
    """How many trials each rung takes by merit: `trials` at the bottom, `promote` at the top, geometric between.

    Raises UsageError for more promotions than trials.
    """
    if promote > trials:
        raise UsageError(f"--promote {promote}: there are only {trials} trials; promote fewer, or try more (--trials)")
    if rungs == 1:
        return [trials]
    return [max(promote, round(trials * (promote / trials) ** (i / (rungs - 1)))) for i in range(rungs)]
