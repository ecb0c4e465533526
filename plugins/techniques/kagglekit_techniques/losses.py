"""What training minimises."""

from dataclasses import dataclass
from typing import ClassVar

from kagglekit import RecipeError, hookimpl
from kagglekit.api import did_you_mean
from kagglekit_techniques.fitting import refuse_masks

BY_IMAGE = ("class-head", "deep-supervision", "small-loss")  # techniques whose losses look at images, not pixels


def refuse_order(name: str, recipe) -> None:
    """Raise RecipeError where a technique that looks at images comes before one that leaves single pixels out."""
    for earlier in [spec.name for spec in recipe.techniques]:
        if earlier == name:
            return
        if earlier in BY_IMAGE:
            raise RecipeError(
                f"techniques.{name}: leaves out pixels, so it must come before {earlier}, which looks at whole "
                f"images; name it first in a recipe file, or use --without {earlier}"
            )


@dataclass(frozen=True)
class LabelSmoothing:
    """Ask for a little of every class: the loss so far counts `1 - amount`, that of an even guess `amount`.

    With cross-entropy alone this is the usual label smoothing (Szegedy et al. 2016), because it is linear in the
    target; other losses keep their hard target. The speaker's recycling pipeline took 0.05.
    """

    name: ClassVar[str] = "label-smoothing"
    amount: float = 0.05

    def __post_init__(self):
        if not 0 < self.amount < 1:
            raise ValueError("amount must lie between 0 and 1")

    @hookimpl(wrapper=True)
    def kk_loss(self, competition):
        """The loss so far, softened."""
        inner = yield
        task = competition.task

        def loss(output, target):
            from torch.nn.functional import log_softmax, logsigmoid

            logits = getattr(output, "masks", output)
            if task == "multiclass":
                even = -log_softmax(logits, 1).mean()
            else:
                even = -0.5 * (logsigmoid(logits) + logsigmoid(-logits)).mean()
            return (1 - self.amount) * inner(output, target) + self.amount * even

        return loss


@dataclass(frozen=True)
class IgnoreClass:
    """Pixels of the class `label` count nothing, as if images did not have them; the loss so far sees the others.

    For classes that say "somebody could not tell": recycling's UNKNOWN, which the speaker of the seminar left out of
    his loss (ignore_index). All losses of the recipe can do without single pixels, as they are sums over a batch.
    """

    name: ClassVar[str] = "ignore-class"
    label: str = "UNKNOWN"

    @classmethod
    def suggest(cls, facts):
        """Where a class says that somebody could not tell."""
        if cls.label not in facts["classes"]:
            return None
        return f"{cls.label} says that somebody could not tell; left out of the loss, it teaches nothing wrong."

    @hookimpl(wrapper=True)
    def kk_loss(self, recipe, competition):
        """The loss so far of the pixels of other classes."""
        inner = yield
        refuse_masks(competition, self.name)
        refuse_order(self.name, recipe)
        if self.label not in competition.classes:
            raise RecipeError(
                f"techniques.ignore-class.label: {self.label!r} is no class of {competition.id}"
                f"{did_you_mean(self.label, competition.classes)}"
            )
        ignored = competition.classes.index(self.label)
        from kagglekit_techniques.left_out import without_pixels

        return lambda output, target: without_pixels(inner, output, target, target == ignored)


@dataclass(frozen=True)
class SmallLoss:
    """Learn from the images of each batch with the smallest loss; the part `drop` with the largest is left out.

    Networks learn what is common before they learn labels that are wrong, so a large loss makes a label suspicious.
    Co-teaching (Han et al. 2018) lets two networks choose for each other; here one chooses for itself. The hair
    contest's 2nd place dropped 2 images of 32 (as its slides say), or 10%. The number dropped is rounded down.
    Validation counts every image.
    """

    name: ClassVar[str] = "small-loss"
    drop: float = 0.0625

    def __post_init__(self):
        if not 0 < self.drop < 1:
            raise ValueError("drop must lie between 0 and 1")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"drop": FloatDistribution(0.02, 0.3)}

    @classmethod
    def suggest(cls, facts):
        """Where many labels are distrusted."""
        distrusted, labels = facts["findings"]["distrusted"], facts["sampled"]["labels"]
        if facts["pictures"]["tiled"] or distrusted < max(1, 0.02 * labels):
            return None
        return (
            f"Rules distrust {distrusted} of {labels} labels; a loss without the hardest images of each batch "
            "learns less from wrong ones."
        )

    @hookimpl(wrapper=True)
    def kk_loss(self):
        """The loss so far of the images that are kept."""
        inner = yield
        from kagglekit_techniques.left_out import smallest

        return lambda output, target: smallest(inner, output, target, self.drop)


@dataclass(frozen=True)
class ProspectiveFilter:
    """Leave out pixels whose label the network contradicts with a probability above `confidence`.

    Of each batch at most `most` of the pixels, those contradicted most surely: otherwise a network that takes all for
    background would be asked nothing else any more. No published source is known to us for this very form; it is the
    small-loss choice of co-teaching (Han et al. 2018) by pixel, and trusts the network's own prediction as
    bootstrapping does (Reed et al. 2015). Where classes overlap, a pixel is left out if any of its labels is
    contradicted. Validation counts every pixel.
    """

    name: ClassVar[str] = "prospective-filter"
    confidence: float = 0.95
    most: float = 0.05

    def __post_init__(self):
        if not 0.5 <= self.confidence < 1 or not 0 < self.most < 1:
            raise ValueError("confidence must lie in 0.5..1 (1 excluded), most between 0 and 1")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"confidence": FloatDistribution(0.7, 0.99), "most": FloatDistribution(0.01, 0.2)}

    @hookimpl(wrapper=True)
    def kk_loss(self, recipe, competition):
        """The loss so far of the pixels that are kept."""
        inner = yield
        refuse_order(self.name, recipe)
        from kagglekit_techniques.left_out import contradicted, without_pixels

        def loss(output, target):
            import torch

            if not torch.is_grad_enabled():
                return inner(output, target)
            out = contradicted(output, target, competition.task, self.confidence, self.most)
            return without_pixels(inner, output, target, out)

        return loss
