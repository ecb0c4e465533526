"""Ensembles of checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kagglekit import Ensemble, Member, RecipeError, hookimpl


@dataclass(frozen=True)
class EpochEnsemble:
    """Average the probabilities of several epochs of one run: the last `last`, or, if positive, the `best`.

    An ensemble that costs no further training, found to gain most together with flips in the Korean hair contest, where
    limits on training time ruled out several models.
    """

    name: ClassVar[str] = "epoch-ensemble"
    last: int = 3
    best: int = 0

    def __post_init__(self):
        if self.last < 1 or self.best < 0:
            raise ValueError("last must be at least 1, best at least 0 (0: the last epochs, not the best)")

    @hookimpl(wrapper=True)
    def kk_ensemble(self):
        """The same way to combine, other members."""
        inner = yield
        return SeveralEpochs(inner, self.last, self.best)


@dataclass(frozen=True)
class SeveralEpochs:
    """Chooses epochs; how they combine is left to `inner`."""

    inner: Ensemble
    last: int
    best: int

    def choose(self, members: Sequence[Member], greater_is_better: bool = True) -> list[tuple[Member, float]]:
        """Equal weights for the chosen epochs; fewer epochs than asked for are all taken only if the run is shorter."""
        wanted = self.best or self.last
        if self.best and any(m.score is None for m in members):
            raise RecipeError("techniques.epoch-ensemble.best: the run has no validation score to choose by; use last")
        if self.best:
            sign = -1 if greater_is_better else 1
            members = sorted(sorted(members, key=lambda m: (sign * m.score, -m.epoch))[:wanted], key=lambda m: m.epoch)
        chosen = members[-wanted:]
        return [(member, 1 / len(chosen)) for member in chosen]

    def combine(self, probs, weights):
        """As before."""
        return self.inner.combine(probs, weights)


@dataclass(frozen=True)
class Vote:
    """Members vote for the class of each pixel, instead of averaging their probabilities (hard vote, not soft mean).

    Ties go to the class that the members before others voted for: earlier members come first, or, with `last_first`,
    the later ones. 1st place of the recycling contest's second edition voted so, with the priority of its best model.
    """

    name: ClassVar[str] = "vote"
    last_first: bool = True

    @hookimpl(wrapper=True)
    def kk_ensemble(self, recipe):
        """The same members, combined by their votes."""
        inner = yield
        return Voting(inner, self.last_first)


@dataclass(frozen=True)
class Voting:
    """Combines by votes; the choice of members is left to `inner`."""

    inner: Ensemble
    last_first: bool

    def choose(self, members: Sequence[Member], greater_is_better: bool = True) -> Sequence[tuple[Member, float]]:
        """As before."""
        return self.inner.choose(members, greater_is_better)

    def combine(self, probs, weights):
        """Shares of the votes, `[M, ..., K, H, W]` -> `[..., K, H, W]`; one mask per class votes for or against it."""
        from kagglekit.api import vote

        return vote(probs, weights, self.last_first)
