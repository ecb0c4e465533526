"""What a search may change: dotted keys of a recipe, each with an optuna distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import recipe as recipes
from kagglekit.errors import PluginError, RecipeError, UsageError, did_you_mean
from kagglekit.parsing import from_toml
from kagglekit.plugin.registry import Registry
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.recipe import Recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, "BaseDistribution"]
Params = dict[str, Any]
OPTIONS = ("replace", "drop")  # keys of a space file that are no settings
FORMS = "[a, b, c], or {low = 1e-4, high = 1e-2, log = true} (also: step)"


def default_space(solution: Solution) -> Space:
    """What the competition and the recipe's techniques think worth searching, and each technique on or off.

    A technique may have a class method `space()` that returns distributions of its settings. Settings of techniques
    that the recipe does not hold are left out.
    """
    from optuna.distributions import CategoricalDistribution

    held = {technique.name: technique for technique in solution.techniques}
    space: Space = {}
    for key, distribution in solution.competition.space().items():
        head, _, rest = key.partition(".")
        if head != "techniques" or rest.split(".")[0] in held:
            space[key] = distribution
    for name, technique in held.items():
        space[f"techniques.{name}"] = CategoricalDistribution([True, False])
        if hasattr(technique, "space"):
            space |= {f"techniques.{name}.{setting}": d for setting, d in technique.space().items()}
    return space


def read_space(path: Path, space: Space) -> Space:
    """`space` changed by a TOML file: each key replaced or added, those in `drop` removed, all if `replace = true`.

    Raises UsageError for a file that cannot be read and RecipeError for a line that is no distribution.
    """
    try:
        content = from_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--space {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"--space {path}: not valid TOML: {error}") from error
    if not isinstance(content.get("replace", False), bool):
        raise RecipeError(f"--space {path}: replace: expected true or false; got {content['replace']!r}")
    changed = {} if content.get("replace") else dict(space)
    drop = content.get("drop", [])
    for key in drop if isinstance(drop, list) else [drop]:
        if not isinstance(key, str):
            raise RecipeError(f"--space {path}: drop: expected a list of settings' names; got {key!r}")
        if key not in changed:
            raise RecipeError(f"--space {path}: drop: {key} is not searched{did_you_mean(key, changed)}")
        del changed[key]
    for key, value in _dotted(content).items():
        changed[key] = parse_distribution(value, f"--space {path}: {key}")
    return changed


def _dotted(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys, down to what describes a distribution."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if not prefix and key in OPTIONS:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not value.keys() & {"low", "high"}:
            flat |= _dotted(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def parse_distribution(value: Any, who: str) -> BaseDistribution:
    """A list as choices, a table of low and high as a range; raises RecipeError."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    try:
        if isinstance(value, list) and value:
            return CategoricalDistribution(value)
        if isinstance(value, Mapping) and {"low", "high"} <= value.keys() <= {"low", "high", "log", "step"}:
            _refuse_odd(value)
            whole = all(type(value[name]) is int for name in ("low", "high"))
            kind = IntDistribution if whole else FloatDistribution
            if not value["low"] < value["high"]:
                raise ValueError(f"low={value['low']} must lie below high={value['high']}")
            return kind(**value)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{who}: {error}") from error
    raise RecipeError(f"{who}: expected {FORMS}; got {value!r}")


def _refuse_odd(value: Mapping[str, Any]) -> None:
    for name in ("low", "high", "step"):
        one = value.get(name, 1)
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            raise ValueError(f"{name} = {one!r} is no number")
    if not isinstance(value.get("log", False), bool):
        raise ValueError(f"log = {value['log']!r}: expected true or false")


def check_space(space: Space, recipe: Recipe, registry: Registry) -> None:
    """Raise UsageError for a space in which nothing varies, RecipeError for a key or an end that no recipe takes."""
    from optuna.distributions import CategoricalDistribution

    if not any(not distribution.single() for distribution in space.values()):
        raise UsageError("the search space is empty: nothing would vary; add settings with --space FILE")
    for key, distribution in space.items():
        if key.partition(".")[0] in ("fidelity", "competition", "seed", "fold", "folds"):
            raise RecipeError(f"space: {key} is not searched: rungs, seeds and splits are the search's own")
        limits: Any = distribution
        choices = isinstance(distribution, CategoricalDistribution)
        for value in limits.choices if choices else (limits.low, limits.high):
            try:
                resolve(apply(recipe, {key: value}, strict=True), registry)
            except (RecipeError, UsageError, PluginError) as error:
                raise RecipeError(f"space: {key} = {value!r}: {error}") from error


def apply(recipe: Recipe, params: Params, strict: bool = False) -> Recipe:
    """The recipe with these settings. `techniques.NAME` switches a technique on or off.

    Settings of a technique that is off are passed over; when `strict`, they are an error. Raises RecipeError.
    """
    tree = recipe.model_dump(mode="json")
    techniques = {spec["name"]: spec for spec in tree["techniques"]}
    settings: dict[str, Any] = {}
    for key, value in params.items():
        head, _, rest = key.partition(".")
        if head == "techniques" and rest and "." not in rest:
            if value and rest not in techniques:
                techniques[rest] = {"name": rest, "settings": {}}
            elif not value:
                techniques.pop(rest, None)
        elif head == "techniques":
            name, _, setting = rest.partition(".")
            settings.setdefault(name, {})[setting] = value
        elif head in ("loss", "settings") and rest:
            if head == "settings" or value or rest in tree[head]:  # a loss of weight 0 is one that is not there
                tree[head][rest] = value
        elif head in Recipe.model_fields and not rest:
            tree[head] = value
        else:
            raise RecipeError(f"{key} is not a setting of a recipe{did_you_mean(key, recipes.setting_names())}")
    for name, values in settings.items():
        if name in techniques:
            techniques[name]["settings"] |= values
        elif strict:
            raise RecipeError(f"the recipe has no technique {name}; add it with --with {name}")
    tree["techniques"] = list(techniques.values())
    return recipes.validate(tree)


def values_of(recipe: Recipe, space: Space) -> Params:
    """The recipe's own values of the keys that are searched, whether or not they lie inside the space."""
    held = {spec.name: spec.settings for spec in recipe.techniques}
    values: Params = {}
    for key in space:
        head, _, rest = key.partition(".")
        if head == "techniques" and "." not in rest:
            values[key] = rest in held
        elif head == "techniques":
            name, _, setting = rest.partition(".")
            if setting in held.get(name, {}):
                values[key] = held[name][setting]
        elif rest:
            values[key] = getattr(recipe, head).get(rest, 0.0)
        else:
            values[key] = getattr(recipe, head)
    return values


def contains(distribution: Any, value: Any) -> bool:
    """Could the distribution have given this value?"""
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return isinstance(value, int | float) and bool(distribution.low <= value <= distribution.high)


def to_json(space: Space) -> dict[str, Any]:
    """The space as JSON-like values, keys sorted."""
    import json

    from optuna.distributions import distribution_to_json

    return {key: json.loads(distribution_to_json(space[key])) for key in sorted(space)}


def from_json(content: Mapping[str, Any]) -> Space:
    """What `to_json` wrote."""
    import json

    from optuna.distributions import json_to_distribution

    return {key: json_to_distribution(json.dumps(value)) for key, value in content.items()}
