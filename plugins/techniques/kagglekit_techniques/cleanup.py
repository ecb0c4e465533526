"""What is mended in masks before they are submitted: settings; the work is in `components`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kagglekit import hookimpl
from kagglekit_techniques.fitting import refuse_tiled

if TYPE_CHECKING:
    from kagglekit import Competition, Postprocess
    from kagglekit_techniques.components import Mended


def mended(inner: Postprocess, competition: Competition, kind: str, start: float) -> Mended:
    """The post-processing `kind` after `inner`, with `start` as the setting of every class."""
    from kagglekit_techniques.components import Mended

    count, first = len(competition.classes), 1 if competition.task == "multiclass" else 0
    return Mended(inner, kind, (0.0,) * first + (start,) * (count - first), competition.task)


@dataclass(frozen=True)
class MinArea:
    """Remove regions of a mask that cover less than `area` of the image; of label maps they become background.

    Validation decides on an area for each class, or on none; `area` is where it begins, and what stays where it is too
    small to tell. 75 of 512x512 pixels (2nd place of the Korean hair contest) are 0.0003 of an image; in the
    clouds contest 5000 of 350x525, or 0.027, were used.
    """

    name: ClassVar[str] = "min-area"
    area: float = 0.0003

    def __post_init__(self):
        if not 0 <= self.area < 1:
            raise ValueError("area is a part of the image, 0..1 (1 excluded)")

    @classmethod
    def suggest(cls, facts):
        """Where no true region is small."""
        from kagglekit_techniques.reasons import named, percent, usual

        large = [one for one in usual(facts) if one["regions"]["small_area"] >= 10 * cls.area]
        if not large:
            return None
        least = min(one["regions"]["small_area"] for one in large)
        return (
            f"95% of the labelled regions of {named([one['name'] for one in large])} cover more than "
            f"{percent(least)} of their image: smaller ones in a prediction are mostly false alarms."
        )

    def check(self, dataset, competition):
        """Refuses images that are looked at through windows."""
        refuse_tiled(dataset, self.name)

    @hookimpl(wrapper=True)
    def kk_postprocess(self, competition):
        """The masks so far without small regions."""
        inner = yield
        return mended(inner, competition, "min-area", self.area)


@dataclass(frozen=True)
class FillHoles:
    """Fill holes of a mask that cover less than `area` of the image; of label maps, holes that are background.

    A hole is what a region encloses and the edge of the image does not. Validation decides on an area for each class,
    or on none; `area` is where it begins, and what stays where it is too small to tell. Small holes
    are mostly doubts of the network; labels drawn as outlines have none.
    """

    name: ClassVar[str] = "fill-holes"
    area: float = 0.0003

    def __post_init__(self):
        if not 0 <= self.area < 1:
            raise ValueError("area is a part of the image, 0..1 (1 excluded)")

    @classmethod
    def suggest(cls, facts):
        """Where labels have no holes."""
        from kagglekit_techniques.reasons import named, usual

        whole = [one["name"] for one in usual(facts) if one["holes"] < 0.02]
        if not whole:
            return None
        return f"Labels of {named(whole)} have next to no holes, so those of a prediction are mostly doubts."

    def check(self, dataset, competition):
        """Refuses images that are looked at through windows."""
        refuse_tiled(dataset, self.name)

    @hookimpl(wrapper=True)
    def kk_postprocess(self, competition):
        """The masks so far without small holes."""
        inner = yield
        return mended(inner, competition, "fill-holes", self.area)


@dataclass(frozen=True)
class LargestComponent:
    """Keep only the largest region of a class, for classes where validation rises by it, as nnU-Net decides it.

    Without a validation large enough to tell, nothing is removed. Isensee et al. (2021) accept it if the mean score
    rises and no class falls, which the engine asks of all settings that validation chooses.
    """

    name: ClassVar[str] = "largest-component"

    @classmethod
    def suggest(cls, facts):
        """Where labels are in one piece."""
        from kagglekit_techniques.reasons import named, usual

        single = [one["name"] for one in usual(facts) if one["regions"]["several"] < 0.05]
        if not single:
            return None
        return (
            f"Labels of {named(single)} are nearly always one region: of several in a prediction all but one are wrong."
        )

    def check(self, dataset, competition):
        """Refuses images that are looked at through windows."""
        refuse_tiled(dataset, self.name)

    @hookimpl(wrapper=True)
    def kk_postprocess(self, competition):
        """The masks so far, of some classes only the largest region."""
        inner = yield
        return mended(inner, competition, "largest-component", 0.0)
