"""A whole ablation of the toy competition, in-process: what is trained, what is judged without, what is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kagglekit.errors import UsageError
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import acts_after_training
from kagglekit.runs.record import plain
from kagglekit.search.ablate import ABLATION, ablate, ablation_of
from kagglekit.search.ablation_plan import AblationPlan, Axis, Study, axes_of
from kagglekit.search.local import climb, objective_at
from kagglekit.search.trial_store import Outcome, Trials
from tests.search.toy import at_hand

MORE = '''

@dataclass(frozen=True)
class Epochs:
    """The last epochs together."""

    name: ClassVar[str] = "toy-epochs"

    @hookimpl(wrapper=True)
    def kk_ensemble(self):
        from kagglekit.predict.ensemble import LastEpochs

        yield
        return LastEpochs(2)


@dataclass(frozen=True)
class Blind:
    """Trains on black images."""

    name: ClassVar[str] = "toy-blind"

    @hookimpl(wrapper=True)
    def kk_augment(self):
        yield
        return lambda image, mask: (image * 0, mask)


@hookimpl
def kk_techniques():
    return [ToyTTA, Epochs, Blind]
'''


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    return at_hand(tmp_path, monkeypatch, more=MORE)


def solved(*techniques: str, **overrides):
    """The toy's solution with these techniques."""
    registry = discover()
    layers = [("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)]
    recipe, _ = compose([*layers, ("", {"techniques": list(techniques), "fidelity.epochs": 2} | overrides)])
    return resolve(recipe, registry)


def planned(solution, wanted=(), **changes) -> AblationPlan:
    facts = {"name": "", "recipe": solution.recipe, "axes": axes_of(solution, wanted), "seeds": 1}
    return AblationPlan(**facts | changes)


def run(plan, solution, data, trained=None):
    """The result of an ablation; names of what was trained go to `trained`."""

    def execute(study, place):
        objective = objective_at(place)

        def noted(task, report):
            if trained is not None:
                trained.append(task.name)
            return objective(task, report)

        climb(study, noted)

    return ablate(ablation_of(plan, solution, data, "kk ablate discs"), execute)


ALL = ("toy-tta", "toy-epochs", "toy-blind")


def test_what_follows_training_is_told_from_what_changes_it(toy):
    kinds = {t.name: acts_after_training(t) for t in solved(*ALL).techniques}
    assert kinds == {"toy-tta": True, "toy-epochs": True, "toy-blind": False}


def test_variants_are_all_each_left_out_none_and_each_alone(toy):
    plan = planned(solved(*ALL))
    assert list(plan.variants().values()) == [
        "everything", "without toy-tta", "without toy-epochs", "without toy-blind",
        "nothing", "only toy-tta", "only toy-epochs", "only toy-blind",
    ]  # fmt: skip
    assert len(planned(solved(*ALL), alone=False).variants()) == 4
    assert len(planned(solved(*ALL), pairs=True).variants()) == 8, "leaving two of three out leaves one alone"
    names = {spec["name"] for spec in plan.recipe_of(frozenset({"toy-tta"}))["techniques"]}
    assert names == {"toy-tta"}


def test_networks_are_shared_by_variants_that_train_alike(toy):
    jobs = planned(solved(*ALL)).jobs()
    names = planned(solved(*ALL)).variants()
    assert [[names[on] for on in job] for job in jobs] == [
        ["everything", "without toy-tta", "without toy-epochs", "only toy-blind"],
        ["without toy-blind", "nothing", "only toy-tta", "only toy-epochs"],
    ]
    assert len(planned(solved("toy-tta", "toy-epochs")).jobs()) == 1


def test_several_techniques_can_be_one_axis(toy):
    axes = axes_of(solved(*ALL), ["inference=toy-tta+toy-epochs", "toy-blind"])
    assert [(a.name, a.techniques, a.after) for a in axes] == [
        ("inference", ("toy-tta", "toy-epochs"), True),
        ("toy-blind", ("toy-blind",), False),
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            ["toy-ta"],
            r"--technique toy-ta: the recipe does not hold toy-ta; did you mean toy-tta\?; add it with --with",
        ),
        (["a=toy-tta", "toy-tta"], "toy-tta is named twice"),
        (["x=toy-tta+"], "does not hold a technique without a name"),
    ],
)
def test_techniques_that_the_recipe_does_not_hold_are_refused(toy, wanted, message):
    with pytest.raises(UsageError, match=message):
        axes_of(solved(*ALL), wanted)


def test_a_recipe_without_techniques_has_nothing_to_measure(toy):
    with pytest.raises(UsageError, match="holds no technique to measure; add some with --with"):
        axes_of(solved(), [])


