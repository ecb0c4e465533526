"""From a recipe to answers: defaults, then the competition, then techniques in recipe order; faults name the plugin."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from kagglekit import DataError, PluginError, RecipeError, View, hookimpl
from kagglekit.errors import UsageError
from kagglekit.plugin.registry import SPECS
from kagglekit.plugin.solution import resolve
from tests.helpers import Folder, answer, bringing, build, competition, placed, solution, techniques_of, toy


def view(name: str, weight: float = 1.0) -> View:
    """A view that changes nothing."""
    return View(name, weight, lambda x: x, lambda x: x)


@dataclass(frozen=True)
class First:
    """Adds its mark to the findings."""

    name: ClassVar[str] = "first"
    mark: str = "a"
    times: int = 1

    @hookimpl(wrapper=True)
    def kk_clean(self):
        """The findings so far and the mark."""
        return [*(yield), *[self.mark] * self.times]


@dataclass(frozen=True)
class Second:
    """Adds another mark to the findings; its scale must be positive."""

    name: ClassVar[str] = "second"
    scale: float = 1.0

    def __post_init__(self):
        if self.scale <= 0:
            raise ValueError("scale must be positive")

    @hookimpl(wrapper=True)
    def kk_clean(self):
        """The findings so far and b."""
        return [*(yield), "b"]


@dataclass(frozen=True)
class Settings:
    """Settings of the toy competition."""

    area: int = 75
    pattern: str | None = None


class Convolution(torch.nn.Module):
    """A network with as many classes as asked for."""

    def __init__(self, classes):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, classes, 1)

    def forward(self, images):
        """Logits of the image's size."""
        return self.layer(images)


def test_the_engine_answers_what_nobody_else_answers():
    plain = toy()
    samples = Folder(train="abcd").train
    assert plain.clean(None) == []
    assert [v.name for v in plain.views()] == ["identity"]
    store = SimpleNamespace(tiling=None)
    sampler = plain.sampler(None, samples, store)
    assert {d.sample.id for d in sampler(0)} == set("abcd")
    assert [d.sample.id for d in sampler(3)] == [d.sample.id for d in plain.sampler(None, samples, store)(3)]
    assert plain.who_answers("kk_clean") == ["defaults"]


def test_every_hook_is_answered_by_the_engine_or_says_in_its_question_that_it_is_not():
    required = {"kk_competition", "kk_techniques", "kk_sample", "kk_dataset"}
    assert {name for name in SPECS if not toy().who_answers(name)} == required - {"kk_competition"}
    for name, spec in SPECS.items():
        assert ("Default" in spec.__doc__) == (name not in required), name


def test_the_competition_answers_before_the_engine():
    chosen = toy(kk_clean=answer(["mine"], "kk_clean"))
    assert chosen.clean(None) == ["mine"]
    assert chosen.who_answers("kk_clean") == ["defaults", "toy"]


def test_an_answer_of_none_leaves_the_question_to_the_engine():
    assert [v.name for v in toy(kk_tta=answer(None, "kk_tta")).views()] == ["identity"]


@pytest.mark.parametrize("order", [(First, Second), (Second, First)])
def test_techniques_wrap_in_the_order_of_the_recipe(order):
    wrapped = toy(*order, kk_clean=answer(["mine"], "kk_clean"))
    assert wrapped.clean(None) == ["mine", *({First: "a", Second: "b"}[kind] for kind in order)]
    assert wrapped.who_answers("kk_clean")[-2:] == [kind.name for kind in order]


def test_a_technique_that_is_not_in_the_recipe_has_no_say():
    registry = build(toy=bringing("toy"), extra=techniques_of(First, Second))
    assert solution(registry, techniques=["second"]).clean(None) == ["b"]


def test_plugins_of_other_competitions_have_no_say():
    registry = build(toy=bringing("toy"), other=bringing("other", kk_clean=answer(["other"], "kk_clean")))
    assert solution(registry).clean(None) == []


def test_each_resolution_has_a_plugin_manager_of_its_own():
    registry = build(toy=bringing("toy"), extra=techniques_of(First))
    one, other = solution(registry), solution(registry, techniques=["first"])
    assert one.manager is not other.manager
    assert (one.clean(None), other.clean(None)) == ([], ["a"])


