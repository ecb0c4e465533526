"""The techniques that only this contest asks for: their settings; what they do is in the modules they import."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import hookimpl
from kagglekit_clouds.contest import CLASSES

DARK = 10  # of 255: as dark as a swath


def is_clouds(facts) -> bool:
    """Are these facts about this contest? Its techniques serve no other."""
    return facts["competition"] == "clouds"


def absent(facts) -> float:
    """The part of images that a class is absent from, averaged over the classes."""
    return sum(1 - one["pictures"] for one in facts["balance"]) / len(facts["balance"])


def has_swaths(facts) -> bool:
    """Are so many pixels black in every channel that images must have swaths?"""
    return all(one["percentiles"]["p1"] <= DARK for one in facts["intensity"]["channels"])


@dataclass(frozen=True)
class ClassGate:
    """Empty the mask of a class whose score stays below `threshold`.

    The score is the mean of what the class head says and the mean probability of the `top_pixels` surest pixels (of
    350x525), the head counting `head` of it. `force_best` keeps the class with the highest score whatever it is: every
    image of this contest shows one. After the 1st place: 0.7 and 17,500 pixels, one part in two for one network.
    """

    name: ClassVar[str] = "class-gate"
    threshold: float = 0.7
    top_pixels: int = 17500
    head: float = 0.5
    force_best: bool = True

    def __post_init__(self):
        if not 0 < self.threshold < 1 or self.top_pixels < 1 or not 0 <= self.head <= 1:
            raise ValueError("threshold must lie in 0..1, head in 0..1, top_pixels be at least 1")

    @classmethod
    def suggest(cls, facts):
        """Where classes are often absent."""
        if not is_clouds(facts) or absent(facts) < 0.3:
            return None
        return f"A class is absent from {absent(facts):.0%} of the images on average; masks of absent ones cost most."

    @hookimpl(wrapper=True)
    def kk_postprocess(self):
        """The masks so far of the classes that are there."""
        from kagglekit_clouds.gates import Gated

        inner = yield
        return Gated(inner, self.threshold, self.top_pixels, self.head, self.force_best)


@dataclass(frozen=True)
class SwathZero:
    """No class where the image is black: labels had the swaths removed, networks do not know it.

    Found by tattaka (brightness of HSV at most 10 after resizing to 350x525).
    """

    name: ClassVar[str] = "swath-zero"

    @classmethod
    def suggest(cls, facts):
        """Where there are swaths."""
        if not is_clouds(facts) or not has_swaths(facts):
            return None
        return "At least 1% of all pixels are black: nothing is labelled in swaths, and masks need not reach into them."

    @hookimpl(wrapper=True)
    def kk_postprocess(self):
        """The masks so far without the swaths."""
        from kagglekit_clouds.swaths import WithoutSwaths

        inner = yield
        return WithoutSwaths(inner)


@dataclass(frozen=True)
class SwathPaint:
    """Paint black swaths on training images, and empty the masks there, with probability `p`.

    A band from edge to edge, slanted as orbits are, `least` to `most` of the image's width wide (69th place, which
    painted boxes).
    """

    name: ClassVar[str] = "swath-paint"
    p: float = 0.3
    least: float = 0.05
    most: float = 0.25

    def __post_init__(self):
        if not 0 <= self.p <= 1 or not 0 < self.least <= self.most < 1:
            raise ValueError("p must lie in 0..1, least and most in 0..1 with least <= most")

    @classmethod
    def suggest(cls, facts):
        """Where there are swaths."""
        if not is_clouds(facts) or not has_swaths(facts):
            return None
        return "At least 1% of all pixels are black: swaths painted at other places teach a network to pass over them."

    @hookimpl(wrapper=True)
    def kk_augment(self):
        """What was done before, then a swath."""
        from kagglekit_clouds.swaths import Painted

        inner = yield
        return Painted(inner, self.p, self.least, self.most)


@dataclass(frozen=True)
class TripletThreshold:
    """A class counts as absent unless `min_area` pixels exceed `top`; where it is present, pixels above `bottom` count.

    Areas are in pixels of 350x525, one for each class. The defaults are those of the 69th place; all are fitted on
    validation: one set for all classes where validation is small, else one for each class. A wrong mask on an image
    without the class costs as much as a missed one, so false alarms decide this contest.
    """

    name: ClassVar[str] = "triplet-threshold"
    top: float = 0.625
    bottom: float = 0.425
    min_area: tuple[int, int, int, int] = (16250, 13750, 10000, 5000)

    def __post_init__(self):
        if not 0 < self.bottom <= self.top < 1 or min(self.min_area) < 0:
            raise ValueError("must hold: 0 < bottom <= top < 1, min_area of 0 or more")

    @classmethod
    def suggest(cls, facts):
        """Where classes are often absent."""
        if not is_clouds(facts) or absent(facts) < 0.3:
            return None
        return (
            f"A class is absent from {absent(facts):.0%} of the images on average: one threshold says whether it is "
            "there, another where."
        )

    @hookimpl(wrapper=True)
    def kk_postprocess(self):
        """Instead of one threshold."""
        from kagglekit_clouds.triplet import Triplet

        yield
        four = len(CLASSES)
        return Triplet((self.top,) * four, (self.bottom,) * four, tuple(self.min_area))
