"""`kk reproduce`: the same again is PASS, and one changed thing of each kind is a FAIL that names exactly that."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import RunError, UsageError
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.publish import reproduce as module
from kagglekit.publish.reproduce import band_of, flat, fold_differences, read_evidence, reproduce, seed_scores, unlike
from kagglekit.recipe import compose
from kagglekit.runs import folder as folders
from kagglekit.runs.record_parts import Fold
from tests.helpers import kk as program
from tests.search.toy import at_hand, path_of

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    return at_hand(tmp_path, monkeypatch)


def solved(**overrides):
    """The toy competition's solution."""
    registry = discover()
    layers = [("", {"competition": "discs"}), ("", registry.competition("discs")[1].recipe)]
    recipe, _ = compose([*layers, ("", {"fidelity.epochs": 2} | overrides)])
    return resolve(recipe, registry)


def trained(data: Path, **overrides) -> Path:
    """The folder of a finished run of the toy competition."""
    folder, _, _ = run(Request(solved(**overrides), data))
    return folder


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_run_that_is_computed_again_has_equal_weights_by_hash(toy):
    verdict = reproduce(discover(), trained(toy))
    assert verdict.passed and verdict.first == "" and verdict.reached == verdict.claimed
    assert verdict.differences == [] and verdict.notes == ("1 checkpoint(s) equal by hash",)


def test_a_changed_file_is_named_before_anything_is_trained(toy, monkeypatch):
    folder = trained(toy)
    (toy / "discs.txt").write_text("32 0 ")
    monkeypatch.setattr(module, "run", lambda request: pytest.fail("it trains"))
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first == "data: file discs.txt has changed"
    assert [one.what for one in verdict.differences] == ["data"]


def test_a_changed_recipe_key_is_named_with_both_values(toy):
    folder = trained(toy)
    path = folder / folders.RECIPE
    path.write_text(path.read_text().replace("lr = 0.02", "lr = 0.03"))
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first == "recipe: lr was 0.02, is 0.03"


def test_a_changed_setting_of_a_technique_is_named(toy):
    folder = trained(toy)
    path = folder / folders.RECIPE
    path.write_text(path.read_text().replace("identity = 0.75", "identity = 0.5"))
    assert reproduce(discover(), folder).first == "recipe: techniques.toy-tta.settings.identity was 0.75, is 0.5"


def test_a_sample_that_changed_sides_is_named(toy):
    folder = trained(toy)

    def move(folds):
        folds["0"]["train"].append(folds["0"]["validation"].pop(0))

    moved = json.loads((folder / folders.FOLDS).read_text())["0"]["validation"][0]
    edit(folder / folders.FOLDS, move)
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first == f"folds: fold 0: {moved} was in train, is in validation"


def test_a_dependency_of_another_version_is_named(toy, monkeypatch):
    folder = trained(toy)
    edit(folder / folders.MANIFEST, lambda m: m["versions"].update(torch="1.0.0"))
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first.startswith("version: torch was 1.0.0, is ")


def test_a_changed_line_of_a_plugin_is_named_by_its_file(toy):
    folder = trained(toy)
    source = Path(sys.modules["toy_discs"].__file__)
    source.write_text(source.read_text() + "\nMORE = 1\n")
    importlib.invalidate_caches()
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first == "code: source discs/toy_discs.py has changed"


def test_another_processor_is_a_note_and_no_failure(toy):
    folder = trained(toy)
    edit(folder / folders.MANIFEST, lambda m: m["hardware"].update(cpu="an abacus"))
    verdict = reproduce(discover(), folder)
    assert verdict.passed and [one.fatal for one in verdict.differences] == [False]


def test_weights_that_come_out_otherwise_are_a_failure_that_names_the_epoch(toy):
    folder = trained(toy)

    def spoil(validated):
        validated["members"] = ["0" * 16]
        validated["history"][1]["train_loss"] += 0.5

    edit(folder / folders.VALIDATED, spoil)
    verdict = reproduce(discover(), folder)
    assert not verdict.passed and verdict.first.startswith("training: epoch 2: train_loss was ")


