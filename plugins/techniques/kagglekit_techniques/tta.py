"""Test-time augmentation."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import hookimpl


def refuse_share(identity: float) -> None:
    """Raise ValueError for a weight of the untouched image outside 0..1."""
    if not 0 <= identity <= 1:
        raise ValueError("identity must lie in 0..1")


@dataclass(frozen=True)
class FlipTTA:
    """Average the image with its mirror images, the original weighted `identity` (0 to 1).

    Mirroring distorts least of all views. 0.75 is what the 2nd place of the Korean hair contest computed: the mean of
    the plain prediction and of the plain mean of both views. `vertical` adds the image upside down and turned by 180
    degrees, for images without an up and down (clouds, cells); the mirror images share what `identity` leaves.
    """

    name: ClassVar[str] = "flip-tta"
    identity: float = 0.75
    vertical: bool = False

    def __post_init__(self):
        refuse_share(self.identity)

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far mirrored."""
        inner = yield
        from kagglekit.api import views

        rest = 1 - self.identity
        if not self.vertical:
            return views.product((views.identity(self.identity), views.hflip(rest)), inner)
        both = views.compose(views.hflip(), views.vflip(rest / 3))
        flips = views.identity(self.identity), views.hflip(rest / 3), views.vflip(rest / 3), both
        return views.product(flips, inner)


@dataclass(frozen=True)
class TurnTTA:
    """Average the image with itself turned by 90, 180 and 270 degrees, the original weighted `identity` (0 to 1).

    Used by the recycling and glomeruli winners; in the clouds contest, where images are wide, turns by 90 degrees
    hurt. `half` turns by 180 degrees alone.
    """

    name: ClassVar[str] = "turn-tta"
    identity: float = 0.25
    half: bool = False

    def __post_init__(self):
        refuse_share(self.identity)

    @classmethod
    def suggest(cls, facts):
        """Where images have no up and down."""
        import numpy as np

        if facts["pictures"]["tiled"]:
            return "Slides have no up and down: turned views of a window are as good as the first."
        maps = [np.array(one) for one in facts["places"] if len(one)]
        if not maps or facts["sampled"]["labels"] < 100:
            return None
        uneven = max(float(np.abs(one - np.rot90(one, k)).mean() / one.mean()) for one in maps for k in (1, 2))
        if uneven > 0.25:
            return None
        return "Labels lie alike whichever way the images are turned, so turned views may be as good as the first."

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far turned."""
        inner = yield
        from kagglekit.api import views

        quarters = (2,) if self.half else (1, 2, 3)
        turns = (views.turn(q, (1 - self.identity) / len(quarters)) for q in quarters)
        return views.product((views.identity(self.identity), *turns), inner)


@dataclass(frozen=True)
class ScaleTTA:
    """Average the image with itself at other scales, the original weighted `identity` (0 to 1).

    Teams of the recycling contest took 0.75, 1, 1.25 (and 1.5). Sides are rounded to multiples of 32 pixels.
    """

    name: ClassVar[str] = "scale-tta"
    scales: tuple[float, ...] = (0.75, 1.25)
    identity: float = 0.34

    def __post_init__(self):
        refuse_share(self.identity)
        if not self.scales or not all(0.1 <= scale <= 8 and scale != 1 for scale in self.scales):
            raise ValueError("scales must be some of 0.1..8 other than 1, which is there anyway")

    @classmethod
    def suggest(cls, facts):
        """Where objects have very different sizes."""
        from kagglekit_techniques.reasons import named, usual

        wide = [one["name"] for one in usual(facts) if one["area"]["p95"] > 20 * one["area"]["p5"]]
        if not wide:
            return None
        return f"Labels of {named(wide)} differ more than twentyfold in area; other scales show each at a usual size."

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far at other scales."""
        inner = yield
        from kagglekit.api import views

        others = (views.scale(scale, (1 - self.identity) / len(self.scales)) for scale in self.scales)
        return views.product((views.identity(self.identity), *others), inner)


@dataclass(frozen=True)
class CropTTA:
    """Average the image with enlarged parts of itself, in which small objects are large; it weighs `identity` itself.

    Crops of 1/`zoom` of both sides cover the image, neighbours sharing `overlap` of a crop or more; each is enlarged
    to the size of the image. One view holds them all: its probabilities are stitched before they are blended, every
    pixel a weighted mean of the crops that show it, which count less towards their edges. So what a crop does not show
    is not taken for background. After slicing-aided inference (SAHI, Akyon et al. 2022). With the default the network
    looks at ten times as many images.
    """

    name: ClassVar[str] = "crop-tta"
    zoom: float = 2.0
    overlap: float = 0.25
    identity: float = 0.5

    def __post_init__(self):
        refuse_share(self.identity)
        if not 1 < self.zoom <= 8 or not 0 <= self.overlap <= 0.9:
            raise ValueError("zoom must lie above 1 and up to 8, overlap in 0..0.9")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"identity": FloatDistribution(0.2, 1.0), "zoom": FloatDistribution(1.25, 3.0)}

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far in parts."""
        inner = yield
        from kagglekit.api import views
        from kagglekit_techniques.crops import parts

        return views.product((views.identity(self.identity), parts(self.zoom, self.overlap, 1 - self.identity)), inner)
