"""The nouns that the engine and its plugins exchange: frozen, typed, free of heavy imports.

Arrays: pictures are uint8 `[H, W, C]`; masks are uint8 `[H, W]` (binary 0/1, or the class index of a label map) or
`[H, W, K]` (multilabel); probabilities are float32 `[K, H, W]` in 0..1. Sizes are always (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

Size = tuple[int, int]
Task = Literal["binary", "multilabel", "multiclass"]


@dataclass(frozen=True)
class Box:
    """A window of a picture, in pixels of that picture."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a competition and what is known of it.

    `label` is whatever the plugin's `read_mask` understands, None where no truth is known. Samples of one `group`
    (a person, a patient) never stand on both sides of a split; `stratum` is a small bin that subsets keep in
    proportion.
    """

    id: str
    image: Path
    size: Size
    label: Any = field(default=None, compare=False, repr=False)  # may be an array, which has neither hash nor truth
    group: str = ""
    stratum: int = 0


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data folder: `skip` drops the sample, otherwise the sample is used as described.

    `damaged` marks files that are broken (they count towards the limit at which a run stops), as opposed to labels
    that are merely missing.
    """

    sample: str
    rule: str
    detail: str
    skip: bool = True
    damaged: bool = False


@dataclass(frozen=True)
class Finding:
    """A label that a rule of `kk_clean` distrusts; `action` is "drop" or "keep", `score` grows with suspicion."""

    sample: str
    rule: str
    score: float
    action: Literal["drop", "keep"] = "drop"


@dataclass(frozen=True, slots=True)
class Draw:
    """What a sampler draws: a sample, whole or a window of it (in pixels of the stored picture)."""

    sample: Sample
    box: Box | None = None


class SubmissionFormat(Protocol):
    """How predictions become the file that a competition scores. A row is any JSON-like value of one sample."""

    filename: str

    def encode(self, mask: np.ndarray) -> Any:
        """The row of one mask at submission size."""

    def decode(self, row: Any, size: Size) -> np.ndarray:
        """The mask that the competition's scorer sees in `row`; raises SubmissionError for a row of wrong form."""

    def shrink(self, rows: Mapping[str, Any], share: float = 1.0) -> Mapping[str, Any]:
        """The same rows within the size limits of the competition; `share` is the part of the file they make up."""

    def write(self, path: Path, rows: Mapping[str, Any]) -> None:
        """Write the file; raises SubmissionError when the ids are not those of the sample submission."""

    def read(self, path: Path) -> Mapping[str, Any]:
        """Rows by sample id; raises SubmissionError with the place of the first fault."""


class Dataset(Protocol):
    """A data folder of a competition. Reading is thread-safe; nothing is decoded before it is read.

    Test samples have no label. Where their truth is known, `answers` holds it by sample id, in the form of a label; it
    serves to score the written submission and reaches no hook through a sample.
    """

    train: Sequence[Sample]
    test: Sequence[Sample]
    answers: Mapping[str, Any]
    problems: Sequence[Problem]
    files: Sequence[Path]
    channels: int
    submission: SubmissionFormat

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[H, W, channels]`; raises DataError for a damaged file."""

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The mask of a sample with a label, at the size of its picture; raises DataError."""


class Metric(Protocol):
    """A competition's score, in two steps so that it can be streamed and bootstrapped over pictures."""

    name: str
    greater_is_better: bool

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Statistics of one picture, of a shape that is the same for all."""

    def reduce(self, statistics: np.ndarray) -> float:
        """The score from the stacked statistics `[N, ...]` of N >= 1 pictures."""


@dataclass(frozen=True)
class Score:
    """A score with its 95% interval (bootstrap over pictures)."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Competition:
    """Who a competition is and how it is usually solved.

    `recipe` holds what this competition changes of the engine's default recipe (dotted keys), `presets` what each
    named fidelity ("demo", "trial", "full") changes on top. `settings` is a frozen dataclass of the competition's own
    settings, or None. `space` returns the search space: dotted key -> optuna distribution.
    """

    id: str
    title: str
    classes: tuple[str, ...]
    task: Task
    image_size: Size
    metric: Metric
    recipe: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: type | None = None
    space: Callable[[], Mapping[str, Any]] = dict
    summary: str = ""
    layout: str = ""
    references: tuple[str, ...] = ()
    sample_count: int = 240


@dataclass(frozen=True)
class View:
    """One way to look at a picture at test time: `undo(do(x)) == x` for every `[B, C, H, W]`, also non-square."""

    name: str
    weight: float
    do: Callable[[torch.Tensor], torch.Tensor]
    undo: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Member:
    """A checkpoint that may join an ensemble; `score` is its validation score while training."""

    path: Path
    epoch: int
    fold: int = 0
    score: float | None = None


@dataclass(frozen=True)
class Prediction:
    """Probabilities `[K, h, w]` of one picture at network size, and the (height, width) its mask is wanted at."""

    probs: np.ndarray
    size: Size
    sample: str = ""


Sampler = Callable[[int], Iterator[Draw]]
Augment = Callable[..., Any]
Loss = Callable[[Any, Any], Any]


class Ensemble(Protocol):
    """Which members are asked, and how their probabilities become one."""

    def choose(self, members: Sequence[Member], greater_is_better: bool) -> Sequence[tuple[Member, float]]:
        """Members with weights that sum to 1; `members` are all checkpoints in order of epoch."""

    def combine(self, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """`[M, ..., K, H, W]` and `[M]` -> `[..., K, H, W]`, all probabilities."""


class Postprocess(Protocol):
    """Turns probabilities into a mask. May also have `fit(predictions, truths, metric)`, see `predict.postprocess`."""

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """The mask at `prediction.size`."""


Track = Callable[..., Iterable[Any]]
"""`track(iterable, total, description)` yields the same items and shows progress."""


def untracked(items: Iterable[Any], total: int | None = None, description: str = "") -> Iterable[Any]:
    """The `Track` that shows nothing."""
    return items
