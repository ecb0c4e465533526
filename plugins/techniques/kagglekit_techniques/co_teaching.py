"""Labels that networks which never saw them disagree with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from kagglekit import Dataset, Finding, RecipeError, Sample, hookimpl

if TYPE_CHECKING:
    import numpy as np

    from kagglekit import Competition, Recipe
    from kagglekit.api import Store


SURE = 0.5  # median agreement with the labels above which networks may complete them


@dataclass(frozen=True)
class CoTeaching:
    """Distrust labels that networks disagree with which were trained on other samples, robustly against wrong labels.

    For each of `folds` two small networks learn from the other folds, on images of `image_size` pixels for `epochs`
    of at most `draws` images; each is updated on the part of a batch that the other finds easiest, without the
    hardest `forget` (Han et al., 2018). Then both predict the fold. A label is distrusted if its agreement with the
    mean of both (IoU; Dice of several classes, the mean IoU of a label map) is below `threshold`, and dropped. One that
    seems to leave out a region larger than `missed`, which networks and colours together make likely (see
    `missed_region`), is completed by it for training; or only shown, where half of all labels agree with the networks
    by less than `SURE`: those have not learned enough to draw. 0 switches either off. `combine`: "or" adds these
    findings to those of the rules before, "and" keeps of both only the samples that both distrust. The 2nd place of the
    Korean hair contest dropped labels with an IoU below 0.8 at 512 pixels; its slides join this rule and that of areas
    by "or", its code by "and".
    """

    name: ClassVar[str] = "co-teaching"
    trains_networks: ClassVar[bool] = True  # too dear for a first look at the data
    image_size: int = 128
    epochs: int = 10
    folds: int = 3
    forget: float = 0.1
    threshold: float = 0.15
    missed: float = 0.016
    draws: int = 20_000
    batch_size: int = 8
    lr: float = 2e-3
    encoder_weights: str = "bundled"
    combine: Literal["or", "and"] = "or"

    def __post_init__(self):
        if self.image_size < 32 or self.image_size % 32 or self.epochs < 1 or self.batch_size < 2 or self.draws < 1:
            raise ValueError("image_size must be a multiple of 32, epochs and draws at least 1, batch_size at least 2")
        if not 0 < self.lr <= 1:
            raise ValueError("lr must lie in 0..1 (0 excluded)")
        if self.folds < 2 or not 0 <= self.forget < 1 or not 0 <= self.threshold <= 1 or self.missed < 0:
            raise ValueError("folds must be at least 2, forget and threshold lie in 0..1, missed be 0 or more")

    @classmethod
    def space(cls):
        """How much disagreement is too much."""
        from optuna.distributions import FloatDistribution

        return {"threshold": FloatDistribution(0.05, 0.9), "missed": FloatDistribution(0.01, 0.1)}

    @classmethod
    def by_default(cls, dataset: Dataset) -> bool:
        """Is `kk clean` to use it where a recipe does not say how to clean?"""
        return dataset.tiling is None

    def learned_pixels(self, images: int) -> float:
        """How many pixels the networks learn from, for plans of what a search will cost."""
        draws = min(self.draws, images * (self.folds - 1) / self.folds)
        return 2 * self.folds * self.epochs * draws * self.image_size**2

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset, recipe, competition):
        """What was found so far, and what the networks disagree with."""
        found = yield
        if dataset.tiling is not None:
            raise RecipeError(
                f"techniques.{self.name}: it shows images whole and small, those of this competition are looked at "
                f"through windows; use --without {self.name}"
            )
        ours = self.disagreements(dataset, recipe, competition)
        if self.combine == "or":
            return [*found, *ours]
        both = {one.sample for one in found if one.action != "keep"} & {one.sample for one in ours}
        return [one for one in (*found, *ours) if one.sample in both or one.action == "keep"]

    def disagreements(self, dataset: Dataset, recipe: Recipe, competition: Competition) -> list[Finding]:
        """The findings, in order of samples."""
        from kagglekit.api import cache_folder, mask_png, open_store, track, unfinished
        from kagglekit_techniques.disagreement import completed

        # Removed next time if this process is killed.
        with unfinished(cache_folder() / self.name, folder=True) as place:
            classes, task = len(competition.classes), competition.task
            store = open_store(place, "small", dataset, self.image_size, task, classes)
            damaged = store.fill(dataset, dataset.train, track)
            samples = [sample for sample in dataset.train if sample.id not in damaged]
            if len({s.group or s.id for s in samples}) < self.folds:
                raise RecipeError(
                    f"techniques.{self.name}: {len(samples)} readable samples cannot be split by group into "
                    f"{self.folds} folds; bring more data, or use --without {self.name}"
                )
            measured = dict(self._measure(store, samples, recipe, competition))
        found, drawing = [], self._may_draw([agreement for agreement, *_ in measured.values()])
        for sample in samples:
            agreement, missed, region = measured[sample.id]
            if agreement < self.threshold:
                text = f"networks that have not seen it agree with this label by {agreement:.2f} only"
                found.append(Finding(sample.id, f"{self.name}/disagreement", round(1 - agreement, 4), "drop", text))
            elif self.missed and missed > self.missed:
                text = f"a region that looks like the labelled ones is left out (size {missed:.3f})"
                mask = mask_png.to_text(completed(dataset.read_mask(sample), region, task), task) if drawing else ""
                score, action = round(missed / self.missed, 4), "relabel" if drawing else "keep"
                found.append(Finding(sample.id, f"{self.name}/missed region", score, action, text, mask=mask))
        return found

    def _may_draw(self, agreements: Sequence[float]) -> bool:
        """Have the networks learned enough for masks of theirs to be learned from?"""
        from statistics import median

        from kagglekit.api import say

        usual = median(agreements)
        if usual < SURE:
            say(
                f"{self.name}: its networks agree with half of the labels by less than {usual:.2f}: what they seem to "
                f"leave out is only shown (more images or -o techniques.{self.name}.epochs=N help)"
            )
        return usual >= SURE

    def recipe_of_networks(self, competition: str, seed: int) -> Recipe:
        """The recipe of both networks: a small encoder, a decoder of half its width, one cosine."""
        from kagglekit import Recipe
        from kagglekit.api import Fidelity

        return Recipe(
            competition=competition,
            seed=seed,
            decoder="unet/2",
            encoder_weights=self.encoder_weights,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=1e-4,
            clip=5.0,
            precision="auto",
            fidelity=Fidelity(image_size=self.image_size, epochs=self.epochs),
        )

    def _measure(
        self, store: Store, samples: Sequence[Sample], recipe: Recipe, competition: Competition
    ) -> Iterator[tuple[str, tuple[float, float, np.ndarray]]]:
        """(id, (agreement, size of what is missed, where it lies)) of every sample, one fold after the other."""
        from kagglekit.api import assign_folds, track
        from kagglekit_techniques.disagreement import agreement, missed_region
        from kagglekit_techniques.network_pair import NetworkPair

        settings = self.recipe_of_networks(competition.id, recipe.seed)
        fold_of = assign_folds(samples, self.folds, recipe.seed)
        for fold in range(self.folds):
            inside = [s for s in samples if fold_of[s.group or s.id] == fold]
            rest = [s for s in samples if fold_of[s.group or s.id] != fold]
            draws = min(self.draws, len(rest))
            pair = NetworkPair(settings, competition.task, len(competition.classes), store, self.forget, draws)
            title = f"{self.name}, fold {fold + 1}/{self.folds}"
            networks = pair.train(rest, recipe.seed * self.folds + fold, track, title)
            predictions = pair.predict(networks, inside)
            for sample, image, mask, probs in track(predictions, len(inside), f"{title}, predicting"):
                missed = missed_region(image, probs, mask, competition.task)
                yield sample.id, (agreement(probs, mask, competition.task), *missed)
