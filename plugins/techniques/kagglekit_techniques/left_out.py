"""Losses of parts of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from kagglekit import ModelOutput
from kagglekit.api import Loss, Task


def without_pixels(inner: Loss, output: Any, target: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """`inner` of the pixels that are not `out` (bool `[B, H, W]`), as if they were one image of one row.

    Losses over the pixels of a batch, means as well as Dice and Lovász, do not notice. 0 if no pixel is left.
    """
    logits = getattr(output, "masks", output)
    if not out.any():
        return inner(logits, target)
    kept = ~out
    if not kept.any():
        return logits.sum() * 0
    pixels = logits.movedim(1, -1)[kept].T[None, :, None]  # [1, K, 1, N]
    if target.ndim == 4:
        return inner(pixels, target.movedim(1, -1)[kept].T[None, :, None])
    return inner(pixels, target[kept][None, None])


def smallest(inner: Loss, output: Any, target: torch.Tensor, drop: float) -> torch.Tensor:
    """`inner` of the batch without the part `drop` of its images that have the largest loss, each by itself."""
    count = len(target)
    dropped = int(drop * count + 1e-9)
    if not dropped or not torch.is_grad_enabled():
        return inner(output, target)
    with torch.no_grad():
        losses = [inner(chosen(output, [i]), target[[i]]) for i in range(count)]
    order = torch.stack([loss.float() for loss in losses]).argsort(stable=True)
    kept = sorted(order[: count - dropped].tolist())
    return inner(chosen(output, kept), target[kept])


def chosen(output: Any, images: list[int]) -> Any:
    """What a network said of some of the images of a batch."""
    if not isinstance(output, ModelOutput):
        return output[images]
    classes = None if output.classes is None else output.classes[images]
    deep = tuple(stage[images] for stage in output.deep)
    return replace(output, masks=output.masks[images], classes=classes, deep=deep)


@torch.no_grad()
def contradicted(output: Any, target: torch.Tensor, task: Task, confidence: float, most: float) -> torch.Tensor:
    """bool `[B, H, W]`: pixels whose label is contradicted with more than `confidence`, the surest `most` of all."""
    logits = getattr(output, "masks", output).float()
    if task == "multiclass":
        probs = logits.softmax(1)
        surest, guess = probs.max(1)
        against = torch.where(guess != target, surest, 0.0)
    else:
        probs = logits.sigmoid()
        against = torch.where(target > 0.5, 1 - probs, probs).amax(1)
    out = against > confidence
    limit = int(most * out.numel())
    if int(out.sum()) <= limit:
        return out
    chosen = torch.zeros(out.numel(), dtype=torch.bool, device=out.device)
    chosen[against.flatten().topk(limit).indices] = True
    return chosen.view_as(out)
