"""Test-time augmentation."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import hookimpl


@dataclass(frozen=True)
class FlipTTA:
    """Average the picture with its mirror image, the original weighted `identity` (0 to 1).

    Mirroring distorts least of all views. 0.75 is what the 2nd place of the Korean hair contest computed: the mean of
    the plain prediction and of the plain mean of both views.
    """

    name: ClassVar[str] = "flip-tta"
    identity: float = 0.75

    def __post_init__(self):
        if not 0 <= self.identity <= 1:
            raise ValueError("identity must lie in 0..1")

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far mirrored."""
        views = yield
        from kagglekit.predict.views import hflip, identity, product

        return product((identity(self.identity), hflip(1 - self.identity)), views)
