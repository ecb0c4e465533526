"""A dense CRF between the network and the mask."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

from kagglekit import Metric, PluginError, Postprocess, Prediction, RecipeError, hookimpl

if TYPE_CHECKING:
    import numpy as np

REMEMBERED = 2**30  # bytes of refined probabilities that are kept while their predictions live


@dataclass(frozen=True)
class DenseCRF:
    """Move the borders of masks to the edges of the image, before post-processing (Krähenbühl and Koltun, 2011).

    Every pixel talks to every other: pixels near each other (`gaussian_sxy` pixels, weight `gaussian_compat`) should
    have one label, and so should pixels less near but of similar colour (`bilateral_sxy` pixels, `bilateral_srgb`
    levels of 0..255 in every channel, weight `bilateral_compat`). A compat of 0 leaves a kernel out. Distances are
    pixels of what the network saw; its results, and their normalisation, are those of pydensecrf (see `mean_field`).
    `truncate` is where the Gaussians end, in standard deviations, in images small enough to be summed pair by pair;
    `tolerance` the change of a class (root mean square) that is too small to be told to others, 0 to tell everything;
    at its default the labels of natural images agree with pydensecrf's to an IoU above 0.99.

    Reported in the Korean recycling contest (gaussian sxy/compat, bilateral sxy/srgb/compat, iterations):
    3/3, 49/5/4, 50 by the winner of the first edition, more iterations being slightly better; 3/10, 10/5/10, 10;
    1/3, 67/3/4, 50 on labels. One team found 0.02 to 0.03 mIoU on every model, another a gain on weak models only: it
    is worth an ablation.
    """

    name: ClassVar[str] = "dense-crf"
    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 49.0
    bilateral_srgb: float = 5.0
    bilateral_compat: float = 4.0
    iterations: int = 10
    truncate: float = 4.0
    tolerance: float = 1e-2

    def __post_init__(self):
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "truncate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("gaussian_compat", "bilateral_compat", "tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative")
        if not self.gaussian_compat and not self.bilateral_compat:
            raise ValueError("gaussian_compat and bilateral_compat are both 0, which refines nothing")
        if self.iterations < 1:
            raise ValueError("iterations must be at least 1")

    def check(self, dataset, competition):
        """Refuses images that are looked at through windows."""
        if dataset.tiling is not None:
            raise RecipeError(
                "techniques.dense-crf: images as large as these are looked at through windows and are not kept "
                "beside their probabilities; use --without dense-crf"
            )

    @hookimpl(wrapper=True)
    def kk_postprocess(self, competition):
        """The same post-processing of refined probabilities."""
        inner = yield
        kind = FittedRefined if hasattr(inner, "fit") else Refined
        return kind(inner, self, competition.task == "multiclass")


@dataclass(frozen=True)
class Refined:
    """Refines probabilities by the image, then leaves them to `inner`.

    `exclusive` classes share each pixel; otherwise every class has a background of its own.
    """

    inner: Postprocess
    crf: DenseCRF
    exclusive: bool

    def __call__(self, prediction: Prediction) -> np.ndarray:
        """The mask that `inner` makes of the refined prediction; raises PluginError without an image."""
        return self.inner(self.refine(prediction))

    def prepare(self, prediction: Prediction) -> Prediction:
        """The refined prediction, as `inner` prepares it."""
        refined = self.refine(prediction)
        if hasattr(self.inner, "prepare"):
            refined = RefinedPrediction.of(self.inner.prepare(refined))
        return refined

    def refine(self, prediction: Prediction) -> Prediction:
        """The prediction with refined probabilities; the same object again while the prediction lives and has not
        been crowded out of memory. What is refined stays as it is."""
        if isinstance(prediction, RefinedPrediction):
            return prediction
        return _MEMORY.recall(prediction, (self.crf, self.exclusive), self._refine)

    def _refine(self, prediction: Prediction) -> Prediction:
        import numpy as np

        from kagglekit_dense_crf.mean_field import mean_field

        if prediction.image is None:
            raise PluginError(
                f"dense-crf: {prediction.sample or 'a prediction'} comes without its image, which large images do; "
                "use --without dense-crf"
            )
        settings = {f.name: getattr(self.crf, f.name) for f in fields(self.crf)}
        probs = mean_field(prediction.probs.astype(np.float32), prediction.image, exclusive=self.exclusive, **settings)
        return RefinedPrediction.of(replace(prediction, probs=probs))


@dataclass(frozen=True)
class FittedRefined(Refined):
    """The same where `inner` has settings to fit; they are fitted to refined probabilities."""

    def fit(self, predictions: Sequence[Prediction], truths: Sequence[np.ndarray], metric: Metric) -> FittedRefined:
        """The same CRF before the fitted `inner`; no prediction is refined twice."""
        refined = [self.refine(prediction) for prediction in predictions]
        return replace(self, inner=self.inner.fit(refined, truths, metric))


@dataclass(frozen=True)
class RefinedPrediction(Prediction):
    """A prediction that has been refined."""

    @classmethod
    def of(cls, prediction: Prediction) -> RefinedPrediction:
        """The same prediction, marked."""
        return cls(**{f.name: getattr(prediction, f.name) for f in fields(Prediction)})


class Memory:
    """What was made of objects, for as long as they live, up to `limit` bytes of probabilities.

    Fitting on validation and checking the fit asks for the same predictions up to eight times.
    """

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self.kept: OrderedDict[int, tuple[weakref.ref, object, Prediction]] = OrderedDict()

    def recall(self, prediction: Prediction, key: object, make) -> Prediction:
        """`make(prediction)`, or what it returned before for this very object and `key`."""
        kept_at = id(prediction)
        if kept_at in self.kept:
            reference, known, made = self.kept[kept_at]
            if reference() is prediction and known == key:
                self.kept.move_to_end(kept_at)
                return made
            self._forget(kept_at)
        made = make(prediction)
        self.kept[kept_at] = weakref.ref(prediction, lambda _: self._forget(kept_at)), key, made
        self.size += made.probs.nbytes
        while self.size > self.limit:
            self._forget(next(iter(self.kept)))
        return made

    def _forget(self, kept_at: int) -> None:
        if kept_at in self.kept:
            self.size -= self.kept.pop(kept_at)[2].probs.nbytes


_MEMORY = Memory(REMEMBERED)
