"""Laws of a technique as a frozen dataclass of settings, and of how it enters a solution."""

from __future__ import annotations

import dataclasses
import json
import typing

from kagglekit.errors import DataError, RecipeError
from kagglekit.plugin.registry import MARK, SPECS
from kagglekit.testing.laws import NotApplicable, law, require
from kagglekit.testing.plugin_laws import PLAIN

# The engine's own input transform refuses images of more than 8 bits, so there is nothing that another one could wrap.
REPLACEABLE = {"kk_intake"}


@law("technique")
def its_name_is_plain_and_it_says_what_it_does(subject):
    """A technique is named in small letters, digits and hyphens, and its docstring begins with what it does."""
    name = subject.kind.name
    require(PLAIN.fullmatch(name), f"it is named {name!r}; use small letters, digits and single hyphens")
    text = subject.kind.__doc__ or ""
    generated = text.startswith(f"{subject.kind.__name__}(")  # what dataclass writes where nothing is said
    require(text.strip() and not generated, "it has no docstring; `kk list` shows the first sentence")


@law("technique")
def it_changes_a_stage(subject):
    """A technique wraps at least one hook."""
    require(subject.hooks & set(SPECS), "it has no kk_ method, so it changes nothing")


@law("technique")
def its_hooks_wrap(subject):
    """Hooks of a technique are wrappers, so that it can be combined with others and left out."""
    plain = [
        name
        for name in sorted(subject.hooks & set(SPECS) - REPLACEABLE)
        if not getattr(getattr(subject.kind, name), MARK, {}).get("wrapper")
    ]
    require(
        not plain,
        f"{', '.join(plain)}: not marked with @hookimpl(wrapper=True); it would replace what others made, not wrap it",
    )


@law("technique")
def its_settings_are_typed(subject):
    """Every setting has a type and a default, and a value of a wrong type is refused."""
    from kagglekit.plugin.solution import make_technique

    hints = typing.get_type_hints(subject.kind)
    for field in _settings(subject):
        missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        require(not missing, f"setting {field.name} has no default; the published value is a good one")
        require(hints[field.name] not in (typing.Any, object), f"setting {field.name} takes anything; state its type")
        try:
            make_technique(subject.kind, {**subject.settings, field.name: [object()]})
        except RecipeError:
            continue
        require(False, f"setting {field.name} takes a value of a wrong type")


@law("technique")
def it_resolves_with_its_defaults(subject):
    """A recipe that names the technique resolves, and its settings are spelled out in it."""
    for host in subject.raw("solution", subject.checked_hosts):
        spelled = host.solution.recipe.techniques[0].settings
        require(
            set(spelled) == {f.name for f in dataclasses.fields(subject.kind)},
            f"the resolved recipe names the settings {sorted(spelled)}; all fields of the dataclass must be there",
        )


@law("technique")
def its_settings_survive_a_file(subject):
    """The resolved recipe, written as TOML and read back, resolves to the same recipe."""
    from kagglekit.plugin.solution import resolve
    from kagglekit.recipe import compose, load

    for number, host in enumerate(subject.hosts()):
        recipe = host.solution.recipe
        path = subject.folder / f"recipe-{number}.toml"
        path.write_text(recipe.to_toml(), encoding="utf-8")
        again = resolve(compose([("file", load(path))])[0], subject.registry).recipe
        require(
            again.to_toml() == recipe.to_toml(),
            "its settings come back from a recipe file as others; a run could not be repeated from its folder",
        )


@law("technique")
def equal_settings_are_one_experiment(subject):
    """Resolving the same settings again gives the same identity, made of plain values."""
    from kagglekit.plugin.solution import resolve

    host = next(iter(subject.hosts()))
    recipe = host.solution.recipe
    again = resolve(subject.recipe(recipe.competition), subject.registry).recipe
    require(
        again.identity() == recipe.identity(),
        "the same settings have another identity each time; a default that is drawn or timed makes every run a new one",
    )
    json.dumps(recipe.model_dump(mode="json"), allow_nan=False)


@law("technique")
def a_changed_setting_changes_the_technique(subject):
    """A setting that is given arrives in the technique as it was given."""
    from kagglekit.plugin.solution import make_technique

    subject.hosts()
    tried = 0
    for field in _settings(subject):
        known = getattr(make_technique(subject.kind, subject.settings), field.name)
        for other in _others(known):
            try:
                made = make_technique(subject.kind, {**subject.settings, field.name: other})
            except RecipeError:
                continue
            tried += 1
            require(
                getattr(made, field.name) == other,
                f"setting {field.name}={other!r} arrives as {getattr(made, field.name)!r}; leave settings as given",
            )
            break
    if not tried:
        raise NotApplicable("it has no setting that can be varied blindly")


@law("technique", "space")
def its_search_space_is_of_its_settings(subject):
    """What is worth searching are settings of the technique, with values that it takes."""
    from kagglekit.plugin.solution import make_technique

    subject.hosts()
    known = {field.name for field in _settings(subject)}
    space = subject.kind.space()
    strange = sorted(set(space) - known)
    require(not strange, f"the search space names {', '.join(strange)}; settings are {', '.join(sorted(known))}")
    for name, distribution in space.items():
        for value in getattr(distribution, "choices", None) or (distribution.low, distribution.high):
            make_technique(subject.kind, {**subject.settings, name: value})


@law("technique", "kk_dataset")
def wrapping_a_data_set_keeps_what_is_scored(subject):
    """A data set that a technique wraps has the test part and the validated samples of the inner one, ids unique."""
    checked, refusals = 0, []
    for host in subject.hosts():
        try:
            wrapped = host.solution.dataset(subject.folder)
        except (RecipeError, DataError) as refusal:
            refusals.append(str(refusal))
            continue
        checked += 1
        inner = host.dataset
        require([s.id for s in wrapped.test] == [s.id for s in inner.test], "the test part is another one")
        kept = [s.id for s in wrapped.train if not s.extra]
        require(
            kept == [s.id for s in inner.train],
            "samples that can be held out are others than before; mark what is added as `extra`",
        )
    if not checked:
        raise NotApplicable(f"it does not fit: {refusals[0]}")


def _settings(subject) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(subject.kind) if field.init]


def _others(value) -> list:
    """Values of the same type that are probably allowed."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value + 32, value - 1]
    if isinstance(value, float):
        return [value / 2 + 0.05, value * 0.9, value + 0.01]
    return []
