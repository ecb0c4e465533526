"""Pictures that are there more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kagglekit import Dataset, Finding, Sample, hookimpl

if TYPE_CHECKING:
    import numpy as np

THUMB = 16  # pixels of the thumbnails whose correlation has the last word
READ = (64, 64)


@dataclass(frozen=True)
class NearDuplicates:
    """Drop all but one of pictures that are nearly the same.

    Perceptual hashes (64 signs of the lowest DCT frequencies, pHash of Zauner 2010) that differ in at most `distance`
    bits are candidates, and are the same if thumbnails of 16x16 pixels correlate by at least `similarity`; chains form
    groups. The first by id that no rule before distrusts is kept. `within_group`: only pictures of one group of samples
    (a person) are compared. Samples of one scene, shot in a row, tell a network little more than one of them.
    """

    name: ClassVar[str] = "near-duplicates"
    distance: int = 10
    similarity: float = 0.9
    within_group: bool = False

    def __post_init__(self):
        from kagglekit.data.duplicates import MOST

        if not 0 <= self.distance <= MOST or not -1 <= self.similarity <= 1:
            raise ValueError(f"distance must lie in 0..{MOST} bits, similarity in -1..1")

    @classmethod
    def space(cls):
        """How near is too near."""
        from optuna.distributions import IntDistribution

        return {"distance": IntDistribution(4, 12)}

    @classmethod
    def by_default(cls, dataset: Dataset) -> bool:
        """Is `kk clean` to use it where a recipe does not say how to clean?"""
        return True

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """What was found so far, and the copies."""
        found = yield
        distrusted = {one.sample for one in found if one.action == "drop"}
        ours = []
        for group in self.groups(dataset):
            kept = min(group, key=lambda sample: (sample.id in distrusted, sample.id))
            names = sorted(sample.id for sample in group)
            for name in names:
                others = tuple(other for other in names if other != name)
                if name != kept.id:
                    detail = f"nearly the same picture as {kept.id}, which is kept"
                    ours.append(Finding(name, self.name, float(len(group)), "drop", detail, others))
        return [*found, *ours]

    def groups(self, dataset: Dataset) -> list[list[Sample]]:
        """The training samples that are nearly the same, as groups of two and more."""
        import numpy as np

        from kagglekit import progress
        from kagglekit.data.duplicates import group
        from kagglekit.data.thumbs import each

        looked = list(each(dataset.train, lambda s: self._look(dataset, s), progress.track, "hashing the pictures"))
        if not looked:
            return []
        samples = [sample for sample, _ in looked]
        hashes = np.array([number for _, (number, _) in looked], np.uint64)
        thumbs = np.stack([thumb for _, (_, thumb) in looked])
        people = np.unique([s.group or s.id for s in samples], return_inverse=True)[1]

        def agree(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            alike = np.concatenate(
                [_correlation(thumbs[i[at : at + 4096]], thumbs[j[at : at + 4096]]) for at in range(0, len(i), 4096)]
                or [np.zeros(0)]
            )
            return (alike >= self.similarity) & (~np.bool_(self.within_group) | (people[i] == people[j]))

        groups = defaultdict(list)
        for sample, label in zip(samples, group(hashes, self.distance, agree).tolist(), strict=True):
            groups[label].append(sample)
        return [same for same in groups.values() if len(same) > 1]

    def _look(self, dataset: Dataset, sample: Sample) -> tuple[int, np.ndarray]:
        """(hash, thumbnail uint8 `[THUMB * THUMB * C]` of its own full range) of a picture."""
        import numpy as np

        from kagglekit.data.duplicates import perceptual_hash
        from kagglekit.data.resize import resize_image
        from kagglekit.data.thumbs import as_bytes, small_image

        image = as_bytes(small_image(dataset, sample, READ))
        thumb = resize_image(image, (THUMB, THUMB)).astype(np.float32)
        # Correlation does not see the range, and a byte for each value keeps thumbnails of a large data set in memory.
        stretched = (thumb - thumb.min()) * (255 / max(float(np.ptp(thumb)), 1e-6))
        return perceptual_hash(image), np.rint(stretched).astype(np.uint8).ravel()


def _correlation(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> np.ndarray:
    """Pearson's correlation of each pair of rows; 1 for two of one colour each, 0 for one of them."""
    import numpy as np

    a, b = (np.asarray(rows, np.float32) - np.mean(rows, 1, np.float32, keepdims=True) for rows in (one, other))
    power = np.sqrt((a**2).sum(1)), np.sqrt((b**2).sum(1))
    flat = power[0] * power[1] < 1e-6
    both = (power[0] < 1e-3) & (power[1] < 1e-3)
    return np.where(flat, both.astype(np.float32), (a * b).sum(1) / np.where(flat, 1, power[0] * power[1]))
