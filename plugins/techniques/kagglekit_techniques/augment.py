"""How training images are distorted: settings; what they do is in the modules that the hooks import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kagglekit import RecipeError, hookimpl
from kagglekit.api import did_you_mean
from kagglekit_techniques.fitting import refuse_tiled

if TYPE_CHECKING:
    from kagglekit import Competition


def refuse_chance(p: float) -> None:
    """Raise ValueError for a probability outside 0..1."""
    if not 0 <= p <= 1:
        raise ValueError("p must lie in 0..1")


@dataclass(frozen=True)
class SelfMix:
    """Copy one box of a training image, with its mask, to another place of the same image.

    Both sides are `least` to `most` of the image's, both centres lie anywhere in 0.1..0.9 of it; if one of the boxes
    leaves the image, nothing happens. Labels of one region only never show a network that there may be two; such
    images do. After the 2nd place of the Korean hair contest (p 0.1, sides 0.1 to 0.4), which drew one box for a
    whole batch; here every image draws its own, with probability `p`.
    """

    name: ClassVar[str] = "self-mix"
    p: float = 0.1
    least: float = 0.1
    most: float = 0.4

    def __post_init__(self):
        refuse_chance(self.p)
        if not 0 < self.least <= self.most < 1:
            raise ValueError("least and most must lie in 0..1, least not above most")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"p": FloatDistribution(0.0, 0.5)}

    @hookimpl(wrapper=True)
    def kk_augment(self):
        """What was done before, then the copy."""
        inner = yield
        from kagglekit_techniques.distortions import SelfMixed

        return SelfMixed(inner, self.p, self.least, self.most)


@dataclass(frozen=True)
class Coloring:
    """Dye what the mask shows: pixels under it are multiplied by 1 + g, with a g of 0 to `most` for green and for blue.

    Red stays. Images have 8 bits, so what gets brighter than 255 is cut off there. Dyed hair is rare among the
    images and common among people: 2nd place of the Korean hair contest, p 0.1 (there per batch, here per image).
    """

    name: ClassVar[str] = "coloring"
    p: float = 0.1
    most: float = 1.0

    def __post_init__(self):
        refuse_chance(self.p)
        if not 0 < self.most <= 10:
            raise ValueError("most must lie above 0 (and up to 10)")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"p": FloatDistribution(0.0, 0.5)}

    @hookimpl(wrapper=True)
    def kk_augment(self, dataset):
        """What was done before, then the dye."""
        inner = yield
        if (dataset.channels, dataset.depth) != (3, "uint8"):
            raise RecipeError(
                f"techniques.coloring: dyes images with red, green and blue of 8 bits, these have {dataset.channels} "
                f"channel(s) of {dataset.depth}; use --without coloring"
            )
        from kagglekit_techniques.distortions import Colored

        return Colored(inner, self.p, self.most)


@dataclass(frozen=True)
class ObjectPaste:
    """Paste objects of other training images into an image, with probability `p`.

    A bank of at most `bank` objects (256 MB) is cut once per run out of the images that are learnt from, so nothing
    of the validation images gets in: connected parts of the masks of `classes` (default: those that no more images
    show than the median class) that cover at least `min_area` of their image. A class is drawn, then one of its
    objects. It is mirrored, turned by up to `rotate` degrees, and scaled: to an area of `area` of the image, as far
    as a factor within `scale` allows, so that large objects shrink and small ones grow. It is pasted where it is the
    object, as its mask says, so that black pixels of objects stay. A place, of five that are tried, must not touch the
    classes `avoid`, nor hide more than `max_overlap` of what the image shows of any class. Later distortions apply.

    Found by several teams of the Korean recycling contest: 1st place of the first edition (p 0.15 kept, 0.5 let
    training collapse late; large objects x 0.3 to 0.65, small ones x 1.5 to 2), others in the second. One of them found
    that objects on a "Plastic bag", which shows what is in it, contradict other labels: avoid=("Plastic bag",). The
    winner left UNKNOWN out, which the default may take for rare: name `classes` where there is such a class.
    """

    name: ClassVar[str] = "object-paste"
    p: float = 0.15
    classes: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    max_overlap: float = 0.3
    scale: tuple[float, float] = (0.3, 2.0)
    area: tuple[float, float] = (0.01, 0.15)
    rotate: float = 30.0
    min_area: float = 0.002
    bank: int = 400

    def __post_init__(self):
        refuse_chance(self.p)
        if not 0 <= self.max_overlap <= 1 or not 0 < self.min_area < 0.5:
            raise ValueError("max_overlap must lie in 0..1, min_area in 0..0.5")
        if not 0 < self.scale[0] <= self.scale[1] <= 10 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError("scale must be two rising factors up to 10, area two rising parts of an image")
        if not 0 <= self.rotate <= 180 or not 1 <= self.bank <= 100_000:
            raise ValueError("rotate must lie in 0..180 degrees, bank in 1..100000")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"p": FloatDistribution(0.05, 0.7), "max_overlap": FloatDistribution(0.0, 0.6)}

    @classmethod
    def suggest(cls, facts):
        """Where some classes are rare, and objects leave room."""
        from kagglekit_techniques.reasons import named, rare

        names = rare(facts)
        if facts["pictures"]["tiled"] or not names:
            return None
        return f"Few images show {named(names)}; pasted into other images, their objects are seen more often."

    @hookimpl(wrapper=True)
    def kk_augment(self, dataset, samples, recipe, competition, store):
        """The pasted objects, then what was done before."""
        inner = yield
        refuse_tiled(dataset, self.name)
        from kagglekit_techniques.objects import Bank, Pasted
        from kagglekit_techniques.shown import rare_classes

        wanted = self._indices("classes", competition) or rare_classes(samples, store)
        bank = Bank.build(store, samples, wanted, self.min_area, self.bank, recipe.seed)
        if not bank.objects:
            names = ", ".join(competition.classes[k] for k in wanted)
            raise RecipeError(
                f"techniques.object-paste: the training images show no object of {names} that covers {self.min_area} "
                "of an image; name other classes, lower min_area, or use --without object-paste"
            )
        avoid = tuple(self._indices("avoid", competition))
        return Pasted(
            inner, self.p, bank, competition.task, avoid, self.max_overlap, self.scale, self.area, self.rotate
        )

    def _indices(self, setting: str, competition: Competition) -> list[int]:
        known = competition.classes[1 if competition.task == "multiclass" else 0 :]
        for name in getattr(self, setting):
            if name not in known:
                raise RecipeError(
                    f"techniques.object-paste.{setting}: {name!r} is no class of {competition.id} that could be an "
                    f"object{did_you_mean(name, known)}"
                )
        return [competition.classes.index(name) for name in getattr(self, setting)]


@dataclass(frozen=True)
class LightAugment:
    """Mirror, and change a little of place and light, instead of the distortions of the competition.

    For large data sets and short trainings, and to see what heavier ones are worth. `vertical` also turns images
    upside down. Images of other than 8 bits keep their light, those of one channel their colour.
    """

    name: ClassVar[str] = "light-augment"
    vertical: bool = False

    @hookimpl(wrapper=True)
    def kk_augment(self, dataset):
        """Instead of what was there before, whatever that was."""
        yield
        from kagglekit_techniques.distortions import light

        return light(self.vertical, dataset.depth)


@dataclass(frozen=True)
class HeavyAugment:
    """Distort place, shape, light, colour and sharpness strongly, instead of the distortions of the competition.

    Flips, shift, scale and turn; a grid, a lens or elastic; colour and light; noise or blur; holes (DeVries and Taylor
    2017). The parts are those that teams of the four contests took, together; `strength` multiplies their ranges.
    `vertical` also turns images upside down. Images of other than 8 bits are only distorted in place and shape.
    """

    name: ClassVar[str] = "heavy-augment"
    strength: float = 1.0
    vertical: bool = False

    def __post_init__(self):
        if not 0 < self.strength <= 2:
            raise ValueError("strength must lie above 0 (and up to 2)")

    @classmethod
    def space(cls):
        """What is worth searching."""
        from optuna.distributions import FloatDistribution

        return {"strength": FloatDistribution(0.3, 1.5)}

    @classmethod
    def suggest(cls, facts):
        """Where test images look different."""
        from kagglekit_techniques.reasons import differing, named

        how = differing(facts) - {"megapixels", "aspect"}
        if facts["drift"]["verdict"] not in ("some", "strong") or not how:
            return None
        return (
            f"Test images differ from training images in {named(sorted(how))}; a network that saw stronger "
            "distortions of light, colour and sharpness minds that less."
        )

    @hookimpl(wrapper=True)
    def kk_augment(self, dataset):
        """Instead of what was there before, whatever that was."""
        yield
        from kagglekit_techniques.distortions import heavy

        return heavy(self.strength, self.vertical, dataset.channels, dataset.depth)
