"""Recipes: they survive every form they are written in, and refuse what they do not understand."""

import json

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kagglekit.errors import RecipeError
from kagglekit.recipe import (
    Fidelity,
    Recipe,
    TechniqueSpec,
    compose,
    digest,
    flatten,
    load,
    parse_override,
    setting_names,
    validate,
)

text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
keys = st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | numbers | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=5
)


def positive(top):
    """Floats above 0 up to `top`."""
    return st.floats(min_value=0, exclude_min=True, max_value=top)


FIELDS = {
    "competition": keys,
    "seed": st.integers(0, 2**31 - 1),
    "folds": st.integers(2, 100),
    "fold": st.integers(0, 1),
    "encoder": text,
    "decoder": text,
    "encoder_weights": text,
    "batch_size": st.integers(1, 4096),
    "accumulate": st.integers(1, 1024),
    "optimizer": st.sampled_from(["adam", "adamw", "sgd"]),
    "lr": positive(10),
    "weight_decay": st.floats(0, 1),
    "schedule": st.sampled_from(["cosine", "poly", "constant"]),
    "warmup": st.floats(0, 1e6),
    "horizon": st.floats(0, 1e6),
    "clip": st.floats(0, 1e6),
    "loss": st.dictionaries(keys, st.floats(0, 1e6), max_size=3),
    "ema": st.floats(0, 1, exclude_max=True),
    "precision": st.sampled_from(["auto", "bf16", "fp16", "fp32"]),
    "max_damaged": st.floats(0, 1),
    "fidelity": st.builds(
        Fidelity,
        image_size=st.integers(1, 128).map(lambda n: 32 * n),
        fraction=positive(1),
        epochs=st.integers(1, 10_000),
    ),
    "settings": st.dictionaries(keys, values, max_size=3),
    "techniques": st.lists(
        st.builds(TechniqueSpec, name=keys, settings=st.dictionaries(keys, values, max_size=3)), max_size=3
    ).map(tuple),
}
recipes = st.builds(Recipe, **FIELDS)
PLAIN = Recipe(competition="toy")


def composed(*layers, **edits):
    """The composition of these layers over the competition's name."""
    named = [(f"layer {i}", layer) for i, layer in enumerate(layers)]
    return compose([("default", {"competition": "toy"}), *named], **edits)


def overridden(*texts: str):
    """The toy recipe after these -o."""
    return composed(dict(map(parse_override, texts)))


def test_the_strategies_cover_every_field():
    assert set(FIELDS) == set(Recipe.model_fields)


@settings(deadline=None)
@given(recipes)
def test_a_recipe_survives_toml(tmp_path_factory, recipe):
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert compose([("file", load(path))])[0] == recipe


@settings(deadline=None)
@given(recipes)
def test_a_recipe_survives_json(tmp_path_factory, recipe):
    path = tmp_path_factory.getbasetemp() / "round.json"
    path.write_text(recipe.model_dump_json(), encoding="utf-8")
    assert compose([("file", load(path))])[0] == recipe


def test_a_setting_of_none_is_left_out_of_toml_where_there_is_no_null():
    recipe = Recipe(
        competition="toy",
        settings={"x": None, "y": [{"z": None}]},
        techniques=[{"name": "t", "settings": {"p": None, "q": 1}}],
    )
    assert "x = " not in recipe.to_toml()
    assert "[settings]" in recipe.to_toml() and "q = 1" in recipe.to_toml()


@given(keys, scalars)
def test_an_override_survives_the_command_line(key, value):
    written = tomli_w.dumps({"v": value}).removeprefix("v = ").removesuffix("\n")
    assert parse_override(f"{key}={written}") == (key, value)


@given(st.text("abcxyz-_ /.", min_size=1).map(str.strip).filter(lambda s: s and s not in ("inf", "nan")))
def test_an_override_that_is_no_toml_is_text(value):
    assert parse_override(f"encoder={value}") == ("encoder", value)


def test_only_the_first_equals_sign_of_an_override_divides_it():
    assert parse_override(" settings.regex = ^(a=b) ") == ("settings.regex", "^(a=b)")


@pytest.mark.parametrize("wrong", ["lr", "", "=3", "  =3"])
def test_an_override_without_key_or_value_is_refused_with_an_example(wrong):
    with pytest.raises(RecipeError, match=r"expected key=value, for example -o lr=3e-4"):
        parse_override(wrong)


@given(recipes, st.randoms())
def test_identity_does_not_depend_on_the_order_of_keys(recipe, random):
    content = recipe.model_dump(mode="json")
    shuffled = {}
    for key in random.sample(list(content), len(content)):
        inner = content[key]
        shuffled[key] = dict(reversed(inner.items())) if isinstance(inner, dict) else inner
    assert Recipe(**shuffled).identity() == recipe.identity()


