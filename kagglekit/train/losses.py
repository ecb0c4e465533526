"""The weighted sum of losses that a recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.errors import RecipeError, did_you_mean
from kagglekit.types import Loss, Task

if TYPE_CHECKING:
    from kagglekit.recipe import Recipe

KNOWN = ("bce", "ce", "dice", "jaccard", "lovasz", "focal")


def build(recipe: Recipe, task: Task) -> Loss:
    """`(logits, target) -> scalar`, the sum of weight times loss over the recipe's `loss`, of the masks alone.

    bce: binary cross-entropy (binary, multilabel); ce: cross-entropy (multiclass); dice: 1 - soft Dice over the
    flattened batch, smoothing 1 (library form); jaccard, lovasz (Berman et al. 2018), focal (Lin et al. 2017): as in
    segmentation-models-pytorch. Raises RecipeError for unknown names, a loss of another task, and an empty sum.
    """
    from kagglekit.train.network import mask_logits

    terms = [(weight, _one(name, task)) for name, weight in recipe.loss.items() if weight > 0]
    if not terms:
        raise RecipeError("recipe: loss: every weight is 0; give one loss a positive weight, for example -o loss.bce=1")

    def loss(output, target):
        logits = mask_logits(output)
        return sum(weight * term(logits, target) for weight, term in terms)

    return loss


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
    return {
        "dice": lambda: losses.DiceLoss(task, smooth=1.0),
        "jaccard": lambda: losses.JaccardLoss(task, smooth=1.0),
        "lovasz": lambda: losses.LovaszLoss(task),
        "focal": lambda: losses.FocalLoss(task),
    }[name]()
