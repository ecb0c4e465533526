"""Networks with more to say than one mask: a head for whole classes, and masks from deeper in the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from kagglekit import hookimpl


@dataclass(frozen=True)
class ClassHead:
    """A second head says *whether* a class is there, while the masks say *where*.

    It looks at the deepest features, averaged, at their maximum, or averaged with the weight of the predicted masks
    (1st place of the clouds contest). Its loss, binary cross-entropy, counts `weight`. `where_only` keeps the masks of
    classes that are absent out of the mask loss, so that they need not learn *whether*. What it says arrives in
    `Prediction.classes`, for post-processing to use.
    """

    name: ClassVar[str] = "class-head"
    weight: float = 0.1
    pooling: Literal["mean", "max", "mask"] = "mean"
    dropout: float = 0.2
    where_only: bool = False

    def __post_init__(self):
        if not 0 < self.weight <= 100 or not 0 <= self.dropout < 1:
            raise ValueError("weight must lie above 0 (and up to 100), dropout in 0..1 (1 excluded)")

    @classmethod
    def suggest(cls, facts):
        """Where classes are often absent."""
        from kagglekit_techniques.reasons import absent, percent

        part = absent(facts)
        if part < 0.4 or facts["task"] == "multiclass":
            return None
        return (
            f"A class is absent from {percent(part)} of the images on average: a head of its own can learn "
            "whether it is there, and the masks where."
        )

    @hookimpl(wrapper=True)
    def kk_model(self, competition):
        """The same network with a head on its encoder."""
        inner = yield
        from kagglekit_techniques.networks import with_class_head

        return with_class_head(inner, len(competition.classes), self.pooling, self.dropout)

    @hookimpl(wrapper=True)
    def kk_loss(self):
        """The loss so far, and that of the head."""
        inner = yield

        def loss(output, target):
            from dataclasses import replace

            from torch.nn.functional import binary_cross_entropy_with_logits

            from kagglekit_techniques.networks import presence

            if getattr(output, "classes", None) is None:  # the masks of a deeper stage alone
                return inner(output, target)
            there = presence(target, output.classes.shape[1])
            masks = output.masks * there[..., None, None] if self.where_only else output.masks
            said = binary_cross_entropy_with_logits(output.classes, there)
            return inner(replace(output, masks=masks), target) + self.weight * said

        return loss


@dataclass(frozen=True)
class DeepSupervision:
    """Every stage of the decoder predicts masks too, and learns from them; at inference only the last one counts.

    The losses of the stages, on images that are not empty, are added with `weight` (1st place of the glomeruli
    contest: 0.1). For decoders that are a list of stages (unet, manet).
    """

    name: ClassVar[str] = "deep-supervision"
    weight: float = 0.1

    def __post_init__(self):
        if not 0 < self.weight <= 100:
            raise ValueError("weight must lie above 0 (and up to 100)")

    @hookimpl(wrapper=True)
    def kk_model(self, competition):
        """The same network with a head on each stage of its decoder."""
        inner = yield
        from kagglekit_techniques.networks import with_deep_heads

        return with_deep_heads(inner, len(competition.classes))

    @hookimpl(wrapper=True)
    def kk_loss(self):
        """The loss so far, and that of every stage."""
        inner = yield

        def loss(output, target):
            from torch.nn.functional import interpolate

            total = inner(output, target)
            shown = target.flatten(1).amax(1) > 0
            if not shown.any():
                return total
            for logits in output.deep:
                enlarged = interpolate(logits[shown], target.shape[-2:], mode="bilinear")
                total = total + self.weight * inner(enlarged, target[shown])
            return total

        return loss
