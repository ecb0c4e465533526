"""Techniques that serve more than one competition; each is a frozen dataclass that wraps the stages it changes."""

from kagglekit import hookimpl
from kagglekit_techniques.ensembles import EpochEnsemble
from kagglekit_techniques.tta import FlipTTA


@hookimpl
def kk_techniques():
    """All of them."""
    return [EpochEnsemble, FlipTTA]