OTHER = {
    "competition": "other", "seed": 1, "folds": 5, "fold": 1, "encoder": "x", "decoder": "x", "encoder_weights": "none",
    "batch_size": 9, "accumulate": 2, "optimizer": "sgd", "lr": 2e-3, "weight_decay": 0.5, "schedule": "poly",
    "warmup": 1, "horizon": 1, "clip": 1, "loss": {"bce": 1}, "ema": 0.5, "precision": "fp32", "max_damaged": 0.5,
    "settings": {"a": 1}, "techniques": [{"name": "a"}],
    "fidelity.image_size": 512, "fidelity.fraction": 0.5, "fidelity.epochs": 9,
}  # fmt: skip


def test_identity_is_changed_by_every_field():
    assert set(OTHER) == (set(setting_names()) | {"settings", "techniques"})
    seen = {PLAIN.identity()} | {composed({key: value})[0].identity() for key, value in OTHER.items()}
    assert len(seen) == 1 + len(OTHER) >= 25


def test_identity_is_changed_by_the_order_and_the_settings_of_techniques():
    with_settings = [[{"name": "a", "settings": {"p": p}}] for p in (1, 2)]
    lists = [["a", "b"], ["b", "a"], ["a"], *with_settings]
    assert len({composed({"techniques": techniques})[0].identity() for techniques in lists}) == len(lists)


@pytest.mark.parametrize("same", [{"lr": 1e-3}, {"horizon": 0}, {"clip": 5}, {"fidelity": {}}, {"techniques": []}])
def test_identity_is_the_same_for_a_default_that_is_written_out(same):
    assert composed(same)[0].identity() == PLAIN.identity()


def test_a_digest_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_a_recipe_has_at_most_twenty_flat_fields():
    flat = set(Recipe.model_fields) - {"fidelity", "settings", "techniques"}
    assert 15 <= len(flat) <= 20


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        PLAIN.lr = 1.0


def test_later_layers_win_and_origins_say_which():
    recipe, origins = compose(
        [
            ("default", {"competition": "toy"}),
            ("competition toy", {"lr": 0.1, "batch_size": 4, "loss": {"bce": 0.9, "dice": 0.1}}),
            ("preset demo", {"fidelity.epochs": 2, "lr": 0.2}),
            ("-o", {"lr": 0.3, "loss.dice": 0.5}),
        ]
    )
    assert (recipe.lr, recipe.batch_size, recipe.fidelity.epochs) == (0.3, 4, 2)
    assert recipe.loss == {"bce": 0.9, "dice": 0.5}
    assert origins == {
        "competition": "default",
        "batch_size": "competition toy",
        "loss": "competition toy",
        "fidelity.epochs": "preset demo",
        "lr": "-o",
        "loss.dice": "-o",
    }


def test_a_whole_table_replaces_its_parts_and_where_they_came_from():
    recipe, origins = composed({"loss.dice": 0.1}, {"loss": {"focal": 1.0}})
    assert recipe.loss == {"focal": 1.0}
    assert origins["loss"] == "layer 1" and "loss.dice" not in origins
    recipe, origins = composed(
        {"techniques": ["a"]}, {"techniques.a.p": 1}, {"techniques": [{"name": "a", "settings": {"p": 2}}]}
    )
    assert recipe.techniques[0].settings == {"p": 2}
    assert origins["techniques"] == "layer 2" and "techniques.a.p" not in origins


def test_a_part_of_the_loss_joins_the_default_loss():
    assert overridden("loss.focal=1")[0].loss == {"bce": 0.5, "dice": 0.5, "focal": 1.0}


def test_composing_leaves_the_layers_as_they_were():
    layer = {"techniques": [{"name": "a", "settings": {"p": 1}}], "loss": {"bce": 1.0}}
    before = json.dumps(layer)
    composed(layer, {"techniques.a.p": 2, "loss.dice": 3})
    assert json.dumps(layer) == before


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=3", "seed", 3),
        ("lr=3e-4", "lr", 3e-4),
        ("lr=1", "lr", 1.0),
        ("encoder=resnet34", "encoder", "resnet34"),
        ('encoder="resnet34"', "encoder", "resnet34"),
        ("encoder_weights=/a b/c.pth", "encoder_weights", "/a b/c.pth"),
        ("optimizer=sgd", "optimizer", "sgd"),
        ("loss={bce=1}", "loss", {"bce": 1.0}),
        ('techniques=["a"]', "techniques", (TechniqueSpec(name="a"),)),
        ("fidelity={epochs=3}", "fidelity", Fidelity(epochs=3)),
    ],
)
def test_an_override_of_each_type_arrives(override, key, value):
    recipe, origins = overridden(override)
    assert getattr(recipe, key) == value and origins[key] == "layer 0"


