"""From a recipe to a `Solution`: a fresh plugin manager with one typed method per hook.

Order: the engine's defaults, the competition, then the recipe's techniques as written, so that each technique wraps
what the earlier ones made. A worker process receives a recipe and resolves again; plugin managers never travel.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from kagglekit.competition import Competition
from kagglekit.errors import PluginError, RecipeError, did_you_mean
from kagglekit.plugin import defaults, hookspecs
from kagglekit.plugin.registry import Plugin, Registry, blaming
from kagglekit.protocols import Dataset, Ensemble, InputTransform, Postprocess
from kagglekit.types import Augment, Depth, Finding, Loss, ModelOutput, Sample, Sampler, View

if TYPE_CHECKING:
    import torch
    from torch import nn

    from kagglekit.data.store import Store
    from kagglekit.recipe import Recipe


SMALL = (64, 96)  # pixels of the image that a network is tried on


@dataclass(frozen=True)
class Solution:
    """Everything that a recipe names, ready to answer; each method asks one hook.

    What serves a whole run (input transform, loss, views, ensemble, post-processing) is asked for once and kept.
    """

    recipe: Recipe
    competition: Competition
    registry: Registry
    plugins: tuple[Plugin, ...]
    techniques: tuple[Any, ...]
    manager: pluggy.PluginManager
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def sample(self, root: Path, count: int, seed: int, track) -> Path:
        """Write sample data of the competition below `root`."""
        return self._ask("kk_sample", competition=self.competition, root=root, count=count, seed=seed, track=track)

    def dataset(self, root: Path) -> Dataset:
        """The data folder `root`, indexed; ids are unique within each part."""
        dataset = self._ask("kk_dataset", root=Path(root), recipe=self.recipe, competition=self.competition)
        if not isinstance(dataset, Dataset):
            raise PluginError(
                f"{self.plugins[0]}: kk_dataset() returned a {type(dataset).__name__}; derive it from kagglekit.Dataset"
            )
        for part in ("train", "test"):
            self._refuse_twins(part, getattr(dataset, part))
        return dataset

    def clean(self, dataset: Dataset) -> Sequence[Finding]:
        """What the recipe distrusts of the labels, whichever seed it trains with."""
        recipe = self.recipe.model_copy(update={"seed": 0})
        return self._ask("kk_clean", dataset=dataset, recipe=recipe, competition=self.competition)

    def sampler(self, dataset: Dataset, samples: Sequence[Sample], store: Store) -> Sampler:
        """What an epoch draws of `samples`."""
        return self._ask("kk_sampler", dataset=dataset, samples=samples, recipe=self.recipe, store=store)

    def augment(self, dataset: Dataset, samples: Sequence[Sample], store: Store) -> Augment:
        """How training images are distorted."""
        known = {"dataset": dataset, "samples": samples, "store": store, "competition": self.competition}
        return self._ask("kk_augment", **known, recipe=self.recipe)

    def input_transform(self, channels: int, depth: Depth) -> InputTransform:
        """What the network sees of images that are stored with `channels` of `depth`."""
        known = {"recipe": self.recipe, "channels": channels, "depth": depth}
        return self._once(("kk_intake", channels, depth), lambda: self._ask("kk_intake", **known))

    def model(self, channels: int, pretrained: bool = True) -> nn.Module:
        """A fresh network, its logits checked on a small image; not pretrained where a checkpoint will follow.

        `channels` are those of the input transform. Where `encoder_weights` is a checkpoint of a run,
        the whole network has it.
        The first pretrained one is that which `check` has built, if it has.
        """
        from kagglekit.train.checkpoint import is_checkpoint, load_network

        if pretrained and (built := self._kept.pop(("checked", channels), None)) is not None:
            return built
        warm = Path(self.recipe.encoder_weights) if is_checkpoint(self.recipe.encoder_weights) else None
        bare = warm or not pretrained
        recipe = self.recipe.model_copy(update={"encoder_weights": "none"}) if bare else self.recipe
        model = self._ask("kk_model", recipe=recipe, competition=self.competition, channels=channels)
        if warm and pretrained:
            load_network(model, warm)
        self._check_logits(model, channels)
        self._kept["frame", channels] = self._frame_of(model)
        return model

    def empty_model(self, channels: int) -> nn.Module:
        """A network like those that `model` gave, with whatever is in memory for weights: a checkpoint must follow.

        The hook is asked only where `model` was not called before.
        """
        from kagglekit.train.frame import filled

        self._kept.pop(("checked", channels), None)  # whoever loads checkpoints trains no more
        if ("frame", channels) not in self._kept:
            self.model(channels, pretrained=False)
        return filled(self._kept["frame", channels])

    def loss(self) -> Loss:
        """What training minimises."""
        known = {"recipe": self.recipe, "competition": self.competition}
        return self._once("kk_loss", lambda: self._ask("kk_loss", **known))

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Who steps, at its peak learning rates."""
        return self._ask("kk_optimizer", recipe=self.recipe, model=model)

    def views(self) -> tuple[View, ...]:
        """The views of test-time augmentation, identity first, weights summing to 1."""
        return self._once("kk_tta", self._views)

    def _views(self) -> tuple[View, ...]:
        views = self._ask("kk_tta", recipe=self.recipe)
        views = views if isinstance(views, tuple) else tuple(views)  # a tuple may know how to fit its weights
        total = sum(view.weight for view in views)
        if not views or not abs(total - 1) <= 1e-6 or min(view.weight for view in views) < 0:  # `not <=` catches NaN
            raise PluginError(
                f"kk_tta() (answered by {', '.join(self.who_answers('kk_tta'))}): weights of the views must be >= 0 "
                f"and sum to 1, got {[v.weight for v in views]}"
            )
        return views

    def ensemble(self) -> Ensemble:
        """Which checkpoints predict, and with which weights."""
        return self._once("kk_ensemble", lambda: self._ask("kk_ensemble", recipe=self.recipe))

    def postprocess(self) -> Postprocess:
        """How probabilities become masks."""
        known = {"recipe": self.recipe, "competition": self.competition}
        return self._once("kk_postprocess", lambda: self._ask("kk_postprocess", **known))

    def check(self, dataset: Dataset) -> None:
        """Ask every stage that needs no images, so that a bad name stops a run before it reads a gigabyte.

        And every technique that has something to say of the data: `check(dataset, competition)` may raise RecipeError.
        The network that is built here is the first one to be trained, unless its weights would have to be fetched.
        """
        import torch

        for technique in self.techniques:
            if hasattr(technique, "check"):
                with blaming(self.plugins, f"{technique.name}: check() failed with "):
                    technique.check(dataset, self.competition)
        for stage in (self.loss, self.views, self.ensemble, self.postprocess):
            stage()
        channels = self.input_transform(dataset.channels, dataset.depth).channels
        at_hand = self.recipe.encoder_weights != "imagenet"
        torch.manual_seed(self.recipe.seed)  # as training does before it asks for a network
        model = self.model(channels, pretrained=at_hand)
        if at_hand:
            self._kept["checked", channels] = model

    def who_answers(self, hook: str) -> list[str]:
        """Names of those who have a say in `hook`, the one that is called first at the end."""
        return [impl.plugin_name for impl in getattr(self.manager.hook, hook).get_hookimpls()]

    def _ask(self, hook: str, **arguments: Any) -> Any:
        with blaming(self.plugins, f"{hook}() failed with "):
            answer = getattr(self.manager.hook, hook)(**arguments)
        if answer is None:
            raise PluginError(f"{self.plugins[0]}: does not answer {hook}(), and the engine has no answer of its own")
        return answer

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made when it is first wanted."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _frame_of(self, model: nn.Module) -> nn.Module:
        from kagglekit.train.frame import frame_of

        try:
            return frame_of(model)
        except Exception as error:
            raise PluginError(
                f"kk_model() (answered by {', '.join(self.who_answers('kk_model'))}): the network cannot be copied "
                f"({type(error).__name__}: {error}); each checkpoint is loaded into a copy, so keep in it only what "
                "copy.deepcopy can copy"
            ) from error

    def _refuse_twins(self, part: str, samples: Iterable[Sample]) -> None:
        seen: set[str] = set()
        for sample in samples:
            if sample.id in seen:
                raise PluginError(
                    f"{self.plugins[0]}: kk_dataset(): sample id {sample.id} occurs twice in {part}; ids must be unique"
                )
            seen.add(sample.id)

    def _check_logits(self, model: nn.Module, channels: int) -> None:
        """Raise PluginError for logits of another shape than masks have."""
        who = f"kk_model() (answered by {', '.join(self.who_answers('kk_model'))})"
        # Small images cost next to nothing; some networks take none that is smaller than what they were made for.
        own = (self.recipe.fidelity.image_size,) * 2
        for size in (SMALL, own):
            shape = [1, channels, *size]
            try:
                logits = _logits_of(model, shape)
                break
            except Exception as error:
                if size == own:
                    raise PluginError(
                        f"{who}: the network fails on a {shape} image with {type(error).__name__}: {error}"
                    ) from error
        logits = logits.masks if isinstance(logits, ModelOutput) else logits
        expected = (1, len(self.competition.classes), *size)
        if tuple(getattr(logits, "shape", ())) != expected:
            raise PluginError(
                f"{who}: logits of a {shape} image have shape {tuple(getattr(logits, 'shape', ()))}; expected "
                f"{expected}, one channel per class"
            )