@pytest.mark.slow
def test_an_ablation_trains_what_it_must_and_finds_the_harm(toy):
    solution, trained = solved(*ALL, **{"fidelity.epochs": 3}), []
    result = run(planned(solution, seeds=2), solution, toy, trained)
    assert sorted(trained) == ["everything", "everything, seed 2", "without toy-blind", "without toy-blind, seed 2"]
    effects = {one.axis: one for one in result.effects}
    assert effects["toy-blind"].left_out.verdict == "hurts" and not effects["toy-blind"].after
    assert effects["toy-tta"].after and effects["toy-tta"].cost.train == 0
    passes = {one.name: one.passes for one in result.variants}
    assert passes["everything"] == 4 and passes["nothing"] == 1 and passes["without toy-tta"] == 2
    folder = folders.home() / "ablations" / result.name
    assert json.loads((folder / "result.json").read_text()) == json.loads(json.dumps(plain(result)))
    assert "what each technique is worth" in (folder / "report.html").read_text()
    assert json.loads((folder / ABLATION).read_text())["name"] == result.name
    # A second call trains nothing; one seed more trains that seed alone.
    trained.clear()
    again = run(planned(solution, seeds=2), solution, toy, trained)
    assert trained == [] and again.effects == result.effects
    run(planned(solution, seeds=3), solution, toy, trained)
    assert sorted(trained) == ["everything, seed 3", "without toy-blind, seed 3"]


@pytest.mark.slow
def test_a_variant_judged_without_training_scores_what_its_own_run_scores(toy):
    from kagglekit.pipeline.experiment import validate
    from kagglekit.pipeline.request import Request

    solution = solved("toy-tta", "toy-epochs")
    result = run(planned(solution), solution, toy)
    for name, techniques in {
        "everything": ("toy-tta", "toy-epochs"),
        "nothing": (),
        "without toy-epochs": ("toy-tta",),
    }.items():
        alone = solved(*techniques)
        _, record, _ = validate(Request(alone, toy))
        evaluated = next(one.score for one in result.variants if one.name == name)
        assert evaluated == pytest.approx(record.validation.value, abs=1e-3), name  # kept as float16


@pytest.mark.slow
def test_weights_that_a_search_removed_are_trained_again(toy):
    import shutil

    solution = solved("toy-tta")
    first = run(planned(solution, name="a"), solution, toy)
    shutil.rmtree(folders.home() / "ablations")
    for run_folder in (folders.home() / "discs").iterdir():
        if run_folder.is_dir():
            shutil.rmtree(run_folder / "checkpoints")
            (run_folder / "variants.json").unlink()
    again = run(planned(solution, name="a"), solution, toy)
    assert [e.left_out.value for e in again.effects] == [e.left_out.value for e in first.effects]


def test_another_ablation_of_the_same_name_is_refused(toy):
    solution = solved("toy-tta")
    ablation = ablation_of(planned(solution, name="mine"), solution, toy)
    ablation.folder.mkdir(parents=True)
    folders.write_json(ablation.folder / ABLATION, {"name": "mine", "data": "other", "recipe": {}, "axes": []})
    with pytest.raises(
        UsageError, match="ablation mine exists and is another one, with other data and recipe and axes"
    ):
        ablate(ablation, lambda study, place: None)


def test_while_one_training_waits_for_what_cleans_those_that_need_nothing_of_it_come_first(toy, tmp_path):
    axes = tuple(Axis(name, (name,), after=False, waits=name == "b") for name in "ab")
    study, told = Study(planned(solved(*ALL), axes=axes, seeds=2), Trials(tmp_path, "code")), []

    def quick(task, report):
        told.append(task.name)
        return Outcome("done", 0.5, 1.0, train=1.0)

    climb(study, quick)
    study.trials.close()
    free = ["nothing", "without b", "nothing, seed 2", "without b, seed 2"]
    assert told == ["everything", *free, "without a", "everything, seed 2", "without a, seed 2"]


def test_after_everything_come_those_with_the_least_which_wait_for_no_cleaning(toy, tmp_path):
    axes = tuple(Axis(name, (name,), after=False) for name in "abc")
    plan, told = planned(solved(*ALL), axes=axes, seeds=2), []
    study = Study(plan, Trials(tmp_path, "code"))

    def quick(task, report):
        told.append(task.name)
        return Outcome("done", 0.5, 1.0, train=1.0)

    climb(study, quick)
    study.trials.close()
    order = ["everything", "nothing", *(f"only {n}" for n in "abc"), *(f"without {n}" for n in "abc")]
    assert told == [name + seed for seed in ("", ", seed 2") for name in order]


