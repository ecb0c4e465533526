"""Test-time augmentation."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import hookimpl


def refuse_share(identity: float) -> None:
    """Raise ValueError for a weight of the untouched picture outside 0..1."""
    if not 0 <= identity <= 1:
        raise ValueError("identity must lie in 0..1")


@dataclass(frozen=True)
class FlipTTA:
    """Average the picture with its mirror images, the original weighted `identity` (0 to 1).

    Mirroring distorts least of all views. 0.75 is what the 2nd place of the Korean hair contest computed: the mean of
    the plain prediction and of the plain mean of both views. `vertical` adds the picture upside down and turned by 180
    degrees, for pictures without an up and down (clouds, cells); the mirror images share what `identity` leaves.
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
        from kagglekit.predict import views

        rest = 1 - self.identity
        if not self.vertical:
            return views.product((views.identity(self.identity), views.hflip(rest)), inner)
        both = views.compose(views.hflip(), views.vflip(rest / 3))
        flips = views.identity(self.identity), views.hflip(rest / 3), views.vflip(rest / 3), both
        return views.product(flips, inner)


@dataclass(frozen=True)
class TurnTTA:
    """Average the picture with itself turned by 90, 180 and 270 degrees, the original weighted `identity` (0 to 1).

    Used by the recycling and glomeruli winners; in the clouds contest, where pictures are wide, turns by 90 degrees
    hurt. `half` turns by 180 degrees alone.
    """

    name: ClassVar[str] = "turn-tta"
    identity: float = 0.25
    half: bool = False

    def __post_init__(self):
        refuse_share(self.identity)

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far turned."""
        inner = yield
        from kagglekit.predict import views

        quarters = (2,) if self.half else (1, 2, 3)
        turns = (views.turn(q, (1 - self.identity) / len(quarters)) for q in quarters)
        return views.product((views.identity(self.identity), *turns), inner)


@dataclass(frozen=True)
class ScaleTTA:
    """Average the picture with itself at other scales, the original weighted `identity` (0 to 1).

    Teams of the recycling contest took 0.75, 1, 1.25 (and 1.5). Sides are rounded to multiples of 32 pixels.
    """

    name: ClassVar[str] = "scale-tta"
    scales: tuple[float, ...] = (0.75, 1.25)
    identity: float = 0.34

    def __post_init__(self):
        refuse_share(self.identity)
        if not self.scales or not all(0.1 <= scale <= 8 and scale != 1 for scale in self.scales):
            raise ValueError("scales must be some of 0.1..8 other than 1, which is there anyway")

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far at other scales."""
        inner = yield
        from kagglekit.predict import views

        others = (views.scale(scale, (1 - self.identity) / len(self.scales)) for scale in self.scales)
        return views.product((views.identity(self.identity), *others), inner)
