"""A view of an image in enlarged parts that cover it."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from kagglekit import View
from kagglekit.api import window_starts


def parts(zoom: float, overlap: float, weight: float) -> View:
    """Crops of 1/`zoom` of the sides, enlarged to the size of the image: `[B, C, H, W]` -> `[n * B, C, H, W]`.

    To undo it, crops are shrunk to their size again and put in their places. It needs no memory of the image: crops
    have its size, or one in proportion, if another view has scaled them.
    """

    def places(height: int, width: int) -> tuple[list[tuple[int, int]], int, int]:
        crop = [max(1, round(side / zoom)) for side in (height, width)]
        tops, lefts = (
            window_starts(side, part, round(part * (1 - overlap)))
            for side, part in zip((height, width), crop, strict=True)
        )
        return [(top, left) for top in tops for left in lefts], *crop

    def do(x: torch.Tensor) -> torch.Tensor:
        corners, height, width = places(*x.shape[-2:])
        crops = [x[..., top : top + height, left : left + width] for top, left in corners]
        return interpolate(torch.cat(crops), x.shape[-2:], mode="bilinear")

    def undo(x: torch.Tensor) -> torch.Tensor:
        corners, height, width = places(*x.shape[-2:])
        crops = interpolate(x, (height, width), mode="bilinear", antialias=True).unflatten(0, (len(corners), -1))
        weights = torch.outer(ramp(height), ramp(width)).to(x)
        total, shown = torch.zeros_like(x[: len(x) // len(corners)]), x.new_zeros(x.shape[-2:])
        for (top, left), crop in zip(corners, crops, strict=True):
            window = ..., slice(top, top + height), slice(left, left + width)
            total[window] += weights * crop
            shown[window] += weights
        return total / shown

    return View(f"crops{zoom:g}", weight, do, undo)


def ramp(length: int) -> torch.Tensor:
    """float32 `[length]` that rises from above 0 to the middle and falls again."""
    steps = torch.arange(1, length + 1, dtype=torch.float32)
    return torch.minimum(steps, length + 1 - steps)
