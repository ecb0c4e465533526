"""The records of searches and ablations, typed: what `kk tune` and `kk ablate` leave in their folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from kagglekit.runs.reading import read
from kagglekit.runs.record_parts import Part

# What a write-up says of a search, and what `kk tune` shows again of one that was done before.
SAID = ("name", "competition", "command", "trials", "cost", "warnings")
SHOWN = (*SAID, "title", "metric", "data", "winner.number", "winner.origin", "winner.score", "winner.recipe",
         "runner_up.number", "runner_up.tie")  # fmt: skip
ABLATED = ("name", "seeds", "command", "effects", "recipe")


class EstimateRecord(Part, frozen=True, kw_only=True):
    """A number with its 95% interval."""

    value: float | None
    low: float | None
    high: float | None


class StepRecord(Part, frozen=True, kw_only=True):
    """A training of a trial on one rung, with one seed (`repeat`); `run` is its run, where it has one."""

    rung: int = 0
    repeat: int = 0
    why: str = ""
    status: str = ""
    score: float | None = None
    seconds: float | None = None
    run: str | None = None
    error: str = ""
    shared: bool = False
    curve: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()


class TrialRecord(Part, frozen=True, kw_only=True):
    """A configuration of a search: where it came from, its settings, its trainings."""

    number: int = 0
    origin: str = ""
    params: dict[str, Any] = {}
    steps: tuple[StepRecord, ...]


class RungRecord(Part, frozen=True, kw_only=True):
    """A fidelity of a search, and what it took."""

    image_size: int | None = None
    fraction: float | None = None
    epochs: int | None = None
    text: str = ""
    trials: int = 0
    done: int = 0
    seconds: float | None = None


class WinnerRecord(Part, frozen=True, kw_only=True, omit_defaults=True):
    """The trial that won; `changes` are settings with the value of before and of now, `recipe` is a file."""

    number: int
    origin: str
    score: float | None
    run: str
    params: dict[str, Any]
    changes: dict[str, tuple[Any, Any]]
    recipe: str | None = None


class RunnerUpRecord(Part, frozen=True, kw_only=True):
    """The second, and by how much the winner leads on the images of both."""

    number: int
    score: float | None = None
    lead: EstimateRecord | None
    tie: bool = False


class PriorRecord(Part, frozen=True, kw_only=True):
    """What the recipe that the search began with scores, and what searching brought."""

    used: bool = True
    score: float | None = None
    gain: EstimateRecord | None = None
    best_by_origin: dict[str, float] = {}


class AgreementRecord(Part, frozen=True, kw_only=True):
    """How well one rung ranks what the next does."""

    low: int
    high: int
    spearman: EstimateRecord | None = None
    kendall: EstimateRecord | None = None
    count: int = 0
    total: int = 0
    regret: float | None = None
    warning: str = ""


class CostRecord(Part, frozen=True, kw_only=True):
    """Seconds of devices: spent, and what all trials at full fidelity would have taken; `share` of the two."""

    seconds: float | None = None
    full_seconds: float | None = None
    share: float | None = None
    tried: int | None = None
    shared: int | None = None
    overhead: float | None = None


class KeyRecord(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A trial on a rung with one seed; `error` is why it failed."""

    rung: int
    number: int
    repeat: int
    error: str | None = None


