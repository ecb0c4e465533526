"""What a person decided about labels, as a part of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kagglekit import Box, DataError, Dataset, Finding, RecipeError, Sample, hookimpl
from kagglekit.api import Size, Task
from kagglekit_techniques.contents import fill_in, refuse_other

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.api import decisions


@dataclass(frozen=True)
class Decide:
    """Follow a file of decisions, as `kk clean` writes it and a person edits it: keep, drop and relabel.

    `file` is its path. `content` is a hash of its decisions and masks: empty, it is filled in and becomes part of the
    recipe, that is of the experiment's identity; given, the file must still hold the same. keep takes back what
    techniques before this one found; relabel trains on the mask in a PNG, and validates against it where a person
    signed the decision (`who`).
    """

    name: ClassVar[str] = "decisions"
    follows_decisions: ClassVar[bool] = True  # so that `kk clean` can say how its file is used
    file: str = ""
    content: str = ""

    def __post_init__(self):
        if not self.file:
            raise RecipeError(
                f"techniques.{self.name}: no file; add --with {self.name}:file=PATH (`kk clean` writes one)"
            )
        fill_in(self, lambda: self._read().content())

    def _read(self) -> decisions.Decisions:
        from kagglekit.api import decisions

        found = decisions.read(Path(self.file))
        if self.content:
            refuse_other(self, self.file, found.content())
        return found

    @hookimpl(wrapper=True)
    def kk_dataset(self, root, competition):
        """The data set with the new masks."""
        dataset = yield
        from kagglekit.api import decisions

        found = self._read()
        decisions.check(found, competition.id, {sample.id for sample in dataset.train}, _mark(root, dataset))
        masks, proposed = found.masks(signed=True), found.masks(signed=False)
        if dataset.tiling is not None and proposed:
            raise DataError(
                f"decisions {self.file}: {next(iter(proposed))}: a mask of an image seen through windows needs "
                'somebody who answers for it; look at it and add who = "NAME"'
            )
        return Relabelled(dataset, masks, competition.task, len(competition.classes)) if masks else dataset

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset, competition):
        """What was found so far, corrected by a person."""
        found = yield
        from kagglekit.api import mask_png

        file, size_of = self._read(), {sample.id: sample.size for sample in dataset.train}
        decided = {one.sample: one for one in file.decisions}
        spared = {name for name, one in decided.items() if one.action in ("keep", "relabel")}
        ours = [
            Finding(name, one.rule or self.name, 1.0, "drop", one.why or f"decided by {one.who or 'a person'}")
            for name, one in decided.items()
            if one.action == "drop"
        ]
        for name, path in file.masks(signed=False).items():
            one, task = decided[name], competition.task
            mask = mask_png.to_text(mask_png.read(path, size_of[name], task, len(competition.classes)), task)
            ours.append(Finding(name, one.rule or self.name, 1.0, "relabel", one.why or "proposed", mask=mask))
        return [*(one for one in found if one.sample not in spared or one.action == "keep"), *ours]


def _mark(root: Any, dataset: Dataset) -> str:
    """The fingerprint of the data, from the hashes that a run keeps."""
    from kagglekit.api import cache_folder, fingerprint, track

    return fingerprint(Path(root), dataset.files, cache_folder(), track)


class Relabelled(Dataset):
    """A data set whose masks come from PNGs for some training samples; all else is the inner one's."""

    def __init__(self, inner: Dataset, masks: Mapping[str, Path], task: Task, classes: int):
        for name in ("train", "test", "problems", "files", "submission", "answers", "channels", "depth", "tiling"):
            setattr(self, name, getattr(inner, name))
        self.inner, self.task, self.classes = inner, task, classes
        # By image, too: a test image may have the id of a training one.
        self.masks = {(s.id, s.image): masks[s.id] for s in inner.train if s.id in masks}
        # Bands of a slide are read one after the other, of one mask.
        self._decoded = lru_cache(maxsize=1)(self._decode)

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As before."""
        return self.inner.read_image(sample, box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The mask of the PNG where there is one; raises DataError."""
        path = self.masks.get((sample.id, sample.image))
        if path is None:
            return self.inner.read_mask(sample, box)
        mask = self._decoded(path, sample.size) if self.tiling else self._decode(path, sample.size)
        return mask if box is None else mask[box.top : box.top + box.height, box.left : box.left + box.width]

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """The new mask at the size of the truth; a label that is known to be wrong is not what to compare with."""
        if (sample.id, sample.image) not in self.masks:
            return self.inner.read_truth(sample, box)
        if sample.truth_size == sample.size:
            return self.read_mask(sample, box)
        from kagglekit.api import resize_mask

        mask = resize_mask(self.read_mask(sample), sample.truth_size, self.task)
        return mask if box is None else mask[box.top : box.top + box.height, box.left : box.left + box.width]

    def regions(self, sample: Sample, size: Size) -> Mapping[str, np.ndarray]:
        """As before."""
        return self.inner.regions(sample, size)

    def _decode(self, path: Path, size: Size) -> np.ndarray:
        from kagglekit.api import mask_png

        return mask_png.read(path, size, self.task, self.classes)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not there yet while it is being copied
            raise AttributeError(name)
        return getattr(self.inner, name)
