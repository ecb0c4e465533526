"""Training: it learns, it goes on where it was stopped, and every setting arrives."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from kagglekit.data.input_transform import Plain
from kagglekit.errors import RunError
from kagglekit.metrics import MeanIoU
from kagglekit.train import checkpoint
from kagglekit.train import fit as module
from kagglekit.train.checkpoint import read_weights
from kagglekit.train.fit import blend, fit, lr_at, make_optimizer, steps_of, validate
from kagglekit.train.network import prepare
from tests.toy_data import discs, filled, job, recipe, same_tensors, tiny_network


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Twenty discs and their store; 16 to train on, 4 to validate."""
    data = discs(20)
    return data, filled(tmp_path_factory.mktemp("store"), data)


def with_dropout() -> nn.Module:
    """A network that also draws numbers of chance while it trains."""
    body = tiny_network()
    body.insert(3, nn.Dropout(0.2))
    return body


class Stop(Exception):
    """What interrupts a training in these tests."""


def outcome(folder) -> dict:
    """Every tensor of every file of a training, the history without its seconds."""
    files = sorted(folder.glob("*.safetensors"))
    tensors, history = {}, None
    for path in files:
        weights, metadata = read_weights(path)
        tensors |= {f"{path.name}/{key}": value for key, value in weights.items()}
        history = metadata.get("history", history)
    return {
        "files": [f.name for f in files],
        "tensors": tensors,
        "history": [{k: v for k, v in row.items() if k != "seconds"} for row in history],
    }


def assert_same(one: dict, other: dict) -> None:
    assert one["files"] == other["files"]
    assert one["history"] == other["history"]
    assert same_tensors(one["tensors"], other["tensors"])


def test_the_loss_falls_and_the_score_rises_on_discs(world, tmp_path):
    data, store = world
    found = fit(job(tmp_path, store, data, recipe(fidelity={"epochs": 12})))
    members, history, loaded = found.members, found.history, found.weights
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].valid_loss < 0.5 * history[0].valid_loss
    assert history[-1].valid_score > 0.9
    assert [m.epoch for m in members] == list(range(12)) == [row.epoch for row in history]
    assert all(m.path.is_file() and m.score == row.valid_score for m, row in zip(members, history, strict=True))
    assert loaded == "whatever the plugin's network brings"


def test_the_same_recipe_gives_the_same_bits_and_another_seed_others(world, tmp_path):
    data, store = world
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(job(tmp_path / name, store, data, recipe(seed=seed), make_model=with_dropout))
    assert_same(outcome(tmp_path / "a"), outcome(tmp_path / "b"))
    assert outcome(tmp_path / "a")["history"] != outcome(tmp_path / "c")["history"]


def test_every_epoch_draws_other_numbers_of_chance(world, tmp_path):
    data, store = world
    drawn = []

    class Draws(nn.Module):
        def forward(self, images):
            if self.training:
                drawn.append(float(torch.rand(())))
            return images

    def drawing():
        body = tiny_network()
        body.insert(0, Draws())
        return body

    fit(job(tmp_path, store, data, recipe(batch_size=8, fidelity={"epochs": 4}), make_model=drawing))
    assert len(drawn) == 4 * 2
    assert len(set(drawn)) == 8


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_training_that_was_stopped_and_goes_on_equals_an_undisturbed_one(world, tmp_path, optimizer, ema):
    data, store = world
    settings = recipe(optimizer=optimizer, ema=ema, lr=0.01, fidelity={"epochs": 4})
    fit(job(tmp_path / "whole", store, data, settings, make_model=with_dropout))
    expected = outcome(tmp_path / "whole")
    assert len(expected["history"]) == 4
    swept = 0
    for stop_after in (1, 3):
        said = []

        def say(text, said=said, stop_after=stop_after):
            said.extend([text] if text.startswith("epoch ") else [])
            if len(said) == stop_after:
                raise Stop

        stopped = job(tmp_path / str(stop_after), store, data, settings, make_model=with_dropout, say=say)
        with pytest.raises(Stop):
            fit(stopped)
        assert len(outcome(stopped.folder)["history"]) == stop_after
        news = []
        fit(dataclasses.replace(stopped, say=news.append))
        assert f"going on after epoch {stop_after} of 4" in news
        assert_same(outcome(stopped.folder), expected)
        swept += 1
    assert swept == 2


