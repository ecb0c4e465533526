"""Validation probabilities of each member on disk, so that whatever acts after training costs no training.

`index.json` names the samples and shapes; a `.f16` file per member, or per member and view where those are kept apart,
holds the probabilities one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from kagglekit.data.resize import tiling_of
from kagglekit.data.store import Store
from kagglekit.data.windows import windows_with_tissue
from kagglekit.files import write_text, write_with
from kagglekit.pipeline.prepare import Split
from kagglekit.predict.ensemble import weighted_mean
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.predict.tiles import predict_rows
from kagglekit.protocols import Dataset, Ensemble
from kagglekit.types import Box, Member, Prediction, Sample, Track, untracked

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.recipe import Recipe

BAND = 512  # rows of tiled images that are combined at once


def member_path(folder: Path, member: Member, view: int | None = None) -> Path:
    """Where the validation probabilities of a member lie, blended over the views or those of one view."""
    part = "" if view is None else f"-view-{view}"
    return folder / f"fold-{member.fold}-{member.path.stem}{part}.f16"


def write_probs(
    predictor: Predictor,
    members: Sequence[Member],
    store: Store,
    samples: Sequence[Sample],
    folder: Path,
    recipe: Recipe,
    track: Track = untracked,
) -> None:
    """Predict every validation sample with every member of `predictor` and write the probabilities to `folder`.

    Those of each view go to a file of their own where the predictor keeps them apart.
    """
    views = range(len(predictor.views)) if predictor.apart else [None]
    ordered = sorted(samples, key=store.shape)  # neighbours of one size share batches
    classes: list[list | None] = []

    def fill(paths: list[Path]) -> None:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            if store.tiling is not None:
                for sample in track(ordered, len(ordered), "predicting validation"):
                    _write_large(predictor, store, sample, files, recipe)
                    classes.append(None)
                return
            outputs = predict_all(predictor, ordered, lambda s: store.read(s)[0], recipe.batch_size)
            for answer in track(outputs, len(ordered), "predicting validation"):
                classes.append(None if answer.classes is None else answer.classes.tolist())
                for file, probs in zip(files, answer.probs, strict=True):
                    file.write(probs.astype("float16").tobytes())

    _write_together([member_path(folder, member, view) for member in members for view in views], fill)
    shapes = [store.shape(s) for s in ordered]
    names = [view.name for view in predictor.views] if predictor.apart else None
    index = {"samples": [s.id for s in ordered], "shapes": shapes, "classes": classes,
             "members": [member.path.stem for member in members], "views": names}  # fmt: skip
    write_text(folder / "index.json", json.dumps(index))


def _write_large(predictor: Predictor, store: Store, sample: Sample, files: Sequence[BinaryIO], recipe: Recipe) -> None:
    """Append the probabilities of a tiled image to each member's file, where its rows come one after the other."""
    import numpy as np

    (height, width), planes = store.shape(sample), store.classes
    starts = [file.seek(0, 2) for file in files]
    for file, start in zip(files, starts, strict=True):
        file.truncate(start + planes * height * width * 2)  # float16 zeros where no window looked

    def rows(top: int, bottom: int) -> np.ndarray:
        return store.read(sample, Box(top, 0, bottom - top, width))[0]

    window, tiling = recipe.fidelity.image_size, tiling_of(store.tiling)
    parts = predict_rows(predictor, rows, (height, width), window, tiling, recipe.batch_size)
    for top, probs in parts:
        for file, start, member in zip(files, starts, probs.astype(np.float16), strict=False):
            for k, plane in enumerate(member):
                file.seek(start + 2 * (k * height + top) * width)
                file.write(plane.tobytes())


def _write_together(paths: Sequence[Path], fill) -> None:
    """`write_with` for several files at once."""

    def nested(done: list[Path], rest: Sequence[Path]) -> None:
        if not rest:
            fill(done)
        else:
            write_with(rest[0], lambda temporary: nested([*done, temporary], rest[1:]))

    nested([], paths)


@dataclass
class ValidationProbs:
    """The predictions of the validation samples, members combined when indexed; a sequence of `Prediction`.

    Every sample is predicted by the members of the fold that held it out. A prediction of a tiled image holds float16
    and no image: both would fill the memory. Where views were kept apart, `views` are those that count, by their names,
    with weights that sum to 1.
    """

    folder: Path
    chosen: Mapping[int, Sequence[tuple[Member, float]]]  # by fold
    ensemble: Ensemble
    store: Store
    splits: Sequence[Split]
    views: Mapping[str, float] | None = None

    def __post_init__(self):
        self.splits = [part for part in self.splits if part.validation]

    def write(
        self, predictor_of: Callable[[Sequence[tuple[Member, float]]], Predictor], recipe: Recipe, track: Track
    ) -> None:
        """Predict, and keep the probabilities in the folder, one fold after the other."""
        for part in self.splits:
            members = self.chosen[part.fold]
            write_probs(
                predictor_of(members),
                [m for m, _ in members],
                self.store,
                part.validation,
                self.folder / f"fold-{part.fold}",
                recipe,
                track,
            )

    @cached_property
    def _folds(self) -> list[FoldProbs]:
        return [
            FoldProbs(
                self.folder / f"fold-{part.fold}",
                self.chosen[part.fold],
                self.ensemble,
                {s.id: s for s in part.validation},
                self.store,
                self.views,
            )
            for part in self.splits
        ]

    @property
    def ids(self) -> list[str]:
        """The samples' ids in order."""
        return [id for fold in self._folds for id in fold.ids]

    @property
    def samples(self) -> list[Sample]:
        """The samples in order."""
        return [fold.samples[id] for fold in self._folds for id in fold.ids]

    def __len__(self) -> int:
        return sum(len(fold.ids) for fold in self._folds)

    def __getitem__(self, i: int) -> Prediction:
        for fold in self._folds:
            if 0 <= i < len(fold.ids):
                return fold.prediction(i)
            i -= len(fold.ids)
        raise IndexError(i)


