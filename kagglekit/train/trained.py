"""What a training leaves: its checkpoints, its epochs, and what live objects said of the recipe's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from kagglekit.types import Member


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of a history: `seconds` it took, the last learning rate, losses, the validation score.

    `fold` is stated where several networks trained; `epoch` counts from 0. What was not measured is None.
    """

    fold: int | None = None
    epoch: int
    seconds: float | None = None
    lr: float | None = None
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_score: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Column -> value; without `fold` where one network trained."""
        row = msgspec.structs.asdict(self)
        return {name: row[name] for name in row if name != "fold" or self.fold is not None}


@dataclass(frozen=True)
class Trained:
    """Checkpoints in order, the history, and the weights that training began with, in words.

    `observed` is what live objects said of the recipe's settings while training, by setting.
    """

    members: tuple[Member, ...]
    history: tuple[Epoch, ...]
    weights: str
    observed: Mapping[str, float] = field(default_factory=dict)