def test_only_the_plugins_that_a_recipe_uses_belong_to_its_solution():
    registry = build(toy=bringing("toy"), extra=techniques_of(First), idle=bringing("idle"))
    assert [p.name for p in solution(registry).plugins] == ["toy"]
    assert [p.name for p in solution(registry, techniques=["first"]).plugins] == ["toy", "extra"]


def test_a_recipe_is_the_same_whether_defaults_are_spelled_out_or_not():
    registry = build(
        toy=bringing("toy", competition=competition(settings=Settings)), extra=techniques_of(First, Second)
    )
    short = solution(registry, techniques=["first", "second"]).recipe
    long = solution(
        registry,
        settings={"area": 75},
        horizon=0,
        techniques=[
            {"name": "first", "settings": {"times": 1, "mark": "a"}},
            {"name": "second", "settings": {"scale": 1}},
        ],
    ).recipe
    other = solution(registry, techniques=["first", {"name": "second", "settings": {"scale": 2}}]).recipe
    assert short.identity() == long.identity() != other.identity()
    assert short.techniques[0].settings == {"mark": "a", "times": 1}


def test_resolving_a_resolved_recipe_changes_nothing():
    registry = build(toy=bringing("toy", competition=competition(settings=Settings)), extra=techniques_of(First))
    once = solution(registry, techniques=["first"]).recipe
    assert resolve(once, registry).recipe == once


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"settings": {"aera": 3}}, r"settings\.aera is not a setting; did you mean area\?"),
        ({"settings": {"area": "much"}}, r"settings: area: Input should be a valid integer.*\(got 'much'\)"),
        ({"techniques": [{"name": "first", "settings": {"mrak": 1}}]}, r"techniques\.first\.mrak is .*mean mark\?"),
        ({"techniques": [{"name": "first", "settings": {"times": 1.5}}]}, r"techniques\.first: times: .*\(got 1\.5\)"),
        ({"settings": {"area": True}}, r"settings: area: true and false are no numbers.*\(got True\)"),
        ({"techniques": [{"name": "first", "settings": {"times": True}}]}, r"first: times: true and false are no"),
        ({"techniques": [{"name": "first", "settings": {"mark": False}}]}, r"first: mark: true and false are no"),
        ({"techniques": [{"name": "second", "settings": {"scale": -1}}]}, r"techniques\.second: .*must be positive"),
        ({"techniques": [{"name": "second", "settings": {"scale": float("nan")}}]}, r"finite number \(got nan\)"),
        ({"techniques": ["first", "second", "first"]}, r"techniques: first is listed twice"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_key_and_value(changes, text):
    registry = build(
        toy=bringing("toy", competition=competition(settings=Settings)), extra=techniques_of(First, Second)
    )
    with pytest.raises(RecipeError, match=text):
        solution(registry, **changes)


def test_settings_of_a_competition_without_any_are_refused():
    with pytest.raises(RecipeError, match=r"settings\.area: toy has no settings of its own"):
        solution(build(toy=bringing("toy")), settings={"area": 3})


def test_names_that_nobody_brings_are_refused_with_a_suggestion():
    registry = build(toy=bringing("toy"), extra=techniques_of(First))
    with pytest.raises(UsageError, match=r"no technique is named frist; did you mean first\?"):
        solution(registry, techniques=["frist"])
    with pytest.raises(UsageError, match=r"no competition is named tyo; did you mean toy\?"):
        solution(registry, "tyo")


@pytest.mark.parametrize(
    "weights", [(), (0.5,), (0.7, 0.7), (1.5, -0.5), (float("nan"),), (0.5, float("nan")), (float("inf"),)]
)
def test_views_whose_weights_are_no_weights_name_who_answered(weights):
    views = tuple(view(str(i), weight) for i, weight in enumerate(weights))
    with pytest.raises(PluginError, match=r"kk_tta\(\) \(answered by defaults, toy\): weights of the views must be"):
        toy(kk_tta=answer(views, "kk_tta")).views()


def test_weights_of_views_may_be_off_by_rounding():
    views = tuple(view(str(i), 0.1) for i in range(10))
    assert toy(kk_tta=answer(views, "kk_tta")).views() == views


@pytest.mark.parametrize(("train", "test", "part"), [("aba", "", "train"), ("ab", "xyyz", "test")])
def test_sample_ids_that_occur_twice_name_plugin_part_and_id(train, test, part):
    twice = toy(kk_dataset=answer(Folder(train, test), "kk_dataset"))
    with pytest.raises(PluginError, match=rf"plugin toy \(dist-toy 1\.0\): kk_dataset\(\): .* twice in {part}"):
        twice.dataset(Path("anywhere"))


def test_one_id_may_stand_in_both_parts():
    both = Folder("ab", "ab")
    assert toy(kk_dataset=answer(both, "kk_dataset")).dataset("anywhere") is both


@pytest.mark.parametrize("ask", [lambda s: s.dataset("x"), lambda s: s.sample(Path("x"), 8, 0, None)])
def test_a_question_without_an_answer_names_the_plugin_that_owes_it(ask):
    with pytest.raises(PluginError, match=r"plugin toy \(dist-toy 1\.0\): does not answer kk_(dataset|sample)\(\)"):
        ask(toy())


def failing_with(error, hook: str):
    """The toy competition whose hook, written in a module of the plugin, raises `error`."""

    def fail():
        raise error

    return toy(**{hook: hookimpl(placed(fail, "made_toy", hook))})


def test_an_error_inside_a_hook_names_plugin_hook_and_cause():
    with pytest.raises(PluginError, match=r"plugin toy \(dist-toy 1\.0\): kk_clean\(\) failed with KeyError: 'id'; "):
        failing_with(KeyError("id"), "kk_clean").clean(None)


@pytest.mark.parametrize("error", [DataError("no labels"), OSError(28, "No space left on device")])
def test_faults_of_data_and_disk_are_not_blamed_on_the_plugin(error):
    with pytest.raises(type(error)) as caught:
        failing_with(error, "kk_clean").clean(None)
    assert caught.value is error


def test_an_error_inside_a_technique_names_the_plugin_that_brings_it():
    @dataclass(frozen=True)
    class Failing:
        name: ClassVar[str] = "failing"

        @hookimpl(wrapper=True)
        def kk_clean(self):
            yield
            raise IndexError("beyond")

    registry = build(toy=bringing("toy"), extra=techniques_of(Failing, name=__name__.split(".")[0] + ".made"))
    with pytest.raises(PluginError, match=r"plugin extra \(dist-extra 1\.0\): kk_clean\(\) failed with IndexError"):
        solution(registry, techniques=["failing"]).clean(None)


def test_logits_of_a_wrong_shape_say_what_was_expected():
    wrong = toy(kk_model=answer(Convolution(2), "kk_model"))
    with pytest.raises(PluginError, match=r"answered by defaults, toy.*\(1, 2, 64, 96\); expected \(1, 1, 64, 96\)"):
        wrong.model(3)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("no network", "AttributeError"),
        (torch.nn.Conv2d(4, 1, 1), "RuntimeError"),
        (lambda images: 1, "AttributeError"),
    ],
)
def test_a_network_that_cannot_be_called_names_who_answered(network, text):
    with pytest.raises(PluginError, match=rf"kk_model\(\) \(answered by defaults, toy\): .*{text}"):
        toy(kk_model=answer(network, "kk_model")).model(3)


@pytest.mark.parametrize("training", [True, False])
def test_looking_at_the_logits_leaves_the_network_as_it_was(training):
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), Convolution(1)).train(training)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert toy(kk_model=answer(network, "kk_model")).model(3) is network
    assert network.training is training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_tracing_prints_each_question_and_who_answers_it(monkeypatch, capsys):
    toy(First).clean(None)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("KAGGLEKIT_TRACE", "1")
    toy(First, kk_clean=answer([], "kk_clean")).clean(None)
    assert capsys.readouterr().err == "kagglekit: kk_clean: first, toy, defaults\n"