def test_a_seed_that_lacks_a_variant_is_not_compared(toy, tmp_path):
    solution = solved(*ALL)
    study = Study(planned(solution, seeds=2), Trials(tmp_path, "code"))
    rng = np.random.default_rng(0)

    def verdict():
        return {"score": 0.5, "pictures": ["a", "b"], "counts": rng.integers(1, 9, (2, 2)).tolist(), "passes": 1,
                "picture_seconds": 0.1}  # fmt: skip

    def quick(task, report):
        if task.name == "without toy-blind, seed 2":
            return Outcome("failed", error="it burned")
        return Outcome("done", 0.5, 1.0, variants={name: verdict() for name in task.variants}, train=1.0)

    climb(study, quick)
    from kagglekit.search.ablate import summarize

    told = summarize(study, solution.competition.metric)
    assert told["seeds"] == 1 and told["seeds_asked"] == 2 and len(told["effects"]) == 3
    assert told["failed"] == [{"variant": "without toy-blind", "seed": 1, "error": "it burned"}]
    assert replace(study.plan, seeds=1).variants() == study.plan.variants()
    study.trials.close()


@pytest.mark.slow
def test_fitted_weights_and_an_averaged_network_go_through_a_whole_run_and_an_ablation(tmp_path, monkeypatch):
    from kagglekit.pipeline.experiment import run as run_experiment
    from kagglekit.pipeline.request import Request
    from kagglekit_techniques.fitted import FitViews, GreedyEnsemble, WeightAverage

    kinds = ", ".join(kind.__name__ for kind in (FitViews, GreedyEnsemble, WeightAverage))
    more = MORE + f"\n\nfrom kagglekit_techniques.fitted import {kinds}\n\n\n@hookimpl\ndef kk_techniques():\n"
    toy = at_hand(tmp_path, monkeypatch, more=more + f"    return [ToyTTA, Epochs, Blind, {kinds}]\n")
    few = {"fidelity.epochs": 3, "folds": 3}
    folder, result, _ = run_experiment(Request(solved("toy-tta", "fit-views", "greedy-ensemble", **few), toy))
    assert {"members of fold 0", "views"} <= set(result.fitted)
    for one in result.fitted.values():
        assert one.kept or one.nested <= one.before or one.after <= one.before
    assert sum(m.weight for m in result.members) == pytest.approx(1)
    assert sum(v.weight for v in result.views) == pytest.approx(1)
    solution = solved("toy-epochs", "weight-average", **few)
    folder, result, _ = run_experiment(Request(solution, toy))
    (member,) = result.members
    assert member.file.startswith("checkpoints/average-") and (folder / member.file).is_file()
    told = run(planned(solution), solution, toy)
    passes = {one.name: one.passes for one in told.variants}
    assert passes == {"everything": 1, "without toy-epochs": 1, "without weight-average": 2, "nothing": 1}


@pytest.mark.slow
def test_pairs_that_are_asked_for_later_are_compared_by_their_own_scores_and_train_nothing_twice(toy):
    solution, trained = solved(*ALL), []
    run(planned(solution, name="a"), solution, toy, trained)
    first = len(trained)
    later = run(planned(solution, name="a", alone=False, pairs=True), solution, toy, trained)
    fresh = run(planned(solution, name="b", alone=False, pairs=True), solution, toy)
    assert later.effects == fresh.effects and later.interactions == fresh.interactions
    assert later.cost.shared == later.cost.trainings == first
    assert not list((folders.home() / "discs").glob("*/apart")), "probabilities are not left lying about"


def test_a_technique_that_the_recipe_cannot_do_without_is_told_before_anything_is_trained(
    tmp_path, monkeypatch, capsys
):
    refuses = """

@hookimpl
def kk_postprocess(recipe):
    from kagglekit import RecipeError

    if "toy-blind" not in [spec.name for spec in recipe.techniques]:
        raise RecipeError("somebody has to say what to do")
"""
    toy = at_hand(tmp_path, monkeypatch, more=MORE + refuses)
    solution = solved(*ALL)
    plan = ablation_of(planned(solution), solution, toy).plan
    assert [axis.name for axis in plan.axes] == ["toy-tta", "toy-epochs"]
    assert set(plan.variants().values()) >= {"everything", "without toy-tta", "nothing"}
    assert "toy-blind stays on in every variant" in capsys.readouterr().err
    with pytest.raises(
        UsageError, match="--technique toy-blind: the recipe does not run without it: somebody has to say"
    ):
        ablation_of(planned(solution, ["toy-blind", "toy-tta"]), solution, toy, named=True)


def test_where_the_recipe_does_not_run_with_no_technique_they_are_only_left_out(tmp_path, monkeypatch, capsys):
    refuses = """

@hookimpl
def kk_postprocess(recipe):
    from kagglekit import RecipeError

    if not recipe.techniques:
        raise RecipeError("nobody is left")
"""
    toy = at_hand(tmp_path, monkeypatch, more=MORE + refuses)
    plan = ablation_of(planned(solved(*ALL)), solved(*ALL), toy).plan
    assert len(plan.axes) == 3 and next(iter(plan.variants().values())) == "everything"
    assert not {"nothing", "only toy-tta"} & set(plan.variants().values())
    assert "the recipe does not run with none of them: nobody is left" in capsys.readouterr().err
