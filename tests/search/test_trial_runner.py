"""One trial for real: scored, cut, out of memory, its settings read back; and shared with runs."""

import errno
from pathlib import Path

import pytest

from kagglekit.errors import RunError
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.request import Request
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import Recipe, compose
from kagglekit.runs import folder as folders
from kagglekit.runs.ledger import Ledger
from kagglekit.search.ladder import Task
from kagglekit.search.local import objective_at
from kagglekit.search.readback import Watched
from kagglekit.search.trial_runner import TrialContext, is_full_disk, is_out_of_memory, run_trial
from kagglekit.train.trained import Epoch
from tests.search.toy import at_hand


def task(params: dict | None = None, warm: str = "", **changes) -> Task:
    """A trial of the toy competition."""
    registry = discover()
    layers = [
        ("", {"competition": "discs"}),
        ("", registry.competition("discs")[1].recipe),
        ("", {"fidelity.epochs": 2}),
    ]
    recipe, _ = compose([*layers, ("", changes)])
    tree = resolve(recipe, registry).recipe.model_dump(mode="json")
    return Task((0, 0, 0), tree, params or {}, warm, **{})


def outcome_of(data: Path, chosen: Task, rows: list | None = None):
    """How a trial ends."""
    return run_trial(chosen, TrialContext(data, "kk tune discs"), (rows if rows is not None else []).append)


def test_a_trial_is_trained_validated_and_reported_epoch_by_epoch(toy):
    rows: list[Epoch] = []
    outcome = outcome_of(toy, task(), rows)
    assert outcome.status == "done" and 0 < outcome.score <= 1 and outcome.seconds > 0 and not outcome.shared
    assert [row.epoch for row in rows] == [0, 1] and outcome.curve == tuple(row.valid_score for row in rows)
    folder = folders.home() / "discs" / outcome.run
    assert not (folder / "result.json").exists() and not (folder / "submission.csv").exists()
    assert len(outcome.weights) == 1 and Path(outcome.checkpoint).is_file()
    [row] = Ledger(folders.home()).rows()
    assert row["status"] == "trial" and row["score"] == outcome.score


def test_the_same_trial_is_not_trained_twice(toy):
    first, again = outcome_of(toy, task()), outcome_of(toy, task())
    assert again.shared and (again.score, again.weights, again.run) == (first.score, first.weights, first.run)


def test_a_run_goes_on_from_its_trial_and_a_trial_takes_the_result_of_a_run(toy):
    chosen = task()
    trial = outcome_of(toy, chosen)
    solution = resolve(Recipe.model_validate(chosen.recipe), discover())
    checkpoint = Path(trial.checkpoint).stat().st_mtime_ns
    folder, result, new = run(Request(solution, toy))
    assert new and folder.name == trial.run and result.validation.value == trial.score
    assert Path(trial.checkpoint).stat().st_mtime_ns == checkpoint  # not trained again
    other = task(lr=0.01)
    run(Request(resolve(Recipe.model_validate(other.recipe), discover()), toy))
    assert outcome_of(toy, other).shared


def test_images_are_kept_on_the_last_rung_only(toy):
    from dataclasses import replace

    assert outcome_of(toy, task()).images == ()
    kept = outcome_of(toy, replace(task(), last=True)).images
    assert len(kept) == 8 and all(0 <= score <= 1 for score in kept)


def test_a_trial_below_its_bar_is_stopped(toy):
    from dataclasses import replace

    outcome = outcome_of(toy, replace(task(**{"fidelity.epochs": 3}), bars=(-9.0, 2.0, 2.0)))
    assert outcome.status == "pruned" and len(outcome.curve) == 2 and outcome.score is None


def test_a_warm_trial_begins_with_the_weights_below_it(toy):
    from dataclasses import replace

    below = outcome_of(toy, task(**{"fidelity.epochs": 3}))
    warm = outcome_of(toy, replace(task(lr=1e-6), warm=below.checkpoint))
    cold = outcome_of(toy, task(lr=1e-6))
    assert warm.run != cold.run and warm.score > cold.score + 0.05
    log = (folders.home() / "discs" / warm.run / "log.txt").read_text()
    assert f"warm start: {below.run}" in log


MODEL_THAT_NEEDS_MEMORY = """
    import torch

    class Greedy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = tiny_network(channels)

        def forward(self, x):
            if len(x) > 2 and torch.is_grad_enabled():  # what is kept for the backward pass fills the memory
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return self.body(x)

    return Greedy()
"""


def test_without_enough_memory_the_batch_is_halved_and_the_step_keeps_its_size(tmp_path, monkeypatch):
    data = at_hand(tmp_path, monkeypatch, MODEL_THAT_NEEDS_MEMORY.strip())
    outcome = outcome_of(data, task())
    assert outcome.status == "done"
    assert outcome.notes == (
        "out of memory: went on with batch_size=4, accumulate=2",
        "out of memory: went on with batch_size=2, accumulate=4",
    )


