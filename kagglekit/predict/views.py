"""Views of test-time augmentation: invertible, weighted, blended as probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagglekit.types import View

if TYPE_CHECKING:
    import torch


def identity(weight: float = 1.0) -> View:
    """The picture as it is."""
    return View("identity", weight, _same, _same)


def hflip(weight: float = 1.0) -> View:
    """The picture mirrored left to right."""
    return View("hflip", weight, _mirror, _mirror)


def compose(first: View, second: View) -> View:
    """`first`, then `second`; undone in reverse; weights multiply."""
    names = [view.name for view in (first, second) if view.name != "identity"]
    return View(
        "+".join(names) or "identity",
        first.weight * second.weight,
        lambda x: second.do(first.do(x)),
        lambda x: first.undo(second.undo(x)),
    )


def product(outer: Sequence[View], inner: Sequence[View]) -> tuple[View, ...]:
    """Every view of `outer` after every view of `inner`; equal names are merged, their weights added."""
    merged: dict[str, View] = {}
    for a in inner:
        for b in outer:
            view = compose(a, b)
            seen = merged.get(view.name)
            merged[view.name] = view if seen is None else View(view.name, seen.weight + view.weight, view.do, view.undo)
    return tuple(merged.values())


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _mirror(x: torch.Tensor) -> torch.Tensor:
    return x.flip(-1)
