"""Settings that act after training: alike below the last rung, chosen on its networks, never trained for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from kagglekit.experiment import run
from kagglekit.metrics import MeanIoU
from kagglekit.pipeline import Request
from kagglekit.plugins import discover
from kagglekit.recipe import Recipe, compose, load
from kagglekit.search import trial
from kagglekit.search.ladder import Ladder
from kagglekit.search.local import climb, objective_at
from kagglekit.search.looks import LOOKS, after_training, best_look, looks_of
from kagglekit.search.propose import Config
from kagglekit.search.space import default_space
from kagglekit.search.summary import summarize
from kagglekit.search.trial import Place, run_trial
from kagglekit.search.trials import Outcome, Trials
from kagglekit.search.tune import tune
from kagglekit.solution import resolve
from kagglekit.trainings import taken_over
from tests.search.planted import SPACE, THREE, objective, plan
from tests.search.test_trial import task
from tests.search.test_tune import wanted

AFTER = {
    "techniques.mirror": CategoricalDistribution([True, False]),
    "techniques.mirror.identity": FloatDistribution(0.5, 1.0),
}
OWN = {"techniques.mirror": True, "techniques.mirror.identity": 0.75}


def searched(folder: Path, objective=objective, **changes) -> Ladder:
    """A planted search of trainings and of what follows them."""
    recipe = Recipe(competition="toy", techniques=({"name": "mirror", "settings": {"identity": 0.75}},))
    facts = {"recipe": recipe, "after": tuple(AFTER), "trials": 12, **changes}
    ladder = Ladder(plan(THREE, SPACE | AFTER, **facts), Trials(folder, "planted"))
    climb(ladder, objective)
    return ladder


def held(tree: dict) -> dict:
    """The settings of a recipe that act after training, as the space has them."""
    found = {spec["name"]: spec["settings"] for spec in tree["techniques"]}
    return {"techniques.mirror": "mirror" in found} | {
        f"techniques.mirror.{k}": v for k, v in found.get("mirror", {}).items()
    }


def test_below_the_last_rung_trials_are_judged_with_the_recipes_settings_and_there_with_sampled_ones_too(tmp_path):
    ladder = searched(tmp_path)
    assert len({json.dumps(c.params["techniques.mirror.identity"]) for c in ladder.configs}) > 6
    for key in ladder.results:
        task = ladder.task(key)
        assert held(task.recipe) == OWN and OWN.items() <= task.params.items()
        assert task.recipe["lr"] == ladder.configs[key[1]].params["lr"]
        assert (len(task.variants) > 0) == task.last and set(task.variants) == set(task.looks)
        for name, tree in task.variants.items():
            assert held(tree) != OWN and held(tree).items() <= task.looks[name].items()
            assert {**tree, "techniques": []} == {**task.recipe, "techniques": []}


def test_without_a_prior_every_trial_keeps_what_was_sampled(tmp_path):
    ladder = searched(tmp_path, prior=False)
    assert ladder.plan.judging == {}
    for key in ladder.results:
        task = ladder.task(key)
        assert task.params == ladder.configs[key[1]].params and not task.variants


def test_a_network_is_judged_with_its_own_settings_first_and_with_none_twice():
    values = [0.9, 0.75, 0.9, 0.6, 0.7, 0.8, 0.95]
    configs = [Config(n, {"lr": 0.1, **OWN, "techniques.mirror.identity": v}, "random") for n, v in enumerate(values)]
    configs += [Config(n, {**OWN, "techniques.mirror": False, "techniques.mirror.identity": n / 10}, "random")
                for n in (7, 8)]  # fmt: skip
    found = looks_of(configs, 3, OWN)
    assert list(found) == ["trial 3", "trial 0", "trial 4", "trial 5"] and len(found) == LOOKS
    assert looks_of(configs[7:], 1, OWN) == {"trial 8": configs[8].params}  # what is off has no settings that differ
    assert looks_of(configs[:2], 1, OWN) == {"trial 0": {**OWN, "techniques.mirror.identity": 0.9}}


def verdicts(**scores: float) -> dict:
    """What judging says: one picture, all of it intersection."""
    return {name: {"score": s, "counts": [[int(100 * s), 100]]} for name, s in scores.items()}


@pytest.mark.parametrize(
    ("sign", "scores", "best"), [(1, (0.5, 0.7), "b"), (-1, (0.7, 0.5), "b"), (1, (0.7, 0.5), "a")]
)
def test_the_best_way_to_judge_a_network_counts_in_the_direction_of_the_metric(sign, scores, best):
    metric = MeanIoU()
    counts = np.array(metric.compare(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8)))
    found = {n: {"score": s, "counts": [counts.tolist()] * 3} for n, s in zip("ab", scores, strict=True)}
    outcome = replace(Outcome("done", 0.6, pictures=(0.6,)), variants=found)
    chosen = best_look(outcome, {"a": {"x": 1}, "b": {"x": 2}}, sign, metric)
    assert (chosen.score, chosen.look) == (max(scores) if sign > 0 else min(scores), {"x": 1 if best == "a" else 2})
    assert chosen.pictures == (1.0,) * 3 and f"judged with what {best} has after training, +0.1000" in chosen.notes


def test_where_none_is_better_the_recipes_settings_stay():
    outcome = replace(Outcome("done", 0.6, pictures=(0.6,)), variants=verdicts(a=0.6, b=0.2))
    assert best_look(outcome, {"a": {}, "b": {}}, 1, MeanIoU()) is outcome


def test_the_winner_says_which_settings_it_was_judged_with(tmp_path):
    better = {"techniques.mirror": True, "techniques.mirror.identity": 0.875}

    def judged(task, report):
        found = objective(task, report)
        look = better if task.last else {}
        return replace(found, score=found.score + 1, look=look) if task.key[1] else found

    ladder = searched(tmp_path, judged)
    result = summarize(ladder)
    winner = result["winner"]
    assert winner["number"] and winner["changes"]["techniques.mirror.identity"] == [0.75, 0.875]
    assert held(ladder.winning_tree(winner["number"])) == better
    assert all(not AFTER.keys() & trial["params"].keys() for trial in result["trials"])
    assert result["importance"] and not AFTER.keys() & result["importance"].keys()


def test_keys_that_act_after_training_are_told_apart_unless_nothing_else_is_searched(toy):
    search = wanted(toy)
    space = default_space(search.solution)
    after = {"techniques.toy-tta", "techniques.toy-tta.identity"}
    assert after < set(space) and set(after_training(space, search.solution)) == after
    assert after_training({key: space[key] for key in after}, search.solution) == ()
    assert search.plan.after == ()  # of lr and Dice alone


def test_what_a_search_found_runs_without_training_again(toy):
    registry = discover()
    recipe, _ = compose([("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)])
    space = {k: d for k, d in default_space(resolve(recipe, registry)).items() if k in ("lr", "techniques.toy-tta")}
    search = wanted(toy, space=space, trials=4)
    result = tune(search, lambda ladder, place: climb(ladder, objective_at(place)))
    assert search.plan.after == ("techniques.toy-tta",)
    layer = load(search.folder / "winner.toml")
    chosen = resolve(compose([("file", layer)])[0], registry)
    assert ("toy-tta" in {t.name for t in chosen.techniques}) == result["winner"]["params"]["techniques.toy-tta"]
    folder, ended, _ = run(Request(chosen, toy))
    assert folder.name == result["winner"]["run"] or taken_over(folder).run == result["winner"]["run"]
    assert ended["validation"]["value"] == pytest.approx(result["winner"]["score"], abs=1e-6)


def test_a_look_that_fails_does_not_lose_the_network(toy, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("no room")

    plain = run_trial(task(), Place(toy), lambda row: None)
    monkeypatch.setattr(trial, "judge_variants", broken)
    chosen = task()
    looks = {"trial 3": {"techniques.toy-tta": False}}
    looked = replace(chosen, last=True, variants={"trial 3": {**chosen.recipe, "techniques": []}}, looks=looks)
    outcome = run_trial(looked, Place(toy), lambda row: None)
    assert (outcome.status, outcome.score, outcome.look) == ("done", plain.score, {})
    assert outcome.notes == ("judged with the recipe's settings alone: RuntimeError: no room",)