NO_NUMBER = """

@hookimpl
def kk_loss():
    return lambda logits, target: logits.sum() * float("nan")
"""


def test_a_loss_that_is_no_number_fails_the_trial_and_says_what_to_do(tmp_path, monkeypatch):
    outcome = outcome_of(at_hand(tmp_path, monkeypatch, more=NO_NUMBER), task())
    assert outcome.status == "failed" and "the loss became nan in epoch 1; lower the learning rate" in outcome.error


def test_what_counts_as_out_of_memory():
    import torch

    assert is_out_of_memory(torch.OutOfMemoryError("x")) and is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 GB"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_what_counts_as_a_full_disk():
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RunError("checkpoint a: cannot be written")
    wrapped.__cause__ = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert is_full_disk(full) and is_full_disk(wrapped) and is_full_disk(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert is_full_disk(RunError("ledger.db: database or disk is full")) and not is_full_disk(OSError(2, "no such"))


FULL = """

@hookimpl
def kk_loss():
    raise OSError(28, "No space left on device")
"""


def test_a_full_disk_ends_the_search_and_is_no_failure_of_the_settings(tmp_path, monkeypatch):
    data = at_hand(tmp_path, monkeypatch, more=FULL)
    outcome = outcome_of(data, task())
    assert outcome.status == "failed" and outcome.full
    with pytest.raises(RunError, match=r"No space left on device; the same command goes on once there is room"):
        objective_at(TrialContext(data))(task(), lambda row: None)


OWN_RATE = """

@hookimpl
def kk_optimizer(recipe, model):
    import torch

    return torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=recipe.weight_decay)
"""


def test_a_plugin_that_ignores_the_learning_rate_is_caught(tmp_path, monkeypatch):
    data = at_hand(tmp_path, monkeypatch, more=OWN_RATE)
    outcome = outcome_of(data, task({"lr": 0.005}, lr=0.005))
    assert outcome.status == "failed"
    assert outcome.error == (
        "lr: the recipe says 0.005, training has 0.02; kk_optimizer() is answered by discs, defaults"
    )


def test_a_trial_that_was_refused_is_refused_again_and_leaves_no_result_behind(tmp_path, monkeypatch):
    data, chosen = at_hand(tmp_path, monkeypatch, more=OWN_RATE), task({"lr": 0.005}, lr=0.005)
    first, again = outcome_of(data, chosen), outcome_of(data, chosen)
    assert first.run and not (folders.home() / "discs" / first.run / "validated.json").exists()
    assert again.status == "failed" and again.error == first.error


def test_an_experiment_that_a_run_has_computed_is_checked_before_a_search_takes_it(tmp_path, monkeypatch):
    data, chosen = at_hand(tmp_path, monkeypatch, more=OWN_RATE), task({"lr": 0.005}, lr=0.005)
    run(Request(resolve(Recipe.model_validate(chosen.recipe), discover()), data))
    assert outcome_of(data, chosen).error.startswith("lr: the recipe says 0.005, training has 0.02")


def test_a_setting_that_nobody_reads_is_caught_by_its_name(toy):
    outcome = outcome_of(toy, task({"decoder": "fpn"}, decoder="fpn"))  # the toy brings a network of its own
    assert outcome.status == "failed"
    assert outcome.error.startswith("decoder: sampled 'fpn', but nothing ever read it; kk_model() is answered by discs")


def test_settings_that_arrive_pass(toy):
    params = {
        "lr": 0.005, "optimizer": "adam", "batch_size": 4, "loss.dice": 0.2, "weight_decay": 0.01,
        "techniques.toy-tta": True, "techniques.toy-tta.identity": 0.6,
    }  # fmt: skip
    changes = {key: value for key, value in params.items() if key != "techniques.toy-tta"}
    outcome = outcome_of(toy, task(params, **changes))
    assert outcome.status == "done", outcome.error


def test_a_technique_that_is_not_there_or_never_asked_is_caught(toy):
    missing = outcome_of(toy, task({"techniques.toy-tta": False}))
    assert "techniques.toy-tta: sampled False, but the technique is there" in missing.error
    odd = outcome_of(toy, task({"techniques.toy-tta.identity": 0.5}, **{"fidelity.epochs": 3}))
    assert "techniques.toy-tta.identity: sampled 0.5, the technique holds 0.75" in odd.error


def test_a_watched_recipe_is_the_same_recipe_and_remembers_who_was_read():
    plain = Recipe(competition="toy", lr=0.5)
    watched = Watched.model_validate(plain.model_dump(mode="json"))
    assert watched.identity() == plain.identity() and watched.fields_read() == set()
    copy = watched.model_copy(update={"seed": 3})
    assert copy.lr == 0.5 and copy.seed == 3
    assert watched.fields_read() == {"lr", "seed"}
    watched.forget()
    assert copy.fields_read() == set()
