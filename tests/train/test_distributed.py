"""Several workers compute what one computes: shares, batch statistics, gradients, whole trainings, without Ray."""

import dataclasses
import inspect
import math
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from kagglekit.data.loader import batches
from kagglekit.train import checkpoint
from kagglekit.train.checkpoint import read_weights
from kagglekit.train.distributed import ProcessGroup
from kagglekit.train.fit import fit
from kagglekit.train.network import prepare
from kagglekit.types import ModelOutput
from tests.toy_data import Discs, discs, filled, job, recipe, tiny_network
from tests.train.processes import run_processes


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the store of twenty discs lies."""
    folder = tmp_path_factory.mktemp("store")
    filled(folder, discs(20))
    return folder


def test_the_shares_of_a_team_are_the_batch_in_its_order_and_differ_by_one_image_at_most():
    swept = 0
    for size in (1, 2, 3, 5, 8):
        for total in range(size, 20):
            shares = [ProcessGroup(rank, size).share(range(100, 100 + total)) for rank in range(size)]
            assert [position for share in shares for position in share] == list(range(100, 100 + total))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1 and min(map(len, shares)) >= 1
            swept += 1
    assert swept > 70


def test_a_batch_smaller_than_the_team_is_computed_whole_by_each_and_counts_once():
    for rank in range(4):
        process_group = ProcessGroup(rank, 4)
        assert process_group.share([5, 6, 7]) == [5, 6, 7] and not process_group.splits(3) and process_group.splits(4)
        assert 4 * process_group.weight(3) == 1 == process_group.weight(4)


def test_one_worker_alone_draws_and_computes_as_if_there_were_no_teams(place):
    alone, logits, masks = ProcessGroup(), torch.randn(3, 1, 2, 2), torch.zeros(3, 2, 2)
    assert alone.leads and alone.seed(7) == 7 and alone.weight(3) == 1
    assert all(one is other for one, other in zip(alone.gathered(logits, masks, 3), (logits, masks), strict=True))
    assert len({ProcessGroup(rank, 9).seed(7) for rank in range(9)}) == 9 and ProcessGroup(0, 9).seed(7) == 7


def test_the_images_of_all_shares_together_are_those_of_one_worker_augmentation_included(place):
    data = discs(20)
    task = job(place, filled(place, data), data, recipe(), holdout=3)
    draws = list(task.sampler(1))
    assert len(draws) == 17  # the last one joins the batch before it

    def loaded(share):
        return list(batches(task.store, draws, 8, task.augment, 0, 1, "cpu", share))

    whole, shares = loaded(list), [loaded(ProcessGroup(rank, 3).share) for rank in range(3)]
    assert [len(images) for images, _ in whole] == [8, 9]
    for at, pair in enumerate(whole):
        for which in (0, 1):
            assert torch.equal(pair[which], torch.cat([share[at][which] for share in shares]))


def normalised(
    process_group: ProcessGroup, kind: str, values: torch.Tensor, slope: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Everything that a layer of batch norm computes of a batch, and of its gradient."""
    torch.manual_seed(3)
    layer = {
        "plain": lambda: nn.BatchNorm2d(4),
        "without weights": lambda: nn.BatchNorm2d(4, affine=False),
        "cumulative": lambda: nn.BatchNorm2d(4, momentum=None),
        "without memory": lambda: nn.BatchNorm2d(4, track_running_stats=False),
        "with activation": lambda: BatchNormAct2d(4),
        "frozen": lambda: nn.BatchNorm2d(4).eval(),
    }[kind]().double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    mine = torch.tensor(process_group.share(range(len(values))))
    own = values[mine].clone().requires_grad_()
    with process_group.batch_statistics(len(values)):
        out = layer(own)
    (out * slope[mine]).sum().backward()
    if list(layer.parameters()):
        process_group.sum_gradients(layer.parameters())
    found = {"out": out, "slope": own.grad, **dict(layer.named_buffers())}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in layer.named_parameters()}
    return {name: value.detach().clone().tolist() for name, value in found.items()}


KINDS = ("plain", "without weights", "cumulative", "without memory", "with activation", "frozen")


def normalised_all(process_group: ProcessGroup, values, slope) -> dict:
    return {kind: normalised(process_group, kind, values, slope) for kind in KINDS}


def test_batch_norm_over_three_workers_is_batch_norm_over_the_batch_forwards_and_backwards():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(7, 4, 5, 3, generator=generator, dtype=torch.float64) * 3 + 100  # far from 0, as ReLUs give
    slope = torch.randn(7, 4, 5, 3, generator=generator, dtype=torch.float64)
    expected, found = normalised_all(ProcessGroup(), values, slope), run_processes(3, normalised_all, values, slope)
    for kind in KINDS:
        for name, value in expected[kind].items():
            parts = [torch.tensor(answer[kind][name]) for answer in found]
            whole = torch.cat(parts) if name in ("out", "slope") else parts[0]
            assert torch.allclose(whole, torch.tensor(value), rtol=1e-9, atol=1e-9), f"{kind}: {name}"
            assert name in ("out", "slope") or all(torch.equal(part, parts[0]) for part in parts), f"{kind}: {name}"
    assert len(expected["plain"]) == 7