@pytest.mark.parametrize("where", ["in an epoch", "in validation", "between weights and state"])
def test_wherever_an_epoch_is_stopped_it_is_done_again_whole(world, tmp_path, monkeypatch, where):
    data, store = world
    settings = recipe(ema=0.9, fidelity={"epochs": 3})
    fit(job(tmp_path / "whole", store, data, settings))
    stopped = job(tmp_path / "stopped", store, data, settings)

    def track(items, total, description):
        for i, item in enumerate(items):
            if i == 1 and description == "epoch 2/3" and where == "in an epoch":
                raise Stop
            if description == "validating" and where == "in validation" and calls.append(1) is None and len(calls) == 2:
                raise Stop
            yield item

    calls = []
    real = checkpoint.save_state

    def save_state(*args):
        calls.append(1)
        if len(calls) == 2:
            raise Stop
        real(*args)

    with monkeypatch.context() as patch:
        if where == "between weights and state":
            patch.setattr(checkpoint, "save_state", save_state)
        with pytest.raises(Stop):
            fit(dataclasses.replace(stopped, track=track))
    assert len(outcome(stopped.folder)["history"]) == 1
    fit(stopped)
    assert_same(outcome(stopped.folder), outcome(tmp_path / "whole"))


def test_a_finished_training_is_not_done_again(world, tmp_path):
    data, store = world
    first = fit(job(tmp_path, store, data, recipe()))
    before = outcome(tmp_path)

    def never(network, *args):
        raise AssertionError("trained again")

    again = fit(job(tmp_path, store, data, recipe(), augment=never))
    assert again.members == first.members
    assert_same(outcome(tmp_path), before)


def test_more_epochs_go_on_from_the_shorter_training(world, tmp_path):
    data, store = world
    flat = {"schedule": "constant", "warmup": 0.0}
    fit(job(tmp_path / "a", store, data, recipe(**flat, fidelity={"epochs": 2})))
    fit(job(tmp_path / "a", store, data, recipe(**flat, fidelity={"epochs": 4})))
    fit(job(tmp_path / "b", store, data, recipe(**flat, fidelity={"epochs": 4})))
    assert_same(outcome(tmp_path / "a"), outcome(tmp_path / "b"))


def test_two_half_batches_accumulated_are_one_batch(world, tmp_path):
    data, store = world
    flat = {"schedule": "constant", "warmup": 0.0, "loss": {"bce": 1.0}, "optimizer": "sgd", "lr": 0.05, "clip": 0.0}

    def without_norm():
        return tiny_network(norm=False)

    for name, settings in (
        ("eight", recipe(**flat, batch_size=8)),
        ("two fours", recipe(**flat, batch_size=4, accumulate=2)),
        ("four", recipe(**flat, batch_size=4)),
    ):
        fit(job(tmp_path / name, store, data, settings, make_model=without_norm))
    weights = {n: read_weights(tmp_path / n / "epoch-002.safetensors")[0] for n in ("eight", "two fours", "four")}

    def away(a, b):
        return max(float((weights[a][k] - weights[b][k]).abs().max()) for k in weights[a])

    assert away("eight", "two fours") < 1e-5
    assert away("eight", "four") > 1e-3


@pytest.mark.parametrize("size", [1, 4, 15, 16])
def test_steps_are_counted_as_batches_are_made(world, tmp_path, size):
    data, store = world
    totals = []

    def track(items, total, description):
        items = list(items)
        totals.append((total, len(items)))
        return items

    settings = recipe(batch_size=size, fidelity={"epochs": 1})
    fit(job(tmp_path, store, data, settings, track=track, make_model=lambda: tiny_network(norm=False)))
    assert len(totals) == 2
    assert all(total == count for total, count in totals)


def test_the_count_of_steps_knows_of_the_joined_last_image():
    assert [steps_of(n, 8) for n in (1, 8, 9, 10, 16, 17)] == [1, 1, 1, 2, 2, 2]
    assert [steps_of(n, 8, joined=False) for n in (1, 8, 9, 10, 16, 17)] == [1, 1, 2, 2, 2, 3]
    assert steps_of(5, 1) == 5


