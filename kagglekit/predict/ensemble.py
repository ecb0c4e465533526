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
        return probs[0]
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