def test_the_kernels_of_torch_for_gpus_are_called_with_the_arguments_that_they_take():
    from torch.nn.modules._functions import SyncBatchNorm

    names = list(inspect.signature(SyncBatchNorm.forward).parameters)[1:]
    assert names == [
        "input", "weight", "bias", "running_mean", "running_var", "eps", "momentum", "process_group", "world_size",
    ]  # fmt: skip


def partial_gradients(process_group: ProcessGroup) -> list:
    """Gradients after the sum of: a weight that all used, one that only the last worker used, one that nobody used."""
    used, seldom, never = (nn.Parameter(torch.ones(2, 3)) for _ in range(3))
    loss = used.sum() * (process_group.rank + 1)
    (loss + 5 * seldom.sum() if process_group.rank == process_group.size - 1 else loss).backward()
    process_group.sum_gradients([used, seldom, never])
    return [None if p.grad is None else p.grad.unique().tolist() for p in (used, seldom, never)]


def test_gradients_are_summed_also_where_a_worker_has_none_and_stay_absent_where_nobody_has_one():
    assert run_processes(2, partial_gradients) == [[[3.0], [5.0], None]] * 2


def heads(process_group: ProcessGroup) -> list:
    """Logits of three heads after gathering, and the gradient that each image of this worker gets."""
    numbers = torch.arange(5.0)[torch.tensor(process_group.share(range(5)))]
    own = [numbers.view(-1, 1, 1, 1).clone().requires_grad_(), numbers.view(-1, 1).clone(), numbers.view(-1, 1) * 2]
    out, masks = process_group.gathered(
        ModelOutput(own[0], own[1], (own[2],)), numbers.view(-1, 1, 1).to(torch.uint8), 5
    )
    out.masks.prod(dim=0).sum().add(out.masks.sum() * 3).backward()
    return [out.masks.flatten().tolist(), out.classes.flatten().tolist(), out.deep[0].flatten().tolist(),
            masks.flatten().tolist(), own[0].grad.flatten().tolist()]  # fmt: skip


def test_every_head_is_gathered_in_the_order_of_the_batch_and_gradients_reach_the_own_images():
    numbers = [0.0, 1.0, 2.0, 3.0, 4.0]
    answers = run_processes(2, heads)
    assert all(answer[:4] == [numbers, numbers, [2 * n for n in numbers], numbers] for answer in answers)
    assert answers[0][4] + answers[1][4] == [27.0, 3.0, 3.0, 3.0, 3.0]


def steady_network(classes: int = 1) -> nn.Module:
    """A tiny network without a bias before batch norm: its gradient is mere noise, of which Adam makes whole steps."""
    body = tiny_network(classes=classes)
    body[0] = nn.Conv2d(3, 6, 3, padding=1, bias=False)
    return body


SETTINGS = {
    "adamw": {},
    "sgd, clipped, gathered": {"optimizer": "sgd", "clip": 0.5, "accumulate": 2, "lr": 0.01, "batch_size": 5},
    "averaged, Dice alone": {"ema": 0.8, "loss": {"dice": 1.0}, "batch_size": 7},
    "a loss that sorts all pixels": {"loss": {"lovasz": 1.0}, "optimizer": "adam", "batch_size": 4},
    "multiclass": {"loss": {"ce": 1.0, "dice": 1.0}, "batch_size": 7},
}


def train(
    process_group: ProcessGroup, place: Path, folder: Path, epochs: int = 3, names=tuple(SETTINGS)
) -> dict[str, list]:
    """The history of a training with each of the settings, in a folder each."""
    histories = {}
    for name in names:
        multi = name == "multiclass"
        data = Discs(discs(20).samples, task="multiclass" if multi else "binary")
        store = filled(place.with_name(f"{place.name}-multi") if multi else place, data, classes=2 if multi else 1)
        settings = recipe(**SETTINGS[name], fidelity={"epochs": epochs})
        task = job(
            folder / name,
            store,
            data,
            settings,
            process_group=process_group,
            make_model=lambda n=1 + multi: steady_network(n),
        )
        histories[name] = fit(task).history
    return histories