def _logits_of(model: nn.Module, shape: Sequence[int]) -> Any:
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return model(torch.zeros(*shape))
    finally:
        model.train(was_training)


def resolve(recipe: Recipe, registry: Registry) -> Solution:
    """The solution that `recipe` describes; raises UsageError, RecipeError or PluginError for names that do not fit."""
    plugin, competition = registry.competition(recipe.competition)
    recipe = recipe.model_copy(update={"settings": check_settings(competition, recipe.settings)})
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(defaults, name="defaults")
    manager.register(plugin.module, name=plugin.name)
    techniques, owners = [], [plugin]
    for spec in recipe.techniques:
        owner, kind = registry.technique(spec.name)
        if manager.has_plugin(spec.name):
            raise RecipeError(f"techniques: {spec.name} is listed twice, or named like the plugin of the competition")
        technique = make_technique(kind, spec.settings)
        manager.register(technique, name=spec.name)
        techniques.append(technique)
        owners.append(owner)
    # The resolved recipe spells out every setting, so that equal computations have equal identities.
    specs = [
        spec.model_copy(update={"settings": dataclasses.asdict(technique)})
        for spec, technique in zip(recipe.techniques, techniques, strict=True)
    ]
    recipe = recipe.model_copy(update={"techniques": tuple(specs)})
    if os.environ.get("KAGGLEKIT_TRACE"):
        _trace(manager)
    return Solution(recipe, competition, registry, tuple(dict.fromkeys(owners)), tuple(techniques), manager)


