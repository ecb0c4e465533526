"""The search space: from competition and techniques, changed by a file, checked before anything runs."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from kagglekit.errors import KagglekitError, RecipeError, UsageError
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.search.space import (
    apply,
    check_space,
    contains,
    default_space,
    from_json,
    parse_distribution,
    read_space,
    to_json,
    values_of,
)
from tests.helpers import bringing, build, competition, solution, techniques_of


@pytest.fixture
def found(toy):
    """The toy competition, resolved."""
    from kagglekit.recipe import compose

    registry = discover()
    recipe, _ = compose([("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)])
    return resolve(recipe, registry)


def test_the_space_is_that_of_the_competition_and_its_techniques_each_on_or_off(found):
    space = default_space(found)
    assert sorted(space) == ["loss.dice", "lr", "optimizer", "techniques.toy-tta", "techniques.toy-tta.identity"]
    assert space["techniques.toy-tta"] == CategoricalDistribution([True, False])
    check_space(space, found.recipe, found.registry)


def test_every_installed_competition_has_a_space_that_its_recipes_take():
    registry, swept = discover(), 0
    for id, (_, known) in registry.competitions.items():
        from kagglekit.recipe import compose

        for preset in known.presets:
            recipe, _ = compose([("", {"competition": id}), ("", known.recipe), ("", known.presets[preset])])
            made = resolve(recipe, registry)
            space = default_space(made)
            check_space(space, made.recipe, registry)
            again = resolve(apply(made.recipe, values_of(made.recipe, space)), registry).recipe
            assert again == made.recipe, (id, preset)
            swept += 1
    assert swept >= 5


def test_settings_of_techniques_that_the_recipe_lacks_are_left_out(found):
    from dataclasses import replace

    other = replace(found.competition, space=lambda: {"techniques.none.p": FloatDistribution(0, 1)})
    assert "techniques.none.p" not in default_space(replace(found, competition=other))


def test_applying_settings_changes_them_and_nothing_else(found):
    changed = apply(found.recipe, {"lr": 0.5, "loss.dice": 0.1, "techniques.toy-tta.identity": 0.5})
    assert (changed.lr, changed.loss["dice"], changed.techniques[0].settings["identity"]) == (0.5, 0.1, 0.5)
    assert changed.model_copy(update={"lr": found.recipe.lr, "loss": found.recipe.loss,
                                      "techniques": found.recipe.techniques}) == found.recipe  # fmt: skip


def test_a_technique_that_is_off_takes_its_settings_along(found):
    off = apply(found.recipe, {"techniques.toy-tta": False, "techniques.toy-tta.identity": 0.5})
    assert off.techniques == ()
    assert apply(off, {"techniques.toy-tta": True}).techniques[0].name == "toy-tta"
    with pytest.raises(RecipeError, match="has no technique toy-tta; add it with --with"):
        apply(off, {"techniques.toy-tta.identity": 0.5}, strict=True)


def test_a_file_narrows_widens_and_drops(tmp_path, found):
    path = tmp_path / "space.toml"
    path.write_text(
        'drop = ["optimizer"]\nlr = {low = 1e-3, high = 1e-2, log = true}\n'
        "batch_size = {low = 4, high = 16, step = 4}\n"
        'decoder = ["unet", "fpn"]\n[loss]\ndice = [0.0, 1.0]\n[techniques]\ntoy-tta = [true]\n'
    )
    space = read_space(path, default_space(found))
    assert "optimizer" not in space and space["lr"] == FloatDistribution(1e-3, 1e-2, log=True)
    assert space["batch_size"] == IntDistribution(4, 16, step=4)
    assert space["loss.dice"] == CategoricalDistribution([0.0, 1.0])
    assert space["techniques.toy-tta"] == CategoricalDistribution([True])
    path.write_text("replace = true\nlr = [1e-3, 1e-2]\n")
    assert read_space(path, space) == {"lr": CategoricalDistribution([1e-3, 1e-2])}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lr = 3", "lr: expected [a, b, c], or {low = 1e-4"),
        ("lr = []", "lr: expected [a, b, c]"),
        ("lr = {low = 1}", "lr: expected [a, b, c]"),
        ("lr = {low = 2.0, high = 1.0}", "lr: low=2.0 must lie below high=1.0"),
        ("lr = {low = 0.0, high = 1.0, log = true}", "lr: "),
        ("lr = {low = 1, high = 2, hihg = 3}", "lr: expected [a, b, c]"),
        ('drop = ["lrr"]', "drop: lrr is not searched; did you mean lr?"),
        ("drop = {a = 1}", "drop: expected a list of settings' names; got {'a': 1}"),
        ("drop = [[1]]", "drop: expected a list of settings' names; got [1]"),
        ("drop = 5", "drop: expected a list of settings' names; got 5"),
        ('replace = "no"', "replace: expected true or false; got 'no'"),
        ("lr = {low = true, high = 2}", "lr: low = True is no number"),
        ('lr = {low = "a", high = "b"}', "lr: low = 'a' is no number"),
        ("lr = {low = [1], high = [2]}", "lr: low = [1] is no number"),
        ("lr = {low = 1.0, high = inf}", "lr: high = inf is no number"),
        ("lr = {low = nan, high = 1.0}", "lr: low = nan is no number"),
        ("lr = {low = 1, high = 9, step = true}", "lr: step = True is no number"),
        ("lr = {low = 1, high = 9, log = 1}", "lr: log = 1: expected true or false"),
        ("lr = " + "[" * 3000 + "]" * 3000, "not valid TOML: is nested more than 64 levels deep"),
        (".".join("a" * 3000) + " = 1", "not valid TOML: is nested more than 64 levels deep"),
        ("lr = ", "not valid TOML"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path, text, fault):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        read_space(path, {"lr": FloatDistribution(0.1, 1)})
    assert str(error.value).startswith(f"--space {path}: ") and fault in str(error.value)


def test_a_missing_file_is_asked_wrongly(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_space(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("space", "fault"),
    [
        ({}, "the search space is empty: nothing would vary"),
        ({"lr": FloatDistribution(1.0, 1.0)}, "the search space is empty"),
        ({"lrr": FloatDistribution(0.1, 1)}, "space: lrr = 0.1: lrr is not a setting of a recipe; did you mean lr?"),
        (
            {"lr": FloatDistribution(0.1, 100)},
            "space: lr = 100.0: recipe: lr: Input should be less than or equal to 10",
        ),
        ({"optimizer": CategoricalDistribution(["adam", "lion"])}, "space: optimizer = 'lion': recipe: optimizer"),
        ({"fidelity.epochs": IntDistribution(1, 9)}, "space: fidelity.epochs is not searched: rungs"),
        ({"seed": IntDistribution(1, 9)}, "space: seed is not searched"),
        (
            {"techniques.nothing": CategoricalDistribution([True, False])},
            "space: techniques.nothing = True: no technique",
        ),
        ({"techniques.nothing.p": FloatDistribution(0, 1)}, "has no technique nothing; add it with --with nothing"),
        ({"techniques.toy-tta.p": FloatDistribution(0, 1)}, "techniques.toy-tta.p is not a setting"),
        ({"settings.p": FloatDistribution(0, 1)}, "settings.p: discs has no settings of its own"),
    ],
)
def test_a_space_that_no_recipe_takes_is_refused_before_anything_runs(found, space, fault):
    with pytest.raises(KagglekitError) as error:
        check_space(space, found.recipe, found.registry)
    assert fault in str(error.value)


def test_the_space_comes_back_from_json(found):
    space = default_space(found) | {
        "batch_size": IntDistribution(1, 64, log=True),
        "clip": FloatDistribution(0, 9, step=3),
    }
    assert from_json(to_json(space)) == space


def test_a_distribution_contains_its_values_only():
    assert contains(FloatDistribution(0, 1), 0.5) and not contains(FloatDistribution(0, 1), 1.5)
    assert not contains(FloatDistribution(0, 1), "0.5") and contains(CategoricalDistribution(["a"]), "a")
    assert parse_distribution([1, 2], "x") == CategoricalDistribution([1, 2])


def test_a_plugins_search_space_needs_no_code_of_ours():
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Extra:
        """A technique of a stranger."""

        name: ClassVar[str] = "extra"
        strength: float = 0.5

        @classmethod
        def space(cls):
            return {"strength": FloatDistribution(0.0, 1.0)}

    registry = build(toy=bringing("toy", competition=competition("toy")), extra=techniques_of(Extra))
    made = solution(registry, techniques=["extra"])
    assert set(default_space(made)) == {"techniques.extra", "techniques.extra.strength"}