def test_a_run_that_is_not_finished_or_too_old_cannot_be_checked(toy):
    folder = trained(toy)
    edit(folder / folders.MANIFEST, lambda m: m.pop("recipe"))
    with pytest.raises(RunError, match="made by an older version, which kept too little to be checked"):
        read_evidence(folder)
    (folder / folders.RESULT).unlink()
    with pytest.raises(RunError, match="has not finished; go on with it"):
        read_evidence(folder)


def test_another_seed_lies_in_the_band_of_seeds_and_a_wrong_learning_rate_does_not(toy):
    steady = {"fidelity.epochs": 8, "lr": 0.5}
    runs = [trained(toy, seed=seed, **steady) for seed in range(4)]
    evidence = read_evidence(runs[0])
    assert list(seed_scores(evidence)) == [0, 1, 2, 3]
    verdict = reproduce(discover(), runs[0], exact=False)
    assert verdict.notes == ("band of 4 seeds",)
    assert verdict.passed == (verdict.band[0] <= verdict.reached <= verdict.band[1])
    wild = trained(toy, **steady | {"lr": 1e-6})
    assert json.loads((wild / folders.RESULT).read_text())["validation"]["value"] < verdict.band[0]
    # The same claim of a run whose scores lie elsewhere does not hold.
    for one in [*runs, folders.find(verdict.run)]:
        edit(one / folders.RESULT, lambda r: r["validation"].update(value=r["validation"]["value"] / 2))
    again = reproduce(discover(), runs[0], exact=False)
    assert not again.passed and "lies outside" in again.first


def test_a_band_needs_three_seeds_and_says_how_to_get_them(toy):
    with pytest.raises(UsageError, match=r"a band needs runs of at least 3 seeds, there are 1; make more with"):
        reproduce(discover(), trained(toy), exact=False)


def test_the_band_holds_one_further_seed_in_nineteen_of_twenty_cases():
    import numpy as np

    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        scores = rng.normal(0.9, 0.01, 5)
        low, high = band_of(scores[:4].tolist())
        inside += low <= scores[4] <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_folds_that_are_alike_do_not_differ_and_many_moves_are_counted():
    many = tuple(f"s{i}" for i in range(20))
    folds = {"0": Fold(train=many, validation=("v",))}
    assert list(fold_differences(folds, folds)) == []
    other = {"0": Fold(train=("v",), validation=many)}
    found = list(fold_differences(folds, other))
    assert len(found) == 6 and found[-1].detail == "fold 0: and 16 more samples"


def test_the_command_says_pass_or_fail_and_its_exit_code_does_too(toy, tmp_path, monkeypatch):
    import torch

    folder = trained(toy)
    threads = str(torch.get_num_threads())  # sums of another number of threads differ in their last bits
    paths = {"OMP_NUM_THREADS": threads, "KAGGLEKIT_PLUGINS": "discs", "PYTHONPATH": path_of(tmp_path / "plugins"),
             "KAGGLEKIT_RUNS": str(folders.home()), "KAGGLEKIT_CACHE": str(folders.cache())}  # fmt: skip
    done = program(tmp_path, "reproduce", folder, "--data", toy, **paths)
    assert done.returncode == 0 and done.stdout.startswith("PASS\n"), done.stderr
    (toy / "discs.txt").write_text("32 0 ")
    done = program(tmp_path, "reproduce", folder, "--data", toy, "--json", **paths)
    assert done.returncode == 1 and json.loads(done.stdout)["verdict"] == "FAIL"
    done = program(tmp_path, "reproduce", "nothing", **paths)
    assert done.returncode == 2 and "no run is named nothing" in done.stderr


LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"])
TREES = st.dictionaries(st.sampled_from("xyz"), LEAVES | st.dictionaries(st.sampled_from("pq"), LEAVES), max_size=3)


@given(TREES, TREES)
def test_recipes_differ_in_the_settings_whose_values_do_and_in_no_other(one, other):
    found, turned = unlike(one, other), unlike(other, one)
    assert list(found) == sorted(found) and turned == {key: pair[::-1] for key, pair in found.items()}
    a, b = flat(one), flat(other)
    assert unlike(one, one) == {} and all(found[key] == [a.get(key), b.get(key)] != [None] * 2 for key in found)
    assert all(a.get(key) == b.get(key) for key in (a.keys() | b.keys()) - found.keys())