@pytest.mark.parametrize("size", [2, 3])
def test_a_team_trains_to_the_losses_scores_and_weights_of_one_worker(place, tmp_path, size):
    expected = train(ProcessGroup(), place, tmp_path / "one")  # 16 images: 7 + 7 + 2, where three workers split no more
    found = run_processes(size, train, place, tmp_path / "team")[0]
    for name in SETTINGS:
        assert len(found[name]) == 3
        for row, other in zip(expected[name], found[name], strict=True):
            for column in ("epoch", "lr", "train_loss", "valid_loss", "valid_score"):
                value, wanted = getattr(other, column), getattr(row, column)
                assert value == pytest.approx(wanted, rel=1e-3, abs=1e-5), f"{name}: {column}"
        assert found[name][0].train_loss == pytest.approx(expected[name][0].train_loss, rel=1e-5), name
        files = [sorted(p.name for p in (tmp_path / who / name).iterdir()) for who in ("one", "team")]
        assert files[0] == files[1] and len(files[0]) == 4
        one, other = (read_weights(tmp_path / who / name / "epoch-002.safetensors")[0] for who in ("one", "team"))
        for key, value in one.items():
            assert torch.allclose(value, other[key], rtol=2e-3, atol=2e-3), f"{name}: {key}"


def dropped(process_group: ProcessGroup, place: Path, folder: Path) -> list:
    """The numbers that dropout drew in two epochs."""
    data, drawn = discs(20), []

    class Draws(nn.Module):
        def forward(self, images):
            if self.training:
                drawn.append(float(torch.rand(())))
            return images

    fit(
        job(folder, filled(place, data), data, recipe(fidelity={"epochs": 2}), process_group=process_group,
            make_model=lambda: nn.Sequential(Draws(), nn.Conv2d(3, 1, 1)))
    )  # fmt: skip
    return drawn


def test_workers_draw_different_numbers_of_chance_and_the_first_those_of_one_worker(place, tmp_path):
    first, second = run_processes(2, dropped, place, tmp_path / "two")
    assert first == dropped(ProcessGroup(), place, tmp_path / "one")
    assert len({*first, *second}) == len(first) + len(second) == 8


def four_epochs(process_group: ProcessGroup, place: Path, folder: Path, stops: tuple[int, ...] = ()) -> list:
    """The history of a training of four epochs that is interrupted in each epoch of `stops`, and goes on."""
    data = discs(20)
    settings = recipe(fidelity={"epochs": 4})
    task = job(folder, filled(place, data), data, settings, process_group=process_group, make_model=steady_network)
    for stop in stops:

        def sampler(epoch, stop=stop):
            if epoch == stop:
                raise InterruptedError
            return task.sampler(epoch)

        with pytest.raises(InterruptedError):
            fit(dataclasses.replace(task, sampler=sampler))
        torch.distributed.barrier()  # the first one has written its last file
    return fit(task).history


def test_a_team_that_was_interrupted_goes_on_from_the_last_whole_epoch_to_the_same_weights(place, tmp_path):
    expected = four_epochs(ProcessGroup(), place, tmp_path / "one")
    found = run_processes(2, four_epochs, place, tmp_path / "two", (1, 3))[0]
    losses = [[row.train_loss for row in rows] for rows in (expected, found)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    one, two = (read_weights(checkpoint.epoch_path(tmp_path / who, 3))[0] for who in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], rtol=2e-3, atol=2e-3) for key in one)


def begun(process_group: ProcessGroup, folder: Path) -> list:
    """What workers begin with whose networks, notes and numbers of epochs differ."""
    torch.manual_seed(process_group.rank)
    body = tiny_network()
    body.normalisation = ((0.1 * process_group.rank,) * 3, (0.5,) * 3)
    network = prepare(body, job(folder, None, discs(20), recipe()).input_transform, "cpu")
    loaded = process_group.begin(network, folder, 2, f"weights of {process_group.rank}")
    weights = {key: value.tolist() for key, value in body.state_dict().items()}
    try:
        process_group.begin(network, folder, 2 + process_group.rank, "")
        refusal = ""
    except Exception as error:
        refusal = f"{type(error).__name__}: {error}"
    return [loaded, weights, network.normalisation, refusal]


def test_a_team_begins_with_the_weights_of_its_first_worker_and_in_the_same_epoch(tmp_path):
    first, second = run_processes(2, begun, tmp_path)
    assert first[0] == second[0] == "weights of 0"
    assert first[1] == second[1] and first[2] == second[2] == ((0.0,) * 3, (0.5,) * 3)
    assert second[3] == (
        f"RunError: {tmp_path}: worker 1 sees 3 finished epochs there, worker 0 sees 2; runs must lie in a folder that "
        "all machines share (KAGGLEKIT_RUNS)"
    )


class Endless(nn.Module):
    """A network whose logits are no numbers where an image is bright."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return images[:, :1] * self.scale * math.nan


def diverging(process_group: ProcessGroup, place: Path, folder: Path) -> str:
    data = discs(20)
    try:
        fit(job(folder, filled(place, data), data, recipe(), process_group=process_group, make_model=Endless))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def test_a_loss_that_is_no_number_stops_every_worker_with_the_same_sentence(place, tmp_path):
    answers = run_processes(2, diverging, place, tmp_path)
    assert answers[0] == answers[1] and answers[0].startswith("RunError: training: the loss became nan in epoch 1")
    assert list(tmp_path.iterdir()) == []