def test_overrides_reach_into_fidelity_settings_and_techniques():
    texts = ["fidelity.epochs=3", "settings.x=[1,2]", "techniques.a.p=true"]
    recipe, _ = composed({"techniques": ["a"]}, dict(map(parse_override, texts)))
    assert recipe.fidelity.epochs == 3
    assert recipe.settings == {"x": [1, 2]}
    assert recipe.techniques[0].settings == {"p": True}


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("lrr=1", "layer 0: lrr is not a setting of a recipe; did you mean lr?"),
        ("image_size=64", "layer 0: image_size is not a setting of a recipe; did you mean fidelity.image_size?"),
        ("fidelity.epoch=1", "layer 0: fidelity.epoch is not a setting of a recipe; did you mean fidelity.epochs?"),
        ("qqqqqq=1", "qqqqqq is not a setting of a recipe; known: accumulate, batch_size, "),
        ("lr.x=1", "layer 0: lr.x: lr has no parts; set it as lr=VALUE"),
        ("lr=fast", "recipe: lr: Input should be a valid number, unable to parse string as a number (got 'fast')"),
        ("lr=0", "recipe: lr: Input should be greater than 0 (got 0)"),
        ("lr=nan", "recipe: lr: Input should be a finite number (got nan)"),
        ("lr=", "recipe: lr: Input should be a valid number, unable to parse string as a number (got '')"),
        ("batch_size=2.5", "recipe: batch_size: Input should be a valid integer, got a number with a fractional part"),
        ("seed=-1", "recipe: seed: Input should be greater than or equal to 0 (got -1)"),
        ("ema=1", "recipe: ema: Input should be less than 1 (got 1)"),
        ("optimizer=lion", "recipe: optimizer: Input should be 'adam', 'adamw' or 'sgd' (got 'lion')"),
        ("encoder=3", "recipe: encoder: Input should be a valid string (got 3)"),
        ("fidelity.image_size=100", "recipe: fidelity.image_size: Input should be a multiple of 32 (got 100)"),
        ("fidelity.fraction=1.5", "recipe: fidelity.fraction: Input should be less than or equal to 1 (got 1.5)"),
        ("loss.bce=-1", "recipe: loss.bce: Input should be greater than or equal to 0 (got -1)"),
        ("fold=10", "recipe: fold=10 does not exist with folds=10; use 0..9"),
        ("batch_size=true", "recipe: batch_size: true and false are no numbers and no text (got True)"),
        ("lr=true", "recipe: lr: true and false are no numbers"),
        ("fold=false", "recipe: fold: true and false are no numbers"),
        ("loss.bce=true", "recipe: loss: true and false are no numbers"),
        ("fidelity.epochs=true", "recipe: fidelity.epochs: true and false are no numbers"),
        ("encoder=true", "recipe: encoder: true and false are no numbers and no text"),
        ("lr=1e-3\nx=4", "-o 'lr=1e-3\\nx=4': holds more than one value; give each setting an -o of its own"),
        ("lr=1e-3\n[x]", "holds more than one value"),
        ("lr=1e-3 # 3e-4", "holds more than one value"),
        ("settings.x=" + "[" * 3000 + "]" * 3000, "-o settings.x: its value is nested more than 64 levels deep"),
        ("encoder=\udcb0", r"recipe: '\\udcb0' is no text"),
        ("settings=3", "recipe: settings: Input should be a valid dictionary (got 3)"),
        ("techniques=a", "layer 0: techniques: expected a list of names, or of tables with name and settings; got 'a'"),
        ("techniques=[3]", "layer 0: techniques: expected a list of names, or of tables with name and settings"),
        ("techniques=[{settings={}}]", "layer 0: techniques: expected a list of names, or of tables with name"),
        ("techniques.a.p=1", "layer 0: techniques.a.p: the recipe has no technique a; add it with --with a"),
    ],
)
def test_what_does_not_fit_is_refused_with_key_fault_and_value(override, error):
    with pytest.raises(RecipeError) as caught:
        overridden(override)
    assert error in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize("key", ["fidelity", "settings", "loss"])
def test_parts_of_what_was_set_to_no_table_are_refused(key):
    with pytest.raises(RecipeError, match=rf"layer 1: {key}\.epochs: {key} was set to 3, which has no parts"):
        composed({key: 3}, {f"{key}.epochs": 1})


