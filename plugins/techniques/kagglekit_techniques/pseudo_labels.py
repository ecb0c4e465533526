"""Learning from images that a network has labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kagglekit import Box, Dataset, RecipeError, Sample, hookimpl
from kagglekit.api import Size, Task
from kagglekit_techniques.contents import fill_in, refuse_other

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class PseudoLabels:
    """Learn from further images too, with the masks that a finished run predicted of them (`kk predict`).

    `masks` is the folder that `kk predict` wrote, `images` the one of the images. Images of which the network is
    sure in at least the part `sure` are taken (a team of the clouds contest: 0.8). They are learned from and never held
    out. The images of the test part are refused unless `allow_test`: many hosts forbid to learn from them. `content`
    is a hash of the index of the masks: filled in where it is empty, so that it is part of the experiment.
    """

    name: ClassVar[str] = "pseudo-labels"
    masks: str = ""
    images: str = ""
    sure: float = 0.8
    allow_test: bool = False
    content: str = ""

    def __post_init__(self):
        if not 0 <= self.sure <= 1:
            raise ValueError("sure must lie in 0..1")
        if not self.masks or not self.images:
            raise RecipeError(
                f"techniques.{self.name}: needs masks and images; first kk predict RUN --images IMAGES --out MASKS, "
                f"then --with {self.name}:masks=MASKS,images=IMAGES"
            )
        fill_in(self, self._content)

    def _content(self) -> str:
        from kagglekit.api import hash_file

        index = Path(self.masks) / "index.csv"
        if not index.is_file():
            raise RecipeError(f"techniques.{self.name}: {index} does not exist; kk predict RUN --images writes it")
        return hash_file(index)[:16]

    @hookimpl(wrapper=True)
    def kk_dataset(self, competition):
        """The data set, and the further images that the network is sure of."""
        dataset = yield
        if dataset.tiling is not None:
            raise RecipeError(
                f"techniques.{self.name}: reads whole images, those of {competition.id} are looked at by window; use "
                f"--without {self.name}"
            )
        refuse_other(self, self.masks, self._content())
        rows = [row for row in read_index(Path(self.masks) / "index.csv") if float(row["sure"]) >= self.sure]
        taken = [self._sample(row["picture"], dataset) for row in rows]
        if not taken:
            raise RecipeError(f"techniques.{self.name}: of no image is the network sure in {self.sure:g} of its pixels")
        files = {s.id: self._files(row, competition) for s, row in zip(taken, rows, strict=True)}
        return Joined(dataset, taken, files, competition.task)

    def _sample(self, image: str, dataset: Dataset) -> Sample:
        import filecmp

        from kagglekit.api import describe_image

        path = inside(Path(self.images), image, self.name)
        if not path.is_file():
            raise RecipeError(
                f"techniques.{self.name}: {path} does not exist; images must be the folder that was predicted"
            )
        tested = next((s.image for s in dataset.test if s.image.name == image and s.image.is_file()), None)
        if tested and not self.allow_test and filecmp.cmp(path, tested, shallow=False):
            raise RecipeError(
                f"techniques.{self.name}: {image} is a test image; if the host allows to learn from those, set "
                f"techniques.{self.name}.allow_test=true"
            )
        return Sample(f"pseudo/{image}", path, describe_image(path)[0], label=image, extra=True)

    def _files(self, row: Mapping[str, str], competition: Any) -> list[Path]:
        stem = row["mask"].removesuffix(".png")
        names = (
            [f"{stem}-{label}.png" for label in competition.classes]
            if competition.task == "multilabel"
            else [row["mask"]]
        )
        return [inside(Path(self.masks), name, self.name) for name in names]


def inside(folder: Path, name: str, who: str) -> Path:
    """`folder/name`; raises RecipeError for a name that leads elsewhere."""
    if Path(name).name != name:
        raise RecipeError(f"techniques.{who}: index.csv names {name!r}; files must lie in the folder itself")
    return folder / name


def read_index(path: Path) -> list[dict[str, str]]:
    """The rows of `index.csv`; raises RecipeError for a file that is no such index."""
    from kagglekit.api import from_spreadsheet, read_table

    rows = read_table(path, ("picture", "mask", "sure"), RecipeError)
    for line, row in rows:
        try:
            float(row["sure"])
        except ValueError:
            raise RecipeError(
                f"{path}: line {line}: not an index of kk predict (columns picture, mask, sure)"
            ) from None
    return [{name: from_spreadsheet(cell) for name, cell in row.items()} for _, row in rows]


class Joined(Dataset):
    """A data set with further training images, whose masks come from PNGs."""

    def __init__(self, inner: Dataset, extra: Sequence[Sample], files: Mapping[str, Sequence[Path]], task: Task):
        for name in ("test", "problems", "files", "submission", "answers", "channels", "depth", "tiling"):
            setattr(self, name, getattr(inner, name))
        self.train = [*inner.train, *extra]
        self.inner, self.masks, self.task = inner, files, task

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As before, or the further image's file."""
        if not sample.extra or sample.id not in self.masks:
            return self.inner.read_image(sample, box)
        from kagglekit.api import read_image

        return cut(read_image(sample.image, self.channels, self.depth), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As before, or what was predicted: class indices as they are, 255 is foreground; raises DataError."""
        import numpy as np

        if not sample.extra or sample.id not in self.masks:
            return self.inner.read_mask(sample, box)
        from kagglekit.api import read_binary_mask, read_image

        if self.task == "multiclass":
            return cut(read_image(self.masks[sample.id][0], 1, "uint8")[..., 0], box)
        planes = [read_binary_mask(path) for path in self.masks[sample.id]]
        return cut(np.stack(planes, -1) if self.task == "multilabel" else planes[0], box)

    def read_truth(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """As before."""
        return self.inner.read_truth(sample, box)

    def regions(self, sample: Sample, size: Size) -> Mapping[str, np.ndarray]:
        """As before."""
        return self.inner.regions(sample, size)


def cut(array: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of an image or mask in `box`."""
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]
