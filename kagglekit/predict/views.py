"""Views of test-time augmentation: invertible, weighted, blended as probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kagglekit.types import View

if TYPE_CHECKING:
    import torch


class Fitted(tuple[View, ...]):
    """Views whose weights the engine fits on validation; `fit` as in `predict.fitting`."""

    fit: Callable[..., Sequence[float]]

    def __new__(cls, views: Sequence[View], fit: Callable[..., Sequence[float]]) -> Fitted:
        """The views with a way to fit their weights."""
        found = super().__new__(cls, views)
        found.fit = fit
        return found


def identity(weight: float = 1.0) -> View:
    """The image as it is."""
    return View("identity", weight, _same, _same)


def hflip(weight: float = 1.0) -> View:
    """The image mirrored left to right."""
    return View("hflip", weight, _mirror, _mirror)


def vflip(weight: float = 1.0) -> View:
    """The image upside down."""
    return View("vflip", weight, _upside_down, _upside_down)


def turn(quarters: int, weight: float = 1.0) -> View:
    """The image turned counterclockwise by quarters of a circle."""
    name = f"turn{90 * (quarters % 4)}"
    return View(name, weight, lambda x: x.rot90(quarters, (-2, -1)), lambda x: x.rot90(-quarters, (-2, -1)))


def scale(factor: float, weight: float = 1.0) -> View:
    """The image enlarged, sides to multiples of 32; whoever asks brings the probabilities back to its size."""
    from kagglekit.data.resize import STRIDE

    def enlarge(x: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import interpolate

        size = [max(STRIDE, round(side * factor / STRIDE) * STRIDE) for side in x.shape[-2:]]
        return interpolate(x, size, mode="bilinear", antialias=factor < 1)

    return View(f"scale{factor:g}", weight, enlarge, _same)


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
            same = merged.get(view.name)
            merged[view.name] = view if same is None else View(view.name, same.weight + view.weight, view.do, view.undo)
    return tuple(merged.values())


def reweighted(views: Sequence[View], weights: Mapping[str, float]) -> tuple[View, ...]:
    """The views that have a weight above 0 in `weights`, with that weight."""
    return tuple(replace(view, weight=weights[view.name]) for view in views if weights.get(view.name, 0) > 0)


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _upside_down(x: torch.Tensor) -> torch.Tensor:
    return x.flip(-2)


def _mirror(x: torch.Tensor) -> torch.Tensor:
    return x.flip(-1)
