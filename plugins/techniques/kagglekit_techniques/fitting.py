"""Whether a technique fits a competition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit import RecipeError

if TYPE_CHECKING:
    from kagglekit import Competition, Dataset


def refuse_tiled(dataset: Dataset, name: str) -> None:
    """Raise RecipeError for a data set whose images are looked at through windows."""
    if dataset.tiling is not None:
        raise RecipeError(
            f"techniques.{name}: needs whole images; as large as these they are looked at through windows; "
            f"use --without {name}"
        )


def refuse_masks(competition: Competition, name: str) -> None:
    """Raise RecipeError for a competition whose classes have a mask each."""
    if competition.task != "multiclass":
        raise RecipeError(
            f"techniques.{name}: is for label maps, in which each pixel has one class; {competition.id} is "
            f"{competition.task}; use --without {name}"
        )
