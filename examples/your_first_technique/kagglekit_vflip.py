"""Test-time augmentation by vertical flips, for images that have no up and down (clouds, cells)."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import View, hookimpl


def flip(x):
    """Top and bottom exchanged; its own inverse."""
    return x.flip(-2)


@dataclass(frozen=True)
class VFlipTTA:
    """Average the image with its upside-down image, the original weighted `identity`."""

    name: ClassVar[str] = "vflip-tta"
    identity: float = 0.5

    def __post_init__(self):
        if not 0 <= self.identity <= 1:
            raise ValueError("identity must lie in 0..1")

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """Every view so far, and every view so far upside down."""
        inner = yield
        from kagglekit.api import views

        return views.product((views.identity(self.identity), View("vflip", 1 - self.identity, flip, flip)), inner)


@hookimpl
def kk_techniques():
    """The one technique of this plugin."""
    return [VFlipTTA]
