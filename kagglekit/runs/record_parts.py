"""The parts of the record of a run (`runs.record`): scores, times, counts, who predicts, and how."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from kagglekit.types import Depth, Tiling
from kagglekit.types import Score as Measured


class Part(msgspec.Struct, frozen=True):
    """A part of a record."""


class Score(Part, frozen=True, kw_only=True):
    """A score with its 95% interval and the number of its images; of old records no more than its value is known."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None

    @classmethod
    def of(cls, score: Measured) -> Score:
        """The record of a score."""
        return cls(value=score.value, low=score.low, high=score.high, count=score.count)


class Further(Part, frozen=True, kw_only=True):
    """What another metric says."""

    validation: float | None = None
    test: float | None = None


class Seconds(Part, frozen=True, kw_only=True):
    """The time of each part of a run, in seconds; a run that only validated has no total."""

    data: float | UnsetType = UNSET
    train: float | UnsetType = UNSET
    predict: float | UnsetType = UNSET
    total: float | UnsetType = UNSET

    @property
    def spent(self) -> float:
        """All of them."""
        return sum(self.parts().values()) if self.total is UNSET else self.total

    def parts(self) -> dict[str, float]:
        """Those that are known, the total aside, by name."""
        named = {"data": self.data, "train": self.train, "predict": self.predict}
        return {name: value for name, value in named.items() if value is not UNSET}


def known(seconds: float | UnsetType) -> float:
    """A time, 0 where it is not recorded."""
    return 0.0 if seconds is UNSET else seconds


class Counts(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Images by what they are used for."""

    train: int
    validation: int
    test: int
    skipped: int | None = None
    relabelled: int | None = None

    def parts(self) -> dict[str, int]:
        """Those that are known, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class MemberRecord(Part, frozen=True, kw_only=True):
    """A checkpoint that predicts; `file` is relative to the run's folder, `hash` that of its weights."""

    fold: int
    epoch: int
    weight: float
    score: float | None = None
    file: str
    hash: str = ""


class ViewRecord(Part, frozen=True, kw_only=True):
    """A view of test-time augmentation."""

    name: str
    weight: float


class Images(Part, frozen=True, kw_only=True):
    """What a network was trained on."""

    channels: int
    depth: Depth
    tiling: Tiling | None


class PostprocessRecord(Part, frozen=True, kw_only=True, omit_defaults=True):
    """How masks were made; where its settings were fitted, what came of it (`predict.gate.Gated`)."""

    name: str
    settings: dict[str, Any]
    kept: bool | None = None
    before: float | None = None
    after: float | None = None
    nested: float | None = None
    fell: tuple[int, ...] | None = None


class FitRecord(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Weights fitted on validation, and what came of it (`predict.gate.Gated`); `names` are of what they weigh."""

    weights: tuple[float, ...]
    kept: bool
    before: float | None = None
    after: float | None = None
    nested: float | None = None
    fell: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None


class SubmissionRecord(Part, frozen=True, kw_only=True):
    """The submission in the folder of a run; `loss` is what its encoding costs."""

    file: str
    rows: int | None = None
    bytes: int | None = None
    loss: float | None = None


class LeftOut(Part, frozen=True, kw_only=True):
    """A sample that was left out or relabelled, and why."""

    id: str
    reason: str


class SelfCheckRecord(Part, frozen=True, kw_only=True):
    """What the self-check found."""

    agreement: dict[str, float] = {}
    offsets: dict[str, tuple[float, float]] = {}
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class TechniqueRecord(Part, frozen=True, kw_only=True):
    """A technique of a recipe."""

    name: str
    settings: dict[str, Any] = {}


class Fold(Part, frozen=True, kw_only=True):
    """The ids of the samples on both sides of a split."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


class RunInBlend(Part, frozen=True, kw_only=True):
    """A run of a blend, and its own scores."""

    run: str
    weight: float
    validation: float
    test: float | None
