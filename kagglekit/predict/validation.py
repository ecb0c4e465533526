"""Validation probabilities of each member on disk, so that whatever acts after training costs no training.

`index.json` names the samples and shapes; `epoch-NNN.f16` holds the probabilities one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.store import Store
from kagglekit.files import write_text, write_with
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.types import Ensemble, Member, Prediction, Sample, Track, untracked

if TYPE_CHECKING:
    import numpy as np


def member_path(folder: Path, member: Member) -> Path:
    """Where the validation probabilities of a member lie."""
    return folder / f"fold-{member.fold}-epoch-{member.epoch:03d}.f16"


def write_probs(
    predictor: Predictor,
    members: Sequence[Member],
    store: Store,
    samples: Sequence[Sample],
    folder: Path,
    batch_size: int,
    track: Track = untracked,
) -> None:
    """Predict every validation sample with every member of `predictor` and write the probabilities to `folder`."""
    import numpy as np

    ordered = sorted(samples, key=lambda s: store.shapes[store.place[s.id]])  # neighbours of one size share batches
    shapes: list = []

    def fill(paths: list[Path]) -> None:
        streams = [path.open("wb") for path in paths]
        try:
            stream = predict_all(predictor, ordered, lambda s: store.read(s)[0], batch_size)
            for _, probs in track(stream, len(ordered), "predicting validation"):
                shapes.append(list(probs.shape[1:]))
                for file, one in zip(streams, probs, strict=True):
                    file.write(one.astype(np.float16).tobytes())
        finally:
            for file in streams:
                file.close()

    _write_together([member_path(folder, member) for member in members], fill)
    write_text(folder / "index.json", json.dumps({"samples": [s.id for s in ordered], "shapes": shapes}))


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
    """The ensemble's predictions of the validation samples, combined when indexed; a sequence of `Prediction`."""

    folder: Path
    chosen: Sequence[tuple[Member, float]]
    ensemble: Ensemble
    samples: dict[str, Sample]
    _maps: list = field(default_factory=list, repr=False)

    def __post_init__(self):
        import numpy as np

        index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        self.ids, self.shapes = index["samples"], [tuple(shape) for shape in index["shapes"]]
        self.offsets = np.concatenate([[0], np.cumsum([np.prod(shape) for shape in self.shapes])]).astype(int)
        self._maps = [np.memmap(member_path(self.folder, m), np.float16, "r") for m, _ in self.chosen]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Prediction:
        import numpy as np

        if not 0 <= i < len(self):
            raise IndexError(i)
        part = slice(self.offsets[i], self.offsets[i + 1])
        probs = np.stack([m[part].reshape(self.shapes[i]).astype(np.float32) for m in self._maps])
        weights = np.array([weight for _, weight in self.chosen])
        return Prediction(self.ensemble.combine(probs, weights), self.samples[self.ids[i]].size, self.ids[i])


@dataclass
class Truths:
    """The masks of samples at their own size, read when indexed."""

    dataset: object
    samples: Sequence[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.dataset.read_mask(self.samples[i])
