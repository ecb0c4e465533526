"""Runs that differ only in what follows training share one training, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from kagglekit import progress
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import take_over, taken_over
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.recipe import compose
from kagglekit.runs import folder as folders
from kagglekit.runs.identity import training_identity
from kagglekit.runs.record import TRAINED, Result
from kagglekit.search.trial_runner import TrialContext, run_trial
from tests.search.test_trial_runner import task
from tests.search.toy import at_hand


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """The toy competition in this process; returns its data folder."""
    return at_hand(tmp_path, monkeypatch)


def solved(**changes) -> Solution:
    """The toy recipe with changes, resolved."""
    registry = discover()
    layers = [{"competition": "discs"}, registry.competition("discs")[1].recipe, {"fidelity.epochs": 2}, changes]
    return resolve(compose([("", layer) for layer in layers])[0], registry)


def ran(data: Path, again: bool = False, **changes) -> tuple[Path, Result]:
    """(folder, result) of a whole run."""
    folder, result, _ = run(Request(solved(**changes), data, again=again))
    return folder, result


def what_counts(result: Result) -> tuple:
    """A result without names and times."""
    return result.validation, result.self_check, result.postprocess, result.fitted


def hashes(folder: Path) -> list[str]:
    """The weights that a run predicted with."""
    return json.loads((folder / folders.VALIDATED).read_text())["members"]


def test_a_run_with_other_views_takes_over_the_training_and_scores_as_if_it_had_trained(toy):
    first, _ = ran(toy)
    with progress.console(progress.Console(quiet=True)) as console:
        said: list[str] = []
        console.say = said.append
        second, result = ran(toy, **{"techniques.toy-tta.identity": 0.5})
    assert any(f"run {first.name}, which trained the same network" in line for line in said)
    assert not any("epoch 1/2" in line for line in said)
    assert second != first and json.loads((second / TRAINED).read_text())["run"] == first.name
    assert result.weights.endswith(f"; trained by run {first.name}")
    _, result = ran(toy, **{"techniques.toy-tta.identity": 0.6})  # whoever the checkpoints come from
    assert result.weights.endswith(f"; trained by run {first.name}") and result.weights.count("trained by") == 1
    second, result = ran(toy, **{"techniques.toy-tta.identity": 0.5})
    trained, alone = ran(toy, again=True, **{"techniques.toy-tta.identity": 0.5})
    assert not (trained / TRAINED).exists() and what_counts(alone) == what_counts(result)
    assert hashes(trained) == hashes(second) == hashes(first)
    assert (second / "history.csv").read_text().count("\n") == 3


def test_every_held_out_fold_finds_its_own_network_again(toy):
    first, _ = ran(toy, fold="refit")
    second, result = ran(toy, fold="refit", **{"techniques.toy-tta.identity": 0.5})
    assert taken_over(second).run == first.name
    _, alone = ran(toy, again=True, fold="refit", **{"techniques.toy-tta.identity": 0.5})
    assert what_counts(alone) == what_counts(result)
    assert {p.parent.name for p in (second / "checkpoints").rglob("epoch-*")} == {"fold-0", "everything"}


@pytest.mark.parametrize("changes", [{"lr": 0.01}, {"seed": 1}, {"fidelity.epochs": 3}, {"loss.dice": 0.5}])
def test_a_run_whose_training_differs_trains(toy, changes):
    ran(toy)
    folder, _ = ran(toy, **changes)
    assert not (folder / TRAINED).exists() and taken_over(folder) is None


def test_what_acts_after_training_is_no_part_of_a_trainings_identity_and_all_else_is():
    plain = solved_hair()
    known = training_identity(plain, "data")
    assert training_identity(solved_hair("flip-tta", "bridge"), "data") == known
    assert training_identity(solved_hair("epoch-ensemble"), "data") == known
    others = [solved_hair("self-mix"), solved_hair("coloring"), solved_hair(lr=0.01), solved_hair(seed=7)]
    names = [training_identity(one, "data") for one in others] + [training_identity(plain, "other data")]
    assert len({known, *names}) == 1 + len(names)


def solved_hair(*techniques: str, **changes) -> Solution:
    """A recipe of a real contest with exactly these techniques."""
    layers = [{"competition": "hair-seg", "folds": 3}, {"techniques": list(techniques)}, changes]
    return resolve(compose([("", layer) for layer in layers])[0], discover())


def test_a_run_that_lost_a_checkpoint_gives_nothing_away(toy):
    first, _ = ran(toy)
    (first / "checkpoints" / "epoch-000.safetensors").unlink()
    second, _ = ran(toy, **{"techniques.toy-tta.identity": 0.5})
    assert not (second / TRAINED).exists() and (second / "checkpoints" / "epoch-000.safetensors").is_file()


def test_a_damaged_neighbour_is_passed_over(toy):
    first, _ = ran(toy)
    for name, text in {"aaaa": "{", "bbbb": json.dumps({"training": "x"})}.items():
        (first.parent / name).mkdir()
        (first.parent / name / folders.MANIFEST).write_text(text)
    for name, text in {"dddd": '{"history": 3}', "eeee": '{"history": [3]}', "ffff": "{}"}.items():
        (first.parent / name).mkdir()
        (first.parent / name / folders.MANIFEST).write_text(json.dumps({"training": "x"}))
        (first.parent / name / folders.VALIDATED).write_text(text)
    place = first.parent / "cccc"
    place.mkdir()
    assert take_over(place, "x") == "" and not list(place.iterdir())
    assert take_over(place, json.loads((first / folders.MANIFEST).read_text())["training"]) == first.name


def test_each_run_may_be_removed_without_the_other(toy):
    first, _ = ran(toy)
    second, result = ran(toy, **{"techniques.toy-tta.identity": 0.5})
    shutil.rmtree(first)
    (second / folders.RESULT).unlink()
    again, repeated = ran(toy, **{"techniques.toy-tta.identity": 0.5})
    assert again == second and what_counts(repeated) == what_counts(result)
    (second / TRAINED).write_text("{")
    assert taken_over(second) is None
    shutil.rmtree(second / "checkpoints")
    (second / folders.RESULT).unlink()
    alone, trained = ran(toy, **{"techniques.toy-tta.identity": 0.5})  # nothing is left to take over: it trains
    assert alone == second and what_counts(trained) == what_counts(result) and "trained by" not in trained.weights


def test_a_trial_does_not_pay_for_a_training_that_another_has_paid(toy):
    outcomes = [run_trial(task(**changes), TrialContext(toy), lambda row: None)
                for changes in ({}, {"techniques.toy-tta.identity": 0.5})]  # fmt: skip
    first, second = outcomes
    assert (first.status, second.status) == ("done", "done") and second.weights == first.weights
    assert second.curve == first.curve and not second.shared
    record = json.loads((folders.home() / "discs" / second.run / folders.VALIDATED).read_text())
    assert second.seconds == pytest.approx(record["seconds"]["predict"], abs=0.002)
    assert first.seconds > record["seconds"]["predict"]