class Poison(nn.Module):
    """A network whose logits are no numbers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float("nan")))

    def forward(self, images):
        return images[:, :1] * self.scale


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_try(world, tmp_path):
    data, store = world
    with pytest.raises(RunError, match=r"the loss became nan in epoch 1; lower the learning rate \(-o lr=6\.7e-03\)"):
        fit(job(tmp_path, store, data, recipe(), make_model=Poison))
    assert list(tmp_path.iterdir()) == [], "a checkpoint of NaN weights was kept"


def test_without_validation_samples_there_is_no_score(world, tmp_path):
    data, store = world
    lines = []
    found = fit(job(tmp_path, store, data, recipe(fidelity={"epochs": 1}), validation=[], say=lines.append))
    members, history = found.members, found.history
    assert history[0].valid_loss is history[0].valid_score is members[0].score is None
    assert lines[-1:] == [f"epoch 1/1  loss {history[0].train_loss:.4f}  {history[0].seconds:.0f} s"]


def test_the_validation_score_is_the_metric_of_what_the_checkpoint_predicts(world, tmp_path):
    data, store = world
    task = job(tmp_path, store, data, recipe())
    found = fit(task)
    for member, row in zip(found.members, found.history, strict=True):
        body = tiny_network()
        body.load_state_dict(read_weights(member.path)[0])
        network = prepare(body, Plain(3), "cpu").eval()
        scores = []
        for sample in (draw.sample for draw in task.validation):
            image, mask = store.read(sample)
            with torch.inference_mode():
                logits = network(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0, 0].numpy()
            guess = logits > 0
            scores.append((guess & (mask > 0)).sum() / (guess | (mask > 0)).sum())
        assert row.valid_score == pytest.approx(np.mean(scores), abs=1e-6)


def test_averaged_weights_are_what_is_validated_and_kept_and_raw_weights_go_on(world, tmp_path):
    data, store = world
    task = job(tmp_path, store, data, recipe(ema=0.8, lr=0.05, fidelity={"epochs": 3}))
    history = fit(task).history
    kept, _ = read_weights(checkpoint.epoch_path(tmp_path, 2))
    state, _ = read_weights(tmp_path / checkpoint.STATE)
    average = {k.removeprefix("extra."): v for k, v in state.items() if k.startswith("extra.")}
    raw = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    assert same_tensors(dict(sorted(kept.items())), dict(sorted(average.items())))
    assert not torch.equal(kept["0.weight"], raw["0.weight"])
    results = {}
    for name, weights in (("average", average), ("raw", raw)):
        body = tiny_network()
        body.load_state_dict(weights)
        results[name] = validate(task, prepare(body, Plain(3), "cpu"), "cpu", torch.float32)
    assert results["average"] == (history[-1].valid_loss, history[-1].valid_score)
    assert results["raw"] != results["average"]


def test_the_average_after_one_step_is_nine_parts_old_and_one_part_new(world, tmp_path):
    data, store = world
    fit(job(tmp_path, store, data, recipe(ema=0.9, batch_size=16, fidelity={"epochs": 1})))
    torch.manual_seed(0)
    first = tiny_network().state_dict()
    state, _ = read_weights(tmp_path / checkpoint.STATE)
    for key, start in first.items():
        average, now = state[f"extra.{key}"], state[f"model.{key}"]
        if start.dtype.is_floating_point:
            assert torch.allclose(average, 0.9 * start + 0.1 * now, atol=1e-6), key
            assert not torch.equal(start, now), key
        else:
            assert torch.equal(average, now), key


def test_counters_are_copied_into_the_average():
    average = {"w": torch.zeros(2), "n": torch.tensor(0)}
    blend(average, {"w": torch.ones(2), "n": torch.tensor(7)}, 0.75)
    assert average["w"].tolist() == [0.25, 0.25]
    assert int(average["n"]) == 7


def test_every_setting_of_the_optimizer_arrives():
    network = tiny_network()
    adamw = make_optimizer(recipe(optimizer="adamw", lr=0.3, weight_decay=0.2), network)
    assert type(adamw) is torch.optim.AdamW
    assert (adamw.param_groups[0]["lr"], adamw.param_groups[0]["weight_decay"]) == (0.3, 0.2)
    assert type(make_optimizer(recipe(optimizer="adam"), network)) is torch.optim.Adam
    sgd = make_optimizer(recipe(optimizer="sgd", lr=0.01), network)
    assert type(sgd) is torch.optim.SGD
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (0.99, True)


def test_frozen_weights_stay_as_they_are(world, tmp_path):
    data, store = world

    def half_frozen():
        body = tiny_network()
        body[0].requires_grad_(False)
        return body

    fit(job(tmp_path, store, data, recipe(), make_model=half_frozen))
    torch.manual_seed(0)
    first = tiny_network().state_dict()
    last, _ = read_weights(checkpoint.epoch_path(tmp_path, 2))
    assert torch.equal(first["0.weight"], last["0.weight"])
    assert not torch.equal(first["3.weight"], last["3.weight"])


def test_gradients_are_clipped_to_the_norm_of_the_recipe(world, tmp_path):
    data, store = world
    moved = {}
    for clip in (0.0, 1e-4):
        settings = recipe(
            optimizer="sgd", clip=clip, lr=0.01, warmup=0, schedule="constant", batch_size=16, weight_decay=0.0,
            fidelity={"epochs": 1},
        )  # fmt: skip
        fit(job(tmp_path / str(clip), store, data, settings))
        torch.manual_seed(0)
        first = {name: value.detach() for name, value in tiny_network().named_parameters()}
        last, _ = read_weights(checkpoint.epoch_path(tmp_path / str(clip), 0))
        moved[clip] = math.sqrt(sum(float((last[k] - first[k]).square().sum()) for k in first))
    # One step of Nesterov momentum 0.99 moves by lr * (1 + 0.99) * gradient.
    assert moved[1e-4] == pytest.approx(0.01 * 1.99 * 1e-4, rel=0.05)
    assert moved[0.0] > 100 * moved[1e-4]


def test_the_learning_rate_of_each_step_is_the_schedule(world, tmp_path):
    data, store = world
    seen = []
    real = lr_at

    def spy(settings, epoch):
        seen.append(epoch)
        return real(settings, epoch)

    module_lr, module.lr_at = module.lr_at, spy
    try:
        history = fit(job(tmp_path, store, data, recipe(batch_size=4))).history
    finally:
        module.lr_at = module_lr
    assert seen == [e + s / 4 for e in range(3) for s in range(4)]
    assert [row.lr for row in history] == [real(recipe(batch_size=4), e + 0.75) for e in range(3)]


def test_the_learning_rate_warms_up_from_a_tenth_to_its_peak():
    settings = recipe(lr=0.5, warmup=2.0, fidelity={"epochs": 10})
    assert lr_at(settings, 0) == pytest.approx(0.05)
    assert lr_at(settings, 1) == pytest.approx(0.275)
    assert lr_at(settings, 2) == pytest.approx(0.5)
    rising = [lr_at(settings, e / 10) for e in range(21)]
    assert rising == sorted(rising)


@pytest.mark.parametrize(
    ("schedule", "half", "end"), [("cosine", 0.5005, 0.001), ("poly", 0.5**0.9, 0), ("constant", 1, 1)]
)
def test_each_schedule_has_its_middle_and_its_end(schedule, half, end):
    settings = recipe(lr=0.2, warmup=2.0, schedule=schedule, fidelity={"epochs": 10})
    assert lr_at(settings, 6) == pytest.approx(0.2 * half)
    assert lr_at(settings, 10) == pytest.approx(0.2 * end, abs=1e-12)
    falling = [lr_at(settings, 2 + e / 10) for e in range(81)]
    assert falling == sorted(falling, reverse=True)


def test_a_horizon_stretches_the_schedule_beyond_the_last_epoch():
    settings = recipe(lr=1.0, warmup=0.0, horizon=20.0, fidelity={"epochs": 14})
    assert lr_at(settings, 10) == pytest.approx(0.001 + 0.999 * 0.5)
    assert lr_at(settings, 14) > 0.19
    assert lr_at(settings, 20) == pytest.approx(0.001)
    assert lr_at(settings, 25) == pytest.approx(0.001)


def test_no_warm_up_and_a_warm_up_longer_than_the_training_are_both_defined():
    assert lr_at(recipe(lr=1.0, warmup=0.0), 0) == pytest.approx(1.0)
    long = recipe(lr=1.0, warmup=9.0, fidelity={"epochs": 3})
    assert lr_at(long, 2.9) < 0.4
    assert lr_at(long, 9.5) == pytest.approx(1.0)


@pytest.mark.parametrize(("task", "classes"), [("multilabel", 2), ("multiclass", 2)])
def test_other_tasks_train_too(tmp_path, task, classes):
    class PerClass(MeanIoU):
        def compare(self, truth, mask):
            assert truth.shape == mask.shape
            return super().compare(truth, mask)

    data = discs(10, task=task)
    store = filled(tmp_path / "store", data, classes=classes)
    loss = {"bce": 1.0} if task == "multilabel" else {"ce": 1.0}
    settings = recipe(loss=loss, lr=0.05, fidelity={"epochs": 8})
    found = fit(
        job(
            tmp_path / "run", store, data, settings, holdout=2, metric=PerClass(),
            make_model=lambda: tiny_network(classes=classes),
        )
    )  # fmt: skip
    assert found.history[-1].train_loss < found.history[0].train_loss
    assert found.history[-1].valid_score > 0.6


def test_sixteen_bit_floats_train_as_well_as_thirty_two(world, tmp_path):
    data, store = world
    losses = {}
    for precision in ("fp32", "bf16"):
        settings = recipe(precision=precision, fidelity={"epochs": 6})
        losses[precision] = fit(job(tmp_path / precision, store, data, settings)).history[-1].train_loss
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.25)
    weights, _ = read_weights(checkpoint.epoch_path(tmp_path / "bf16", 5))
    assert weights["0.weight"].dtype == torch.float32