class SearchResult(Part, frozen=True, kw_only=True):
    """What a search found, `result.json` below its folder."""

    name: str = ""
    competition: str = ""
    title: str = ""
    metric: str = ""
    greater_is_better: bool = True
    command: str = ""
    data: str = ""
    clock_seconds: float | None = None
    hardware: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    complete: bool = True
    rungs: tuple[RungRecord, ...] = ()
    trials: tuple[TrialRecord, ...] = ()
    winner: WinnerRecord | None = None
    runner_up: RunnerUpRecord | None = None
    prior: PriorRecord = PriorRecord()
    agreement: tuple[AgreementRecord, ...] = ()
    importance: dict[str, EstimateRecord] = {}
    cost: CostRecord = CostRecord()
    failed: tuple[KeyRecord, ...] = ()
    stale: tuple[KeyRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    schema: int = 0


class SearchPlan(Part, frozen=True, kw_only=True):
    """What a search was asked, `search.json`: the plan, the data's fingerprint, the code, whether it has ended."""

    name: str = ""
    competition: str
    recipe: dict[str, Any]
    space: dict[str, dict[str, Any]]
    rungs: list[dict[str, Any]]
    trials: int
    promote: int
    controls: int | None
    seed: int
    repeats: int
    prior: bool
    warm: bool
    prune: bool = False
    data: str
    code: str
    folder: str = ""
    command: str = ""
    hardware: dict[str, Any] = {}
    metric: str = ""
    done: bool = False
    schema: int = 0


class EffectRecord(Part, frozen=True, kw_only=True):
    """What an axis is worth in one way; `seeds` are the values of single seeds."""

    value: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()
    verdict: str


class AxisCost(Part, frozen=True, kw_only=True):
    """Seconds that an axis adds to a training, and to each image that is predicted."""

    train: float = 0.0
    image: float = msgspec.field(default=0.0, name="picture")


class AxisRecord(Part, frozen=True, kw_only=True, omit_defaults=True):
    """An axis of an ablation: left out of all, and added to none."""

    axis: str
    techniques: tuple[str, ...] = ()
    after: bool = msgspec.field(default_factory=lambda: False)
    left_out: EffectRecord
    alone: EffectRecord | None = None
    cost: AxisCost = msgspec.field(default_factory=AxisCost)


class PairRecord(Part, frozen=True, kw_only=True):
    """What a pair of axes adds beyond what each adds."""

    axes: tuple[str, ...]
    value: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()
    verdict: str


class VariantRecord(Part, frozen=True, kw_only=True):
    """A variant: the axes that are on, its scores, and what an image costs."""

    name: str
    on: tuple[str, ...]
    score: float
    seeds: tuple[float, ...]
    passes: int
    image_seconds: float = msgspec.field(name="picture_seconds")


class FailedRecord(Part, frozen=True, kw_only=True):
    """A training that failed."""

    variant: str
    seed: int = 0
    error: str = ""


class AblationCost(Part, frozen=True, kw_only=True):
    """Seconds of devices: trainings, and judging what acts after them; `after_share` of the two."""

    trainings: int = 0
    shared: int = 0
    seconds: float = 0.0
    train_seconds: float | None = None
    after_seconds: float | None = None
    after_share: float | None = None


class AblationResult(Part, frozen=True, kw_only=True):
    """What an ablation found, `result.json` below its folder; without effects where it has none yet."""

    name: str = ""
    competition: str = ""
    title: str = ""
    metric: str = ""
    greater_is_better: bool = True
    command: str = ""
    data: str = ""
    clock_seconds: float | None = None
    hardware: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    failed: tuple[FailedRecord, ...] = ()
    seeds: int = 0
    seeds_asked: int = 0
    cost: AblationCost = AblationCost()
    effects: tuple[AxisRecord, ...] = ()
    interactions: tuple[PairRecord, ...] = ()
    variants: tuple[VariantRecord, ...] = ()
    images: int = msgspec.field(default=0, name="pictures")
    schema: int = 0

    @property
    def fidelity(self) -> RungRecord:
        """At which it was measured."""
        return msgspec.convert(self.recipe.get("fidelity", {}), RungRecord)


class AblationAsked(Part, frozen=True, kw_only=True):
    """What an ablation was asked, `ablation.json`: the data's fingerprint, the recipe, the axes."""

    name: str = ""
    data: str
    recipe: dict[str, Any] = {}
    axes: list[dict[str, Any]] = []
    schema: int = 0


def read_search(path: Path, needed: Iterable[str] = SAID, advice: str = "") -> SearchResult:
    """The result of a search; raises RunError."""
    return read(path, SearchResult, advice, needed)


def read_search_plan(path: Path, advice: str = "") -> SearchPlan:
    """What a search was asked; raises RunError."""
    return read(path, SearchPlan, advice)


def read_ablation(path: Path) -> AblationResult:
    """The result of an ablation; raises RunError."""
    return read(path, AblationResult, needed=ABLATED)


def read_ablation_plan(path: Path) -> AblationAsked:
    """What an ablation was asked; raises RunError."""
    return read(path, AblationAsked)
