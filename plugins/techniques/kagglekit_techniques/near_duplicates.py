"""Images that are there more than once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kagglekit import Dataset, Finding, Sample, hookimpl

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class NearDuplicates:
    """Drop all but one of images that are nearly the same.

    Perceptual hashes (64 signs of the lowest DCT frequencies, pHash of Zauner 2010) that differ in at most `distance`
    bits are candidates, and are the same if thumbnails of 16x16 pixels correlate by at least `similarity`; chains form
    groups. The first by id that no rule before distrusts is kept. `within_group`: only images of one group of samples
    (a person) are compared. Samples of one scene, shot in a row, tell a network little more than one of them.
    """

    name: ClassVar[str] = "near-duplicates"
    distance: int = 10
    similarity: float = 0.9
    within_group: bool = False

    def __post_init__(self):
        from kagglekit.api import duplicates

        if not 0 <= self.distance <= duplicates.MOST or not -1 <= self.similarity <= 1:
            raise ValueError(f"distance must lie in 0..{duplicates.MOST} bits, similarity in -1..1")

    @classmethod
    def space(cls):
        """How near is too near."""
        from optuna.distributions import IntDistribution

        return {"distance": IntDistribution(4, 12)}

    @classmethod
    def by_default(cls, dataset: Dataset) -> bool:
        """Is `kk clean` to use it where a recipe does not say how to clean?"""
        return True

    @classmethod
    def suggest(cls, facts):
        """Where there are copies."""
        copies = facts["copies"]
        if not copies or not copies["train_groups"]:
            return None
        return (
            f"{copies['pictures']} training images belong to {copies['train_groups']} sets that are nearly "
            "the same; one of each tells a network as much."
        )

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """What was found so far, and the copies."""
        found = yield
        distrusted = {one.sample for one in found if one.action != "keep"}
        ours = []
        for group in self.groups(dataset):
            kept = min(group, key=lambda sample: (sample.id in distrusted, sample.id))
            names = sorted(sample.id for sample in group)
            for name in names:
                others = tuple(other for other in names if other != name)
                if name != kept.id:
                    detail = f"nearly the same image as {kept.id}, which is kept"
                    ours.append(Finding(name, self.name, float(len(group)), "drop", detail, others))
        return [*found, *ours]

    def groups(self, dataset: Dataset) -> list[list[Sample]]:
        """The training samples that are nearly the same, as groups of two and more."""
        import numpy as np

        from kagglekit.api import duplicates, each_sample, track

        hashed = list(
            each_sample(dataset.train, lambda s: self._hash_and_thumb(dataset, s), track, "hashing the images")
        )
        if not hashed:
            return []
        samples = [sample for sample, _ in hashed]
        hashes = np.array([number for _, (number, _) in hashed], np.uint64)
        thumbs = np.stack([thumb for _, (_, thumb) in hashed])
        people = np.unique([s.group or s.id for s in samples], return_inverse=True)[1]

        same = duplicates.alike(thumbs, self.similarity)

        def agree(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            return same(i, j) & (~np.bool_(self.within_group) | (people[i] == people[j]))

        groups = defaultdict(list)
        for sample, label in zip(samples, duplicates.group(hashes, self.distance, agree).tolist(), strict=True):
            groups[label].append(sample)
        return [some for some in groups.values() if len(some) > 1]

    def _hash_and_thumb(self, dataset: Dataset, sample: Sample) -> tuple[int, np.ndarray]:
        """(hash, thumbnail) of an image."""
        from kagglekit.api import duplicates, small_image, to_uint8

        return duplicates.hash_and_thumb(to_uint8(small_image(dataset, sample, duplicates.READ)))
