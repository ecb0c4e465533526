"""Weights that validation chooses: of views and of members; and members averaged in the space of weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from kagglekit import Ensemble, Member, hookimpl
from kagglekit.api import views

Score = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class FitViews:
    """Choose the weights of the views on validation, instead of setting them.

    Each view in turn is given more or less, until nothing helps or `sweeps` are over. Comes after the views that it
    weighs. The engine keeps the weights only if validation rises, also on images that they were not fitted on.
    """

    name: ClassVar[str] = "fit-views"
    sweeps: int = 2

    def __post_init__(self):
        if not 1 <= self.sweeps <= 20:
            raise ValueError("sweeps must lie in 1..20")

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """The same views, which can be fitted."""
        inner = yield
        return views.Fitted(inner, self.fit)

    def fit(self, start: Sequence[float], score: Score) -> list[float]:
        """Coordinate search over the weights: each is scaled by some factors, then all sum to 1 again."""
        best, top = list(start), score(start)
        for _ in range(self.sweeps if len(start) > 1 else 0):
            before = top
            for i in range(len(best)):
                for factor in (0.0, 0.5, 0.75, 1.33, 2.0, 4.0):
                    tried = [w * factor if j == i else w for j, w in enumerate(best)]
                    if not (total := sum(tried)):
                        continue
                    tried = [w / total for w in tried]
                    if (found := score(tried)) > top:
                        best, top = tried, found
            if top == before:
                break
        return best


@dataclass(frozen=True)
class GreedyEnsemble:
    """Choose members one by one, with repetition, each the one that helps validation most (Caruana et al. 2004).

    From all epochs of a run, or the last `last`; in `rounds` rounds. Every candidate predicts validation once, which is
    what this costs; the test part is predicted by those that were chosen.
    """

    name: ClassVar[str] = "greedy-ensemble"
    last: int = 0
    rounds: int = 10

    def __post_init__(self):
        if self.last < 0 or not 1 <= self.rounds <= 100:
            raise ValueError("last must be at least 0 (0: all epochs), rounds lie in 1..100")

    @hookimpl(wrapper=True)
    def kk_ensemble(self):
        """Other members, combined as before."""
        inner = yield
        return Greedy(inner, self.last, self.rounds)


@dataclass(frozen=True)
class Greedy:
    """Offers epochs as candidates and weighs them by forward selection."""

    inner: Ensemble
    last: int
    rounds: int

    def choose(self, members: Sequence[Member], greater_is_better: bool = True) -> list[tuple[Member, float]]:
        """All candidates with equal weights."""
        chosen = members[-self.last :]
        return [(member, 1 / len(chosen)) for member in chosen]

    def combine(self, probs, weights):
        """As before."""
        return self.inner.combine(probs, weights)

    def fit(self, start: Sequence[float], score: Score) -> list[float]:
        """How often each candidate was chosen, as a share; the best round counts."""
        from kagglekit.api import forward_selection

        return forward_selection(start, score, self.rounds)


@dataclass(frozen=True)
class WeightAverage:
    """Average the weights of the members, not their predictions: one network, one prediction (SWA, Izmailov 2018).

    Wraps the choice of members before it, so it comes after epoch-ensemble, or takes the last `last` epochs itself. The
    statistics of batch normalisation are made anew on training images. 1st place of the clouds contest averaged five.
    """

    name: ClassVar[str] = "weight-average"
    last: int = 3

    def __post_init__(self):
        if self.last < 1:
            raise ValueError("last must be at least 1")

    @hookimpl(wrapper=True)
    def kk_ensemble(self):
        """The same members, merged."""
        inner = yield
        return Merging(inner, self.last)


@dataclass(frozen=True)
class Merging:
    """Tells the engine to merge the members into one network."""

    inner: Ensemble
    last: int
    merges: ClassVar[bool] = True

    def choose(self, members: Sequence[Member], greater_is_better: bool = True) -> Sequence[tuple[Member, float]]:
        """Those that were chosen before, if they are several, else the last epochs."""
        chosen = list(self.inner.choose(members, greater_is_better))
        if len(chosen) > 1:
            return chosen
        some = members[-self.last :]
        return [(member, 1 / len(some)) for member in some]

    def combine(self, probs, weights):
        """There is one member."""
        return self.inner.combine(probs, weights)
