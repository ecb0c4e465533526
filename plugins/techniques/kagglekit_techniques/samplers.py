"""Which images an epoch draws: settings; the drawing itself is in `drawing`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from kagglekit import RecipeError, hookimpl
from kagglekit_techniques.contents import fill_in, refuse_other
from kagglekit_techniques.fitting import refuse_tiled


@dataclass(frozen=True)
class GroupLimit:
    """Show at most `most` images of a group (a person, a patient) in an epoch; the next epoch shows others.

    All images of a group take their turns, in an order drawn by lot, so that none is left out for good. Epochs become
    shorter. The 2nd place of the Korean hair contest took 1 or 2 images of each person for its first experiments:
    images of one person say much the same.
    """

    name: ClassVar[str] = "group-limit"
    most: int = 2

    def __post_init__(self):
        if self.most < 1:
            raise ValueError("most must be at least 1")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import IntDistribution

        return {"most": IntDistribution(1, 8)}

    @classmethod
    def suggest(cls, facts):
        """Where groups have many images."""
        groups = facts["groups"]
        if facts["pictures"]["tiled"] or groups["mean"] < 3:
            return None
        return (
            f"{groups['count']} groups have {groups['mean']:.1f} images each on average: those of one group "
            "say much the same, and epochs that show a few of each are shorter."
        )

    @hookimpl(wrapper=True)
    def kk_sampler(self, dataset, samples, recipe):
        """Of what was drawn before, the images whose turn it is."""
        inner = yield
        refuse_tiled(dataset, self.name)
        groups = [sample.group for sample in dataset.train if sample.group]
        if len(groups) == len(set(groups)):
            raise RecipeError(
                "techniques.group-limit: no two images of this data set belong to one group; use --without "
                "group-limit, or let the competition's settings say which belong together"
            )
        from kagglekit_techniques.wrapped_samplers import Limited

        return Limited(inner, Limited.turns_of(samples, recipe.seed), self.most)


@dataclass(frozen=True)
class BalancedClasses:
    """Draw images with rare classes more often, by the repeat factors of LVIS (Gupta, Dollár and Girshick 2019).

    A class that a part f of the images shows has the factor sqrt(`threshold` / f), at least 1 and at most `limit`; an
    image the largest factor of its classes, or 1 without any. An epoch stays as long as it was: images are drawn in
    proportion to their factors, each as often as its share says, rounded down or up by lot. For LVIS, with a thousand
    classes, the threshold was 0.001; contests of some ten classes need a larger one.
    """

    name: ClassVar[str] = "balanced-classes"
    threshold: float = 0.2
    limit: float = 8.0

    def __post_init__(self):
        if not 0 < self.threshold <= 1 or not 1 <= self.limit <= 1000:
            raise ValueError("threshold must lie above 0 and up to 1, limit in 1..1000")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"threshold": FloatDistribution(0.02, 1.0, log=True)}

    @classmethod
    def suggest(cls, facts):
        """Where classes are uneven."""
        from kagglekit_techniques.reasons import named, rare

        names = rare(facts)
        if facts["pictures"]["tiled"] or not names:
            return None
        return f"Few images show {named(names)}; drawn more often, they count more."

    @hookimpl(wrapper=True)
    def kk_sampler(self, dataset, samples, recipe, store):
        """As many draws as before, rare classes more often."""
        inner = yield
        refuse_tiled(dataset, self.name)
        from kagglekit_techniques.shown import classes_shown
        from kagglekit_techniques.wrapped_samplers import Weighted, repeat_factors

        shown = classes_shown(samples, store)
        factors = repeat_factors(shown, self.threshold, self.limit)
        return Weighted(inner, {s.id: f for s, f in zip(samples, factors, strict=True)}, recipe.seed)


@dataclass(frozen=True)
class MaskFractionBins:
    """Draw images or windows with and without foreground equally often, and small and large masks equally often.

    Those with foreground are put into bins by round(20 * the part of them that is foreground), at most `cap`; every bin
    that is not empty is drawn from equally often (1st place of the glomeruli contest, cap 4). An epoch stays as long as
    it was. Where windows are drawn at random, those of each epoch are put into bins anew.
    """

    name: ClassVar[str] = "mask-fraction-bins"
    cap: int = 4

    def __post_init__(self):
        if not 0 <= self.cap <= 20:
            raise ValueError("cap must lie in 0..20")

    @classmethod
    def suggest(cls, facts):
        """Where most windows of slides show no object."""
        from kagglekit_techniques.reasons import percent

        part = facts["sampled"]["with_objects"]
        if not facts["pictures"]["tiled"] or part > 0.5:
            return None
        return (
            f"Only {percent(part)} of the windows with tissue show an object; drawn by how much they show, "
            "empty ones no longer outweigh the others."
        )

    @hookimpl(wrapper=True)
    def kk_sampler(self, recipe, store):
        """As many draws as before, from bins."""
        inner = yield
        from kagglekit_techniques.wrapped_samplers import Binned

        return Binned(inner, store, self.cap, recipe.seed)


@dataclass(frozen=True)
class WeightedDraws:
    """Draw images in proportion to weights that a file states: losses of an earlier run, or trust in labels.

    `file` is a CSV with the header "sample,weight", one line for each training image, weights of 0 or more, one of
    them above 0. An epoch stays as long as it was; each image is drawn as often as its share says, rounded down or up
    by lot. `content` is a hash of the file: filled in where it is empty, so that it is part of the experiment.
    """

    name: ClassVar[str] = "weighted-draws"
    file: str = ""
    content: str = ""

    def __post_init__(self):
        fill_in(self, self._content)

    def _content(self) -> str:
        from kagglekit.api import hash_file

        if not Path(self.file).is_file():
            fault = f"{self.file} does not exist" if self.file else "names no file"
            raise RecipeError(
                f"techniques.weighted-draws.file: {fault}; give it a CSV with the columns sample and weight: "
                "--with weighted-draws:file=PATH"
            )
        return hash_file(Path(self.file))[:16]

    @hookimpl(wrapper=True)
    def kk_sampler(self, dataset, samples, recipe):
        """As many draws as before, by weight."""
        inner = yield
        from kagglekit_techniques.wrapped_samplers import Weighted, read_weights

        refuse_other(self, self.file, self._content())
        return Weighted(inner, read_weights(self.file, dataset.train, samples), recipe.seed)