class FoldProbs:
    """The probabilities of one fold's validation samples on disk."""

    def __init__(
        self,
        folder: Path,
        chosen: Sequence[tuple[Member, float]],
        ensemble: Ensemble,
        samples: Mapping[str, Sample],
        store: Store,
        views: Mapping[str, float] | None = None,
    ):
        import numpy as np

        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.ensemble, self.samples, self.store = ensemble, samples, store
        self.ids, self.classes = index["samples"], index["classes"]
        self.shapes = [(store.classes, *shape) for shape in index["shapes"]]
        self.offsets = np.concatenate([[0], np.cumsum([np.prod(shape) for shape in self.shapes])]).astype(int)
        self.weights = np.array([weight for _, weight in chosen])
        positions = {None: 1.0} if views is None else {index["views"].index(name): w for name, w in views.items()}
        # Per member: what to add up, with which weight, and its row among the probabilities of classes.
        self.outputs = [
            [
                (np.memmap(member_path(folder, m, position), np.float16, "r"), weight, self._row(index, m, position))
                for position, weight in positions.items()
            ]
            for m, _ in chosen
        ]

    @staticmethod
    def _row(index: Mapping, member: Member, view: int | None) -> int:
        views = index["views"]
        return index["members"].index(member.path.stem) * (len(views) if views else 1) + (view or 0)

    def prediction(self, i: int) -> Prediction:
        """The combined prediction of the i-th sample."""
        import numpy as np

        part, sample = slice(self.offsets[i], self.offsets[i + 1]), self.samples[self.ids[i]]
        members = [[(m[part].reshape(self.shapes[i]), weight) for m, weight, _ in outputs] for outputs in self.outputs]
        if self.store.tiling is not None:
            whole = np.empty(self.shapes[i], np.float16)
            for top in range(0, whole.shape[1], BAND):
                rows = [_blend([(m[:, top : top + BAND], weight) for m, weight in outputs]) for outputs in members]
                whole[:, top : top + BAND] = self.ensemble.combine(np.stack(rows), self.weights)
            return Prediction(whole, sample.truth_size, sample.id)
        probs = self.ensemble.combine(np.stack([_blend(outputs) for outputs in members]), self.weights)
        return Prediction(probs, sample.truth_size, sample.id, self._classes(i), self.store.read(sample)[0])

    def _classes(self, i: int) -> np.ndarray | None:
        """What the members say of whole classes, combined."""
        import numpy as np

        if self.classes[i] is None:
            return None
        said = np.array(self.classes[i], np.float32)
        members = np.stack([_blend([(said[row], weight) for _, weight, row in outputs]) for outputs in self.outputs])
        return weighted_mean(members, self.weights)


def _blend(outputs: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    """The weighted sum of some views' probabilities, float32; one view is itself."""
    import numpy as np

    first, weight = outputs[0]
    if len(outputs) == 1:
        return first.astype(np.float32)
    blended = first.astype(np.float32) * np.float32(weight)
    for other, weight in outputs[1:]:
        blended += other.astype(np.float32) * np.float32(weight)
    return blended


class Held(Protocol):
    """Predictions of samples that were held out, by index."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Which they are."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, i: int, /) -> Prediction:
        """That of one of them."""


@dataclass
class Truths:
    """The masks that samples are scored against, read when indexed."""

    dataset: Dataset
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.dataset.read_truth(self.samples[i])


@dataclass
class Blocks:
    """Tiled predictions cut into blocks of `side` stored pixels that show tissue, with their stored truths.

    What is tuned needs more images than there are large ones; blocks are scored as parts of one image.
    """

    predictions: ValidationProbs
    side: int
    most: int

    def pairs(self) -> tuple[list[Prediction], list[np.ndarray]]:
        """At most `most` predictions float32 at the store's scale, and their masks."""
        import numpy as np

        store, samples = self.predictions.store, self.predictions.samples
        draws = windows_with_tissue(store, samples, self.side, self.side)
        draws = draws[:: -(-len(draws) // self.most) or 1]
        found, truths = [], []
        for i, sample in enumerate(samples):
            whole = self.predictions[i].probs
            for box in (draw.box for draw in draws if draw.sample is sample and draw.box is not None):
                image, truth = store.read(sample, box)
                window = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
                probs = whole[(slice(None), *window)].astype(np.float32)
                inside = slice(probs.shape[1]), slice(probs.shape[2])  # a box may leave a small image
                found.append(Prediction(probs, probs.shape[1:], sample.id, None, image[inside]))
                truths.append(truth[inside])
        return found, truths