def test_settings_of_techniques_given_as_a_table_are_refused_and_never_dropped():
    with pytest.raises(RecipeError, match="techniques: expected a list of names"):
        composed({"techniques": {"a": {"p": 1}}})


def test_an_unknown_setting_inside_a_technique_or_fidelity_is_refused():
    with pytest.raises(RecipeError, match=r"recipe: techniques\.0\.setings: Extra inputs are not permitted"):
        composed({"techniques": [{"name": "a", "setings": {}}]})
    with pytest.raises(RecipeError, match=r"recipe: fidelity\.epoch: Extra inputs are not permitted"):
        validate({"competition": "toy", "fidelity": {"epoch": 1}})


def test_with_appends_and_without_removes_before_the_last_layer_is_laid_on_top():
    recipe, origins = composed(
        {"techniques": ["a", "b"]}, {"techniques.c.q": 3}, with_=["c:p=0.5,name=x", "d"], without=["a"]
    )
    assert [t.name for t in recipe.techniques] == ["b", "c", "d"]
    assert recipe.techniques[1].settings == {"p": 0.5, "name": "x", "q": 3}
    assert origins["techniques"] == "layer 0"
    assert origins["techniques.d"] == "--with" and origins["techniques.c.q"] == "layer 1"


def test_with_a_technique_that_is_there_and_without_one_that_is_not_are_refused():
    with pytest.raises(RecipeError, match=r"--with a: the recipe has it already; change it with -o techniques\.a\.KEY"):
        composed({"techniques": ["a"]}, {}, with_=["a"])
    with pytest.raises(RecipeError, match=r"--without flip: the recipe has no such technique; did you mean flip-tta\?"):
        composed({"techniques": ["flip-tta"]}, {}, without=["flip"])


def test_an_override_of_a_technique_needs_its_setting():
    with pytest.raises(RecipeError, match=r"techniques\.a: expected techniques\.a\.SETTING=VALUE"):
        composed({"techniques": ["a"]}, {"techniques.a": 1})


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("r.toml", 'competition = "toy"\nlr = = 3\n', r"r\.toml: not valid toml: .*line 2, column 6"),
        ("r.json", '{"competition": "toy",\n "lr": }', r"r\.json: not valid json: .*line 2 column 8"),
        ("r.json", "[1, 2]", r"r\.json: expected keys and values, found list"),
        ("r.toml", b"\xff\xfe", r"r\.toml: cannot be read: .*; give a \.toml or \.json file"),
        ("r.yaml", "competition: toy", r"r\.yaml: not valid yaml: "),
        ("r.json", '{"a":' * 3000 + "1" + "}" * 3000, r"r\.json: not valid json: is nested more than 64 levels deep"),
        ("r.toml", "a = " + "[" * 3000 + "]" * 3000, r"r\.toml: not valid toml: is nested more than 64 levels deep"),
        ("r.toml", ".".join("a" * 3000) + " = 1", r"r\.toml: not valid toml: is nested more than 64 levels deep"),
        ("r.json", '{"lr": NaN}', r"r\.json: not valid json: NaN is no number"),
    ],
)
def test_a_recipe_file_that_cannot_be_read_says_where(tmp_path, name, content, error):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=error):
        load(path)


def test_half_of_a_character_in_a_recipe_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "r.json").write_text('{"competition": "toy", "encoder": "\\ud800"}')
    with pytest.raises(RecipeError, match=r"recipe: '\\\\ud800' is no text: it holds half of a character"):
        compose([("r.json", load(tmp_path / "r.json"))])


def test_a_value_may_have_several_lines_or_be_text_that_is_no_toml():
    assert parse_override("settings.x=[1,\n2]") == ("settings.x", [1, 2])
    assert parse_override('settings.x="""a\nb"""') == ("settings.x", "a\nb")
    assert parse_override("encoder=a#b") == ("encoder", "a#b")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_recipe_file_that_is_not_there_is_said_so(tmp_path, name):
    with pytest.raises(RecipeError, match="cannot be read"):
        load(tmp_path / name)


def test_flattening_keeps_techniques_and_loss_whole():
    layer = {"lr": 1, "fidelity": {"epochs": 2}, "loss": {"bce": 1}, "settings": {"a": {"b": 1}}, "techniques": [{}]}
    assert flatten(layer) == {
        "lr": 1,
        "fidelity.epochs": 2,
        "loss": {"bce": 1},
        "settings.a": {"b": 1},
        "techniques": [{}],
    }


def test_every_setting_that_is_suggested_exists():
    names = setting_names()
    assert len(names) == len(set(names)) >= 23
    for name in names:
        head, _, part = name.partition(".")
        assert head in Recipe.model_fields and (not part or part in Fidelity.model_fields)