def check_settings(competition: Competition, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The competition's own settings with defaults filled in; raises RecipeError."""
    if competition.settings is None:
        if settings:
            raise RecipeError(f"settings.{next(iter(settings))}: {competition.id} has no settings of its own")
        return {}
    return dataclasses.asdict(_typed(competition.settings, settings, "settings"))


def make_technique(kind: Any, settings: Mapping[str, Any]) -> Any:
    """An instance of a technique from its settings; raises RecipeError for unknown keys, wrong types and ranges."""
    return _typed(kind, settings, f"techniques.{kind.name}")


def _typed(kind: type, settings: Mapping[str, Any], who: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    from kagglekit.recipe import explain, refuse_truth_values

    known = {field.name: field.type for field in dataclasses.fields(kind) if field.init}
    for key, value in settings.items():
        if key not in known:
            raise RecipeError(f"{who}.{key} is not a setting{did_you_mean(key, known)}")
        try:
            refuse_truth_values(value, known[key])
        except ValueError as error:
            raise RecipeError(f"{who}: {key}: {error} (got {value!r})") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"{who}: {key}: Input should be a finite number (got {value})")
    try:
        return TypeAdapter(kind).validate_python(dict(settings))
    except ValidationError as error:
        raise RecipeError(explain(error, who)) from error


def _trace(manager: pluggy.PluginManager) -> None:
    def before(hook_name, methods, arguments):
        print(f"kagglekit: {hook_name}: {', '.join(m.plugin_name for m in reversed(methods))}", file=sys.stderr)  # noqa: T201

    manager.add_hookcall_monitoring(before, lambda outcome, hook_name, methods, arguments: None)
