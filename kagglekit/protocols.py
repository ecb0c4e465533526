"""What a plugin's objects must be able to do; derive from these classes, what has a body here serves as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kagglekit.errors import PluginError
from kagglekit.types import Box, Depth, Member, Prediction, Problem, Sample, Size, Tiling

if TYPE_CHECKING:
    import numpy as np
    import torch


class SubmissionFormat(Protocol):
    """How predictions become the file that a competition scores. A row is any JSON-like value of one sample.

    Derive from it: what has a body here serves most formats as it is. A format that cannot hold every mask says in
    `loses` what is lost, as in "it loses regions below 75 pixels"; what survived once must survive again.
    """

    filename: str
    loses: str = ""

    def encode(self, mask: np.ndarray) -> Any:
        """The row of one mask at submission size."""

    def decode(self, row: Any, size: Size) -> np.ndarray:
        """The mask that the competition's scorer sees in `row`; raises SubmissionError for a row of wrong form."""

    def encode_stripes(self, stripes: Iterable[np.ndarray], size: Size) -> Any:
        """The row of a large mask that comes as stripes of whole columns, left to right; nothing may be lost."""
        raise PluginError(f"{type(self).__name__} cannot encode masks by stripe, as large images need it")

    def decode_stripes(self, row: Any, size: Size, width: int) -> Iterator[np.ndarray]:
        """The mask of `row` as stripes of `width` columns."""
        mask = self.decode(row, size)
        return (mask[:, left : left + width] for left in range(0, size[1], width))

    def shrink(self, rows: Mapping[str, Any], share: float = 1.0) -> Mapping[str, Any]:
        """The same rows within the size limits of the competition; `share` is the part of the file they make up."""
        return rows

    def write(self, path: Path, rows: Mapping[str, Any]) -> None:
        """Write the file; raises SubmissionError when the ids are not those of the sample submission."""

    def read(self, path: Path) -> Mapping[str, Any]:
        """Rows by sample id; raises SubmissionError with the place of the first fault."""


@runtime_checkable
class Dataset(Protocol):
    """A data folder of a competition. Reading is thread-safe; nothing is decoded before it is read. Derive from it.

    Test samples have no label. Where their truth is known, `answers` holds it by sample id, in the form of a label; it
    serves to score the written submission and reaches no hook through a sample. Images have `channels` of `depth`.
    Where there is a `tiling`, images are only ever read by box.
    """

    train: Sequence[Sample]
    test: Sequence[Sample]
    problems: Sequence[Problem]
    files: Sequence[Path]
    submission: SubmissionFormat
    answers: Mapping[str, Any]
    channels: int = 3
    depth: Depth = "uint8"
    tiling: Tiling | None = None

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """`[H, W, channels]` of `depth`; raises DataError for a damaged file."""

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The mask of a sample with a label, at the size of its image; raises DataError."""

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The mask that a submission is compared with, at `sample.truth_size`; raises DataError."""
        return self.read_mask(sample, box)

    def regions(self, sample: Sample, size: Size) -> Mapping[str, np.ndarray]:
        """Named parts of a large image (anatomy), as bool masks of the image shrunk to `size`."""
        return {}


class Metric(Protocol):
    """A competition's score, in two steps so that it can be streamed and bootstrapped over images.

    It may also have `per_class(statistics) -> float64 [K]`, the score of each class from `[N, ...]` counts, NaN where
    they say nothing of it; then settings chosen on validation are kept only if no class falls.
    """

    @property
    def name(self) -> str:
        """What the score is called."""

    @property
    def greater_is_better(self) -> bool:
        """Is a higher score the better one?"""

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Counts of one image, of a shape that is the same for all; counts of its parts add up to its own."""

    def reduce(self, statistics: np.ndarray) -> float:
        """The score from the stacked counts `[N, ...]` of N >= 1 images."""


class InputTransform(Protocol):
    """What a network sees of the images as they are stored; applied to whole batches on the device."""

    @property
    def channels(self) -> int:
        """How many the network sees."""

    def __call__(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        """`[B, C, H, W]` as stored -> float32 `[B, channels, H, W]` in 0..1; may vary at random while training."""


class Ensemble(Protocol):
    """Which members are asked, and how their probabilities become one.

    May also have `fit(start, score) -> weights` (see `predict.fitting`), or `merges = True`: then the engine averages
    the weights of the chosen members and predicts with that one network.
    """

    def choose(self, members: Sequence[Member], greater_is_better: bool) -> Sequence[tuple[Member, float]]:
        """Members with weights that sum to 1; `members` are all checkpoints in order of epoch."""

    def combine(self, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """`[M, ..., K, H, W]` and `[M]` -> `[..., K, H, W]`, all probabilities."""


class Postprocess(Protocol):
    """Turns probabilities into a mask. May also have `fit(predictions, truths, metric)`, see `predict.postprocess`.

    Of large images it is called with one part after the other; what has to see the whole belongs into an optional
    `prepare(prediction) -> Prediction`, which is called once before.
    """

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """The mask at `prediction.size`."""
