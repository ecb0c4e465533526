"""The weighted sum of losses that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from kagglekit.errors import RecipeError, did_you_mean
from kagglekit.types import Loss, Task

if TYPE_CHECKING:
    import torch

    from kagglekit.recipe import Recipe
    from kagglekit.train.network import Output

KNOWN = ("bce", "ce", "dice", "batch_dice", "jaccard", "lovasz", "focal")


def build(recipe: Recipe, task: Task) -> Loss:
    """`(logits, target) -> scalar`, the sum of weight times loss over the recipe's `loss`, of the masks alone.

    bce: binary cross-entropy (binary, multilabel); ce: cross-entropy (multiclass); dice, jaccard: 1 - soft overlap over
    the flattened batch, smoothing 1; lovasz (Berman et al. 2018), focal (Lin et al. 2017): all as in
    segmentation-models-pytorch. Its dice and jaccard (0.6.0) are 0, without gradient, for a class that the batch does
    not show: alone they teach where a class is, never whether. batch_dice asks that, too: 1 - soft Dice of means over
    the batch, smoothing 1, as the 2nd place of the hair contest trained. Raises RecipeError for unknown names, a loss
    of another task, and an empty sum.
    """
    from kagglekit.train.network import mask_logits

    terms = [(weight, _one(name, task)) for name, weight in recipe.loss.items() if weight > 0]
    if not terms:
        raise RecipeError("recipe: loss: every weight is 0; give one loss a positive weight, for example -o loss.bce=1")

    def loss(output: Output, target: torch.Tensor) -> Any:
        logits = mask_logits(output)
        return sum(weight * term(logits, target) for weight, term in terms)

    return loss


def batch_dice(logits: torch.Tensor, target: torch.Tensor, task: Task) -> torch.Tensor:
    """1 - (2 mean(p t) + 1) / (mean(p) + mean(t) + 1), the mean over the classes; an absent class costs what is found.

    Logits `[B, K, H, W]`; target `[B, K, H, W]`, or class indices `[B, H, W]` of a label map.
    """
    import torch

    if task == "multiclass":
        probs = logits.softmax(1)
        target = torch.nn.functional.one_hot(target.long(), logits.shape[1]).permute(0, 3, 1, 2)
    else:
        probs = logits.sigmoid()
    both, found, there = (part.mean((0, 2, 3)) for part in (probs * target, probs, target.to(probs.dtype)))
    return (1 - (2 * both + 1) / (found + there + 1)).mean()


def _one(name: str, task: Task) -> Loss:
    import segmentation_models_pytorch as smp
    from torch import nn

    if name not in KNOWN:
        raise RecipeError(f"recipe: loss.{name} is not a loss{did_you_mean(name, KNOWN)}")
    if name == "bce":
        if task == "multiclass":
            raise RecipeError("recipe: loss.bce does not fit a label map; use loss.ce")
        return nn.BCEWithLogitsLoss()
    if name == "ce":
        if task != "multiclass":
            raise RecipeError(f"recipe: loss.ce does not fit a {task} task; use loss.bce")
        return nn.CrossEntropyLoss()
    losses = smp.losses
    made: dict[str, Callable[[], Loss]] = {
        "dice": lambda: losses.DiceLoss(task, smooth=1.0),
        "batch_dice": lambda: partial(batch_dice, task=task),
        "jaccard": lambda: losses.JaccardLoss(task, smooth=1.0),
        "lovasz": lambda: losses.LovaszLoss(task),
        "focal": lambda: losses.FocalLoss(task),
    }
    return made[name]()
