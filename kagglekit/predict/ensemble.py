"""Which checkpoints predict together, and how their probabilities become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.errors import RecipeError
from kagglekit.types import Member

if TYPE_CHECKING:
    import numpy as np


def weighted_mean(probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[M, ...]` probabilities and `[M]` weights -> `[...]`; one member is itself, bit for bit."""
    import numpy as np

    if len(probs) == 1:
        only: np.ndarray = probs[0]
        return only
    return np.tensordot(weights.astype(np.float32), probs, 1)


@dataclass(frozen=True)
class LastEpochs:
    """The last `count` checkpoints with equal weights."""

    count: int = 1

    def choose(self, members: Sequence[Member], greater_is_better: bool = True) -> list[tuple[Member, float]]:
        """Raises RecipeError when there are fewer checkpoints than asked for."""
        if len(members) < self.count:
            raise RecipeError(
                f"ensemble: the last {self.count} epochs are asked for, the run has {len(members)}; "
                "train longer (-o fidelity.epochs=...) or ask for fewer"
            )
        return equal(members[-self.count :])

    def combine(self, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Mean of the probabilities."""
        return weighted_mean(probs, weights)


def equal(members: Sequence[Member]) -> list[tuple[Member, float]]:
    """The members with equal weights."""
    return [(member, 1 / len(members)) for member in members]


def vote(probs: np.ndarray, weights: np.ndarray, last_first: bool = False) -> np.ndarray:
    """Shares of the votes, `[M, ..., K, H, W]` -> `[..., K, H, W]`; one mask per class votes for or against it.

    Ties go to what earlier members voted for, or the later ones with `last_first`. One member is itself.
    """
    import numpy as np

    if len(probs) == 1:
        only: np.ndarray = probs[0]
        return only
    classes = probs.shape[-3]
    order = range(len(probs))[::-1] if last_first else range(len(probs))
    votes: np.ndarray = np.zeros_like(probs[0])
    for rank, member in enumerate(order):
        # Half of what separates two counts, halved for each next member: enough to break ties, never to win.
        weight = weights[member] + (1e-3 * min(weights) * 0.5**rank if rank < len(probs) - 1 else 0)
        if classes == 1:
            votes += weight * (probs[member] > 0.5)
            continue
        chosen = probs[member].argmax(-3)
        votes += weight * (chosen[..., None, :, :] == np.arange(classes)[:, None, None])
    return votes
