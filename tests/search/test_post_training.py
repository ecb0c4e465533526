"""Settings that act after training: alike below the last rung, chosen on its networks, never trained for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from kagglekit.metrics import MeanIoU
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import taken_over
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import Recipe, compose, load
from kagglekit.search import trial_runner
from kagglekit.search.ladder import Ladder
from kagglekit.search.local import climb, objective_at
from kagglekit.search.post_training import (
    SAMPLED_SETS,
    after_training,
    best_settings,
    scored_with,
    settings_of,
    with_settings_scores,
)
from kagglekit.search.propose import Config
from kagglekit.search.space import default_space
from kagglekit.search.summary import summarize
from kagglekit.search.trial_runner import TrialContext, run_trial
from kagglekit.search.trial_store import Outcome, Trials
from kagglekit.search.tune import tune
from tests.search.planted import SPACE, THREE, objective, plan
from tests.search.test_trial_runner import task
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
        assert (len(task.variants) > 0) == task.last and set(task.variants) == set(task.settings_tried)
        for name, tree in task.variants.items():
            assert held(tree) != OWN and held(tree).items() <= task.settings_tried[name].items()
            assert {**tree, "techniques": []} == {**task.recipe, "techniques": []}


def test_without_a_prior_every_trial_keeps_what_was_sampled(tmp_path):
    ladder = searched(tmp_path, prior=False)
    assert ladder.plan.default_settings == {}
    for key in ladder.results:
        task = ladder.task(key)
        assert task.params == ladder.configs[key[1]].params and not task.variants


def test_a_network_is_judged_with_its_own_settings_first_and_with_none_twice():
    values = [0.9, 0.75, 0.9, 0.6, 0.7, 0.8, 0.95]
    configs = [Config(n, {"lr": 0.1, **OWN, "techniques.mirror.identity": v}, "random") for n, v in enumerate(values)]
    configs += [Config(n, {**OWN, "techniques.mirror": False, "techniques.mirror.identity": n / 10}, "random")
                for n in (7, 8)]  # fmt: skip
    found = settings_of(configs, 3, OWN)
    assert list(found) == ["trial 3", "trial 0", "trial 4", "trial 5"] and len(found) == SAMPLED_SETS
    assert settings_of(configs[7:], 1, OWN) == {"trial 8": configs[8].params}  # what is off has no settings that differ
    assert settings_of(configs[:2], 1, OWN) == {"trial 0": {**OWN, "techniques.mirror.identity": 0.9}}


def fields_read(score: float, **settings_tried: float) -> Outcome:
    """A trial that scores so with the recipe's settings, and so with others."""
    found = {name: {"score": s, "images": [s], "params": {"x": name}} for name, s in settings_tried.items()}
    return Outcome("done", score, images=(score,), settings_tried=found)


def test_looks_keep_the_score_the_images_and_the_settings_of_each_way_to_judge():
    metric, ones = MeanIoU(), np.ones((4, 4), np.uint8)
    counts = [np.array(metric.compare(ones, ones)).tolist()] * 3
    outcome = Outcome("done", 0.6, variants={"a": {"score": 0.9, "counts": counts}})
    found = with_settings_scores(outcome, {"a": {"x": 1}}, metric)
    assert found.settings_tried == {"a": {"score": 0.9, "images": [1.0] * 3, "params": {"x": 1}}} and not found.variants
    assert found.light().settings_tried == {"a": {"score": 0.9, "params": {"x": 1}}}


@pytest.mark.parametrize(
    ("sign", "scores", "best"), [(1, (0.5, 0.7), "b"), (-1, (0.7, 0.5), "b"), (1, (0.7, 0.5), "a")]
)
def test_the_best_way_to_judge_a_network_counts_in_the_direction_of_the_metric(sign, scores, best):
    outcome = fields_read(0.6, **dict(zip("ab", scores, strict=True)))
    assert best_settings([outcome], sign) == best
    chosen = scored_with(outcome, best)
    assert chosen.score == outcome.settings_tried[best]["score"] and chosen.images == (chosen.score,)
    assert chosen.notes == (f"best with post-training settings of {best}, {sign * 0.1:+.4f}",)


def test_where_none_is_better_the_recipes_settings_stay():
    outcome = fields_read(0.6, a=0.6, b=0.2)
    assert best_settings([outcome], 1) == "" and scored_with(outcome, "") is outcome
    assert best_settings([], 1) == best_settings([Outcome("failed")], 1) == ""


def test_one_way_to_judge_is_chosen_for_all_seeds_by_their_mean():
    first, second = fields_read(0.5, a=0.9, b=0.7), fields_read(0.5, a=0.2, b=0.7)
    assert best_settings([first], 1) == "a" and best_settings([first, second], 1) == "b"
    assert best_settings([first, fields_read(0.5, a=0.2)], 1) == "a", (
        "what one seed alone was judged with cannot be compared"
    )
    assert best_settings([first, fields_read(0.9)], 1) == ""


def test_a_search_with_seeds_gives_each_configuration_one_way_and_the_recipe_of_that_way(tmp_path):
    def evaluated(task, report):
        found = objective(task, report)
        gains = [0.3, 0.2] if not task.key[2] else [-0.3, 0.2]  # the first seed alone would take the first way
        ways = {n: {"score": found.score + g, "images": [0.5], "params": settings_name}
                for (n, settings_name), g in zip(task.settings_tried.items(), gains, strict=False)}  # fmt: skip
        return replace(found, settings_tried=ways, images=(0.5,))

    ladder = searched(tmp_path, evaluated, repeats=2)
    number = summarize(ladder)["winner"]["number"]
    name = list(ladder.task((2, number, 0)).settings_tried)[1]
    plain = [ladder.results[2, number, seed].score for seed in (0, 1)]
    assert ladder.settings_name(number) == name
    assert ladder.scores(2)[number] == pytest.approx(sum(plain) / 2 + 0.2)
    assert held(ladder.winning_tree(number)).items() <= ladder.task((2, number, 0)).settings_tried[name].items()


def test_the_winner_says_which_settings_it_was_judged_with(tmp_path):
    better = {"techniques.mirror": True, "techniques.mirror.identity": 0.875}

    def evaluated(task, report):
        found = objective(task, report)
        ways = {"it": {"score": found.score + 2, "images": [], "params": better}} if task.last else {}
        return replace(found, score=found.score + 1, settings_tried=ways) if task.key[1] else found

    ladder = searched(tmp_path, evaluated)
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
    assert ("toy-tta" in {t.name for t in chosen.techniques}) == result.winner.params["techniques.toy-tta"]
    folder, ended, _ = run(Request(chosen, toy))
    assert folder.name == result.winner.run or taken_over(folder).run == result.winner.run
    assert ended.validation.value == pytest.approx(result.winner.score, abs=1e-6)


def test_a_look_that_fails_does_not_lose_the_network(toy, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("no room")

    plain = run_trial(task(), TrialContext(toy), lambda row: None)
    monkeypatch.setattr(trial_runner, "evaluate_variants", broken)
    chosen = task()
    settings_tried = {"trial 3": {"techniques.toy-tta": False}}
    fields_read = replace(
        chosen, last=True, variants={"trial 3": {**chosen.recipe, "techniques": []}}, settings_tried=settings_tried
    )
    outcome = run_trial(fields_read, TrialContext(toy), lambda row: None)
    assert (outcome.status, outcome.score, outcome.settings_tried) == ("done", plain.score, {})
    assert outcome.notes == ("scored with the recipe's post-training settings alone: RuntimeError: no room",)
