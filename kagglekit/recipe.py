"""A recipe says how a competition is solved: at most 20 flat fields, a fidelity, settings, ordered techniques.

Values come in layers (engine, competition, preset, file, command line); `compose` merges them and remembers where each
value came from. A recipe is data only: names and numbers, never code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from kagglekit.competition import Competition
from kagglekit.errors import RecipeError, did_you_mean
from kagglekit.parsing import TOO_DEEP, from_json, from_toml, lone_surrogates

Fraction = Annotated[float, Field(gt=0, le=1)]


class Frozen(BaseModel):
    """Frozen, unknown keys refused, no silent NaN, no truth value taken for a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        return refuse_truth_values(value, cls.model_fields[info.field_name or ""].annotation)


def refuse_truth_values(value: Any, wanted: Any) -> Any:
    """The value; raises ValueError for true or false, in lists and tables too, where the type `wanted` names no bool.

    Pydantic would take them for 1 and 0.
    """
    if any(word in str(wanted) for word in ("bool", "Any", __name__)):  # what is defined here looks after itself
        return value
    level = [value]
    while level:
        if any(isinstance(one, bool) for one in level):
            raise ValueError("true and false are no numbers and no text")
        level = [
            inner
            for one in level
            if isinstance(one, Mapping | list | tuple)
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return value


class Fidelity(Frozen):
    """How much a run costs: pixels of the shorter side, part of the training images, epochs."""

    image_size: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] = 256
    fraction: Fraction = 1.0
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8


class TechniqueSpec(Frozen):
    """A technique by name, with its settings (checked against the technique when it is resolved)."""

    name: str
    settings: dict[str, Any] = {}


class Recipe(Frozen):
    """Everything that decides what a run computes, apart from the data and the code."""

    competition: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    folds: Annotated[int, Field(ge=2, le=100)] = 10  # 10 and fold 0: the customary 9:1 hold-out
    # The fold held out. all: each in turn, a network for each; refit: 0 chooses settings, a network of all predicts.
    fold: Annotated[int, Field(ge=0, lt=100)] | Literal["all", "refit"] = 0
    encoder: str = "tu-tf_efficientnet_lite0"
    decoder: str = "unet"  # of segmentation-models-pytorch; NAME/2 (or /4) has half (a quarter) of its channels
    encoder_weights: str = "bundled"  # bundled | imagenet | none | a file of weights
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1  # batches per optimizer step
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3  # peak learning rate
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0)] = 0.5  # epochs, rising from a tenth of the peak
    horizon: Annotated[float, Field(ge=0)] = 0  # epochs at which the schedule would end; 0: the last epoch
    clip: Annotated[float, Field(ge=0)] = 5.0  # gradient norm; 0: no clipping
    loss: dict[str, Annotated[float, Field(ge=0)]] = {"bce": 0.5, "dice": 0.5}
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # decay of the averaged weights; 0: off
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    max_damaged: Annotated[float, Field(ge=0, le=1)] = 0.01  # part of the files that may be broken
    fidelity: Fidelity = Fidelity()
    settings: dict[str, Any] = {}  # the competition's own
    techniques: tuple[TechniqueSpec, ...] = ()

    def identity(self) -> str:
        """16 hex digits that are equal exactly when two recipes ask for the same computation."""
        return digest(self.model_dump(mode="json"))

    def to_toml(self) -> str:
        """TOML text that `load` reads back to an equal recipe."""
        import tomli_w

        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    # TOML has no null; a setting that is left out takes its default, which is what None stood for.
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list) else value


def digest(value: Any) -> str:
    """16 hex digits of a JSON-like value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def load(path: Path) -> dict[str, Any]:
    """The layer that a .toml or .json recipe file makes; raises RecipeError with the place of a syntax error."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        layer = from_json(text) if Path(path).suffix == ".json" else from_toml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path}: cannot be read: {error}; give a .toml or .json file") from error
    except ValueError as error:
        raise RecipeError(f"recipe {path}: not valid {Path(path).suffix.lstrip('.') or 'TOML'}: {error}") from error
    if not isinstance(layer, dict):
        raise RecipeError(f"recipe {path}: expected keys and values, found {type(layer).__name__}")
    return flatten(layer)


