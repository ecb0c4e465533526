"""The nouns that the engine and its plugins exchange: frozen, typed, free of heavy imports.

Arrays: images are `[H, W, C]`, uint8 or of the depth that their data set states; masks are uint8 `[H, W]` (binary
0/1, or the class index of a label map) or `[H, W, K]` (multilabel); probabilities are float32 `[K, H, W]` in 0..1.
Sizes are always (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Size = tuple[int, int]
"""(height, width) in pixels."""
UNSTATED: Size = (0, 0)
Task = Literal["binary", "multilabel", "multiclass"]
"""What masks are: one of 0 and 1, one for each of several classes that may overlap, or the class of each pixel."""
Depth = Literal["uint8", "uint16", "int16"]


@dataclass(frozen=True)
class Box:
    """A window of an image, in pixels of that image."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a competition and what is known of it.

    `label` is whatever the plugin's `read_mask` understands, None where no truth is known. Samples of one `group`
    (a person, a patient) never stand on both sides of a split. Folds and subsets keep `stratum`, a small bin, and each
    of the `classes` that the image shows, in proportion. `truth_size` is the size at which masks are submitted and
    scored, the image's own unless stated. An `extra` one is learned from and never held out: its label is no truth.
    """

    id: str
    image: Path
    size: Size
    label: Any = field(default=None, compare=False, repr=False)  # may be an array, which has neither hash nor truth
    group: str = ""
    stratum: int = 0
    classes: tuple[int, ...] = ()
    truth_size: Size = UNSTATED
    extra: bool = False

    def __post_init__(self) -> None:
        if not self.truth_size or self.truth_size == UNSTATED:
            object.__setattr__(self, "truth_size", self.size)


@dataclass(frozen=True)
class Tiling:
    """How images too large for a network are looked at: through windows of the fidelity's `image_size` pixels.

    Pixels are those of the image shrunk by the whole number `reduce`. At inference neighbouring windows are `step` of
    a window apart, the last ones flush with the edge; a `border` (part of the window on each side) serves as context
    only, unless the image ends there. Windows in which fewer than `min_tissue` of the pixels have an HSV saturation
    above `min_saturation` (0..255) are taken for blank and never reach the network; 0 switches that off.
    """

    reduce: int = 4
    step: float = 0.5
    border: float = 0.0
    min_saturation: int = 0
    min_tissue: float = 0.015


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
    """A label that a rule of `kk_clean` distrusts; `score` grows with suspicion.

    `action`: "drop" leaves the sample out of training, "relabel" trains on `mask` instead, "keep" only shows it. `mask`
    is a mask of the image's size as `mask_png.to_text` writes it. `detail` says to a person what was
    found, `related` names other samples that it has to do with (its duplicates).
    """

    sample: str
    rule: str
    score: float
    action: Literal["drop", "keep", "relabel"] = "drop"
    detail: str = ""
    related: tuple[str, ...] = ()
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Draw:
    """What a sampler draws: a sample, whole or a window of it (in pixels of the stored image)."""

    sample: Sample
    box: Box | None = None


@dataclass(frozen=True)
class Score:
    """A score with its 95% interval (bootstrap over images)."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class View:
    """One way to look at an image at test time: `undo(do(x)) == x` for every `[B, C, H, W]`, also non-square.

    A view may also change the size: probabilities that come back in another one are resized to that of the image.
    And it may show parts: n of them of each image as `[n * B, C, H, W]`, all first parts before all second ones.
    """

    name: str
    weight: float
    do: Callable[[torch.Tensor], torch.Tensor]
    undo: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Member:
    """A checkpoint that may join an ensemble; `score` is its validation score while training.

    `hash` is that of its weights where a record states one; they are compared when the checkpoint is read.
    """

    path: Path
    epoch: int
    fold: int = 0
    score: float | None = None
    hash: str = field(default="", compare=False)


@dataclass(frozen=True)
class Prediction:
    """Probabilities `[K, h, w]` of one image at network size, and the (height, width) its mask is wanted at.

    `classes` are the probabilities `[K]` that the image shows a class at all, where the network has a head for them;
    `image` is the image `[h, w, C]` at network size.
    """

    probs: np.ndarray
    size: Size
    sample: str = ""
    classes: np.ndarray | None = None
    image: np.ndarray | None = None


@dataclass(frozen=True)
class ModelOutput:
    """What a network with more than one head returns, all logits.

    `masks` `[B, K, H, W]`; `classes` `[B, K]` of a head that says whether a class is there; `deep`, for training only,
    further masks of lower resolution.
    """

    masks: torch.Tensor
    classes: torch.Tensor | None = None
    deep: tuple[torch.Tensor, ...] = ()


Sampler = Callable[[int], Iterator[Draw]]
"""`sampler(epoch)` yields what an epoch draws, the same for the same epoch."""
Augment = Callable[..., Any]
"""An albumentations transform, or `augment(image, mask) -> (image, mask)`."""
Loss = Callable[[Any, Any], Any]
"""`loss(logits, target) -> scalar`, of what the network returns and masks as `to_target` gives them."""

Item = TypeVar("Item", covariant=True)


class Items(Protocol[Item]):
    """Things that are made when they are asked for by index, some of which may be large."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, i: int, /) -> Item:
        """The one at `i`."""


Track = Callable[..., Iterable[Any]]
"""`track(iterable, total, description)` yields the same items and shows progress."""


def untracked(items: Iterable[Any], total: int | None = None, description: str = "") -> Iterable[Any]:
    """The `Track` that shows nothing."""
    return items
