"""The kinds of records below the runs: which keys readers rely on, and what they hold. Other keys may be there too."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from kagglekit.types import Depth, Tiling


class Score(TypedDict):
    """A score; of old records no more than its value is known."""

    value: float
    low: NotRequired[float]
    high: NotRequired[float]
    count: NotRequired[int]


class WholeScore(TypedDict):
    """A score with its interval and the number of its pictures."""

    value: float
    low: float
    high: float
    count: int


class TechniqueRow(TypedDict):
    """A technique of a recipe."""

    name: str
    settings: NotRequired[dict[str, Any]]


class RecipeRow(TypedDict, total=False):
    """What readers take of a recipe themselves; `recipe.validate` checks the rest."""

    competition: str
    seed: int
    fidelity: dict[str, float]
    loss: dict[str, float]
    settings: dict[str, Any]
    techniques: list[TechniqueRow]


class Manifest(TypedDict):
    """What is known of a run before it starts."""

    identity: str
    competition: str
    started: str
    recipe: NotRequired[RecipeRow]
    fidelity: NotRequired[str | None]
    data: NotRequired[str | None]
    data_fingerprint: NotRequired[str | None]
    training: NotRequired[str]
    command: NotRequired[str | None]


class WholeManifest(Manifest):
    """That of a run which can be checked and written up."""

    recipe: RecipeRow
    recipe_identity: str
    data: str
    data_fingerprint: str
    code: str
    plugins: dict[str, str]
    versions: dict[str, str]
    hardware: dict[str, Any]
    git: str | None


class Result(TypedDict):
    """How a run ended: as much as lists show."""

    validation: Score | None
    test: Score | None
    metric: str
    seconds: dict[str, float]
    counts: NotRequired[dict[str, int]]


class ShownScore(TypedDict):
    """A score with its interval."""

    value: float
    low: float
    high: float


class ShownResult(Result):
    """A result whose scores are shown with their intervals."""

    validation: ShownScore | None
    test: ShownScore | None


class MemberRow(TypedDict):
    """A checkpoint that predicts."""

    file: str
    epoch: int
    fold: int
    weight: float
    hash: NotRequired[str]


class ViewRow(TypedDict):
    """A view of test-time augmentation."""

    name: str
    weight: float


class PicturesRow(TypedDict):
    """What a network was trained on."""

    channels: int
    depth: Depth
    tiling: Tiling | None


class SubmissionRow(TypedDict):
    """The submission in the folder of a run."""

    file: str


class KnownResult(Result):
    """A result that `kk run` gives again."""

    validation: WholeScore
    test: WholeScore | None
    submission: SubmissionRow
    title: str
    weights: str
    also: NotRequired[dict[str, dict[str, float | None]]]


class ValidationIndex(TypedDict):
    """What the kept probabilities of a fold are of."""

    samples: list[str]
    classes: list[list[list[float]] | None]
    shapes: list[list[int]]
    members: list[str]
    views: list[str] | None


class PostprocessRow(TypedDict):
    """How masks were made."""

    name: str
    settings: dict[str, Any]


class Predicting(TypedDict):
    """As much of a result as predicting needs."""

    members: list[MemberRow]
    views: list[ViewRow]
    pictures: PicturesRow
    postprocess: PostprocessRow


class LeftOut(TypedDict):
    """A sample that was left out or relabelled, and why."""

    id: str
    reason: str


class SelfCheckRow(TypedDict):
    """What the self-check warned of."""

    warnings: list[str]


class WholeResult(TypedDict):
    """A result that can be compared and written up."""

    validation: WholeScore
    test: WholeScore | None
    metric: str
    greater_is_better: bool
    seconds: dict[str, float]
    members: list[MemberRow]
    also: NotRequired[dict[str, dict[str, float | None]]]
    relabelled: NotRequired[list[LeftOut]]
    self_check: NotRequired[SelfCheckRow | None]
    fitted: NotRequired[dict[str, Any]]


class WrittenResult(WholeResult):
    """A result with all that a write-up says."""

    counts: dict[str, int]
    skipped: list[LeftOut]
    views: list[ViewRow]
    postprocess: dict[str, Any]
    workers: int
    weights: str
    command: str


class EpochRow(TypedDict):
    """An epoch of a history."""

    epoch: int
    valid_score: float | None
    seconds: NotRequired[float]
    fold: NotRequired[int]


class Validated(TypedDict):
    """What a search wants to know of an experiment."""

    validation: Score
    metric: str
    seconds: dict[str, float]


class WholeValidated(Validated):
    """The same of a run whose pictures can be compared and whose checkpoints can be taken over."""

    pictures: list[str]
    scores: list[float]
    history: list[EpochRow]
    members: list[str]
    weights: str
    seen: NotRequired[dict[str, Any]]


class Trained(TypedDict):
    """Whose training a run has."""

    run: str
    history: list[EpochRow]
    weights: str
    seen: dict[str, Any]


class Fold(TypedDict):
    """The samples on both sides of a split."""

    train: list[str]
    validation: list[str]


class Writeup(TypedDict):
    """What a write-up says."""

    lang: str
    facts: dict[str, Any]
