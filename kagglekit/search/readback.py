"""Did a sampled setting really reach the live objects? Answered after a trial, from what was seen while it trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pydantic import PrivateAttr

from kagglekit.errors import RunError
from kagglekit.plugin.solution import Solution
from kagglekit.recipe import Recipe
from kagglekit.search.space import Params


class SettingLost(RunError):
    """A sampled setting did not arrive where it should act."""


class Watched(Recipe):
    """A recipe that remembers which of its fields somebody looked at; copies share the memory."""

    _fields_read: set[str] = PrivateAttr(default_factory=set)

    def __getattribute__(self, name: str) -> Any:
        """The field, after a note that it was asked for."""
        if name in Recipe.model_fields:
            private = object.__getattribute__(self, "__pydantic_private__")
            if private is not None:
                private["_fields_read"].add(name)
        return super().__getattribute__(name)

    def fields_read(self) -> set[str]:
        """Names of the fields that were asked for since `forget`."""
        return set(self._fields_read)

    def forget(self) -> None:
        """Begin anew."""
        self._fields_read.clear()


def check(
    solution: Solution,
    params: Params,
    observed: Mapping[str, Any],
    fields_read: set[str] | None = None,
    asked: set[str] | None = None,
) -> None:
    """Raise SettingLost, naming it, for a sampled setting that did not arrive.

    `observed`: what live objects said of settings while training (`Trained.observed`); `looked`: fields of the recipe
    that were read; `asked`: techniques of which a hook was called. What is None is not known, of another process.
    """
    recipe, techniques = solution.recipe, {technique.name: technique for technique in solution.techniques}
    for key, value in params.items():
        head = key.partition(".")[0]
        if head == "techniques":
            _check_technique(key, value, techniques, asked)
        elif fields_read is not None and head not in fields_read:
            raise SettingLost(f"{key}: sampled {value!r}, but nothing ever read it; {_blame(solution, head)}")
    expected = {
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        "fidelity.image_size": recipe.fidelity.image_size,
    }
    if observed.get("draws", 0) >= recipe.batch_size:
        expected["batch_size"] = recipe.batch_size
    for key, value in expected.items():
        if key in observed and not math.isclose(observed[key], value, rel_tol=1e-6):
            # A last lone image joins the batch before it, which may be the first.
            if key == "batch_size" and observed[key] == value + 1 == observed["draws"]:
                continue
            said = f"{key}: the recipe says {value:g}, training has {observed[key]:g}"
            raise SettingLost(f"{said}; {_blame(solution, key)}")


def _check_technique(key: str, value: Any, techniques: Mapping[str, Any], asked: set[str] | None) -> None:
    _, name, *setting = key.split(".")
    if not setting:
        if bool(value) != (name in techniques):
            raise SettingLost(
                f"{key}: sampled {value!r}, but the technique is {'' if name in techniques else 'not '}there"
            )
        if value and asked is not None and name not in asked:
            raise SettingLost(f"{key}: the technique is on, but none of its hooks was ever called")
    elif name in techniques:
        there: Any = getattr(techniques[name], setting[0])
        there = dataclasses.asdict(there) if dataclasses.is_dataclass(there) and not isinstance(there, type) else there
        if there != value and not (isinstance(there, tuple) and list(there) == list(value)):
            raise SettingLost(f"{key}: sampled {value!r}, the technique holds {there!r}")


def _blame(solution: Solution, key: str) -> str:
    hook = {
        "lr": "kk_optimizer", "weight_decay": "kk_optimizer", "optimizer": "kk_optimizer", "encoder": "kk_model",
        "decoder": "kk_model", "encoder_weights": "kk_model", "loss": "kk_loss", "fidelity.image_size": "kk_augment",
    }.get(key)  # fmt: skip
    if hook is None:
        return "it has no effect in this solution; take it out of the space"
    return f"{hook}() is answered by {', '.join(reversed(solution.who_answers(hook)))}"