def flatten(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables as dotted keys; techniques stay one list of name and settings."""
    flat: dict[str, Any] = {}
    for key, value in layer.items():
        if key in ("fidelity", "settings") and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` from the command line; the value is read as TOML where it is TOML, else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"-o {text}: expected key=value, for example -o lr=3e-4")
    try:
        found = from_toml(f"v = {value}")
    except ValueError as error:
        if TOO_DEEP in str(error):
            raise RecipeError(f"-o {key.strip()}: its value {TOO_DEEP}") from None
        return key.strip(), value.strip()
    try:  # within brackets there is room for one value and no more: no further line, no comment
        [one] = from_toml(f"v = [{value}]")["v"]
    except ValueError:
        one = None
    if repr(found) != repr({"v": one}):  # by their texts, for NaN is unlike itself
        raise RecipeError(f"-o {text!r}: holds more than one value; give each setting an -o of its own")
    return key.strip(), one


def compose(
    layers: Iterable[tuple[str, Mapping[str, Any]]], with_: Iterable[str] = (), without: Iterable[str] = ()
) -> tuple[Recipe, dict[str, str]]:
    """Merge layers, later ones winning; returns the recipe and, for each dotted key, the layer it came from.

    `with_` appends techniques (`name` or `name:key=value,...`), `without` removes them; both act before the last layer,
    so that an override may set the settings of an added technique. Raises RecipeError for unknown keys and bad values.
    """
    layers = list(layers)
    tree: dict[str, Any] = {}
    came_from: dict[str, str] = {}
    for source, layer in layers[:-1]:
        _apply(tree, came_from, source, layer)
    _edit_techniques(tree, came_from, with_, without)
    for source, layer in layers[-1:]:
        _apply(tree, came_from, source, layer)
    recipe = validate(tree)
    if isinstance(recipe.fold, int) and recipe.fold >= recipe.folds:
        raise RecipeError(
            f"recipe: fold={recipe.fold} does not exist with folds={recipe.folds}; use 0..{recipe.folds - 1}, all or "
            "refit"
        )
    return recipe, came_from


def layers_of(competition: Competition, preset: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What lies below a user's changes: (source, dotted keys) of the competition, its recipe and one of its presets."""
    return [
        ("default", {"competition": competition.id}),
        (f"competition {competition.id}", competition.recipe),
        (f"preset {preset}", competition.presets.get(preset, {})),
    ]


def validate(tree: Mapping[str, Any]) -> Recipe:
    """A Recipe from nested values; raises RecipeError that names the key, the fault and the value."""
    if odd := lone_surrogates(dict(tree)):
        raise RecipeError(f"recipe: {odd!r} is no text: it holds half of a character, or bytes that are no UTF-8")
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(explain(error, "recipe")) from error


def explain(error: ValidationError, who: str) -> str:
    """The first fault of a validation as one line."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{who}{': ' + key if key else ''}: {first['msg'].removeprefix('Value error, ')} (got {first['input']!r})"


def _apply(tree: dict[str, Any], came_from: dict[str, str], source: str, layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        head, *rest = key.split(".")
        if head not in Recipe.model_fields:
            raise RecipeError(f"{source}: {key} is not a setting of a recipe{did_you_mean(key, setting_names())}")
        if not rest:
            _forget(came_from, head)
        if head == "techniques":
            _set_technique(tree, source, key, rest, value)
        elif not rest:
            tree[head] = dict(value) if isinstance(value, Mapping) else value
        elif head in ("fidelity", "settings", "loss") and len(rest) == 1:
            if head == "fidelity" and rest[0] not in Fidelity.model_fields:
                raise RecipeError(f"{source}: {key} is not a setting of a recipe{did_you_mean(key, setting_names())}")
            default = dict(Recipe.model_fields["loss"].default) if head == "loss" else {}
            if not isinstance(tree.get(head, default), Mapping):
                raise RecipeError(f"{source}: {key}: {head} was set to {tree[head]!r}, which has no parts")
            tree[head] = {**tree.get(head, default), rest[0]: value}
        else:
            raise RecipeError(f"{source}: {key}: {head} has no parts; set it as {head}=VALUE")
        came_from[key] = source


def _forget(came_from: dict[str, str], head: str) -> None:
    for key in [k for k in came_from if k.startswith(head + ".")]:
        del came_from[key]


def _set_technique(tree: dict[str, Any], source: str, key: str, rest: list[str], value: Any) -> None:
    if not rest:
        specs = [dict(t) if isinstance(t, Mapping) else {"name": t} for t in value] if isinstance(value, list) else None
        if specs is None or not all(isinstance(spec.get("name"), str) for spec in specs):
            raise RecipeError(
                f"{source}: techniques: expected a list of names, or of tables with name and settings; got {value!r}"
            )
        tree["techniques"] = specs
        return
    known = {t["name"]: t for t in tree.get("techniques", [])}
    if rest[0] not in known:
        raise RecipeError(
            f"{source}: {key}: the recipe has no technique {rest[0]}{did_you_mean(rest[0], known)}; "
            f"add it with --with {rest[0]}"
        )
    if len(rest) != 2:
        raise RecipeError(f"{source}: {key}: expected techniques.{rest[0]}.SETTING=VALUE")
    spec = known[rest[0]]
    spec["settings"] = {**spec.get("settings", {}), rest[1]: value}


def _edit_techniques(
    tree: dict[str, Any], came_from: dict[str, str], with_: Iterable[str], without: Iterable[str]
) -> None:
    chosen = list(tree.get("techniques", []))
    for text in with_:
        name, _, settings = text.partition(":")
        pairs = dict(parse_override(part) for part in settings.split(",") if part)
        if any(t["name"] == name for t in chosen):
            raise RecipeError(
                f"--with {name}: the recipe has it already; change it with -o techniques.{name}.KEY=VALUE"
            )
        chosen.append({"name": name, "settings": pairs})
        came_from[f"techniques.{name}"] = "--with"
    for name in without:
        if not any(t["name"] == name for t in chosen):
            raise RecipeError(
                f"--without {name}: the recipe has no such technique{did_you_mean(name, (t['name'] for t in chosen))}"
            )
        chosen = [t for t in chosen if t["name"] != name]
    tree["techniques"] = chosen


def setting_names() -> list[str]:
    """Every key that `-o` takes, competition settings and techniques aside."""
    plain = [k for k in Recipe.model_fields if k not in ("fidelity", "settings", "techniques")]
    return plain + [f"fidelity.{k}" for k in Fidelity.model_fields]
