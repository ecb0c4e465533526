"""Checkpoints: what goes in comes out, bit by bit, and nothing in them can run."""

import json
import zipfile

import pytest
import torch
from safetensors import safe_open
from torch import nn

from kagglekit.errors import RunError
from kagglekit.train import checkpoint
from kagglekit.train.checkpoint import (
    STATE,
    epoch_path,
    hash_weights,
    load_state,
    read_member,
    read_weights,
    save_state,
    save_weights,
)
from kagglekit.train.fit import make_optimizer
from kagglekit.types import Member
from tests.toy_data import recipe, same_tensors, tiny_network


def trained(optimizer: str, steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and an optimizer with a past."""
    torch.manual_seed(0)
    network = tiny_network()
    chosen = make_optimizer(recipe(optimizer=optimizer), network)
    for _ in range(steps):
        network(torch.randn(4, 3, 8, 8)).square().mean().backward()
        chosen.step()
        chosen.zero_grad(set_to_none=True)
    return network, chosen


def step(network, optimizer) -> dict:
    """The weights after one more step on fixed images."""
    torch.manual_seed(9)
    network(torch.randn(4, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_of_any_kind_come_back_bit_by_bit(tmp_path, dtype):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "matrix": (torch.randn(5, 7, generator=generator) * 50).to(dtype),
        "scalar": torch.tensor(3).to(dtype),
        "strided": (torch.randn(4, 6, generator=generator) * 50).to(dtype).t(),
        "channels last": torch.ones(2, 3, 4, 5).to(dtype).contiguous(memory_format=torch.channels_last),
        "none": torch.zeros(0, 3).to(dtype),
    }
    save_weights(tmp_path / "w.safetensors", weights, {"epoch": 3, "score": None})
    back, metadata = read_weights(tmp_path / "w.safetensors")
    assert metadata == {"epoch": 3, "score": None}
    assert set(back) == set(weights)
    for key, tensor in weights.items():
        assert back[key].dtype == dtype
        assert back[key].shape == tensor.shape
        assert torch.equal(back[key], tensor), key


def test_extreme_numbers_survive(tmp_path):
    weights = {"w": torch.tensor([float("inf"), -0.0, 1e-45, 3.4e38, float("nan")])}
    save_weights(tmp_path / "w.safetensors", weights, {})
    assert torch.equal(
        read_weights(tmp_path / "w.safetensors")[0]["w"].view(torch.int32), weights["w"].view(torch.int32)
    )


def test_layers_with_tied_weights_can_be_saved(tmp_path):
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {})
    fresh = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    fresh.load_state_dict(read_weights(tmp_path / "w.safetensors")[0])
    assert torch.equal(fresh[0].weight, network[0].weight)
    assert torch.equal(fresh[1].weight, network[0].weight)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_state_to_go_on_from_comes_back_bit_by_bit(tmp_path, optimizer):
    network, chosen = trained(optimizer)
    extra = {"average": torch.randn(3, 3)}
    save_state(tmp_path, network, chosen, extra, {"history": [{"epoch": 0}], "scaler": {}})

    torch.manual_seed(1)
    again = tiny_network()
    chosen_again = make_optimizer(recipe(optimizer=optimizer), again)
    back, metadata = load_state(tmp_path, again, chosen_again)
    assert same_tensors(back, extra)
    assert metadata == {"history": [{"epoch": 0}], "scaler": {}}
    assert same_tensors(again.state_dict(), network.state_dict())
    old, new = chosen.state_dict()["state"], chosen_again.state_dict()["state"]
    assert len(old) == len(list(network.parameters()))
    assert set(old) == set(new)
    for index, slots in old.items():
        assert set(slots) == set(new[index])
        for name, value in slots.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(new[index][name])), (index, name)
    assert same_tensors(step(network, chosen), step(again, chosen_again)), "the next step differs"


def test_an_optimizer_without_a_past_can_be_saved(tmp_path):
    network, chosen = trained("sgd", steps=0)
    save_state(tmp_path, network, chosen, {}, {})
    assert load_state(tmp_path, network, chosen) == ({}, {})


def test_there_is_no_state_where_nothing_was_saved(tmp_path):
    network, chosen = trained("sgd", steps=0)
    assert load_state(tmp_path, network, chosen) is None


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "missing"])
def test_a_damaged_checkpoint_is_an_error_that_names_it_and_says_what_to_do(tmp_path, damage):
    path = epoch_path(tmp_path, 7)
    save_weights(path, {"w": torch.zeros(1000)}, {})
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": b"\xff" * 500}[damage])
    with pytest.raises(RunError, match=r"epoch-007\.safetensors: cannot be read: .+ remove the run's folder"):
        read_weights(path)


def test_a_damaged_state_is_an_error_too(tmp_path):
    network, chosen = trained("adamw")
    save_state(tmp_path, network, chosen, {}, {})
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-100])
    with pytest.raises(RunError, match=r"state\.safetensors: cannot be read"):
        load_state(tmp_path, network, chosen)


def test_a_checkpoint_is_plain_numbers_and_json(tmp_path):
    network, chosen = trained("adamw")
    save_weights(epoch_path(tmp_path, 0), network.state_dict(), {"epoch": 0})
    save_state(tmp_path, network, chosen, {}, {"history": []})
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["epoch-000.safetensors", "state.safetensors"]
    for path in files:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        assert set(header.pop("__metadata__")) == {"kagglekit"}
        assert all(set(entry) == {"dtype", "shape", "data_offsets"} for entry in header.values())
        assert max(entry["data_offsets"][1] for entry in header.values()) == len(data) - 8 - length
        assert not zipfile.is_zipfile(path), "torch.save makes zip files of pickles"


def test_saving_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    import safetensors.torch

    path = epoch_path(tmp_path, 0)
    save_weights(path, {"w": torch.ones(3)}, {})

    def half(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(OSError, match="No space"):
        save_weights(path, {"w": torch.zeros(3)}, {})
    assert torch.equal(read_weights(path)[0]["w"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_epochs_sort_in_their_order(tmp_path):
    paths = [epoch_path(tmp_path, epoch) for epoch in (0, 9, 10, 99, 100, 999)]
    assert paths == sorted(paths)


def test_other_programs_can_read_the_metadata(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"w": torch.zeros(1)}, {"valid_score": 0.5})
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["kagglekit"]) == {"valid_score": 0.5}
    assert checkpoint.read_weights(tmp_path / "w.safetensors")[1]["valid_score"] == 0.5


def test_the_hash_of_weights_knows_the_tensors_and_nothing_of_the_header(tmp_path):
    weights = {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}
    save_weights(tmp_path / "one", weights, {"seconds": 1})
    save_weights(tmp_path / "two", dict(reversed(weights.items())), {"seconds": 2})
    save_weights(tmp_path / "other", weights | {"n": torch.tensor(4)}, {"seconds": 1})
    one, two, other = (hash_weights(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two != other and len(one) == 16


def test_a_flipped_byte_of_the_weights_is_noticed_by_the_hash_of_the_record(tmp_path):
    path = tmp_path / "epoch-000.safetensors"
    save_weights(path, tiny_network().state_dict(), {"normalisation": [[0.5] * 3] * 2})
    member = Member(path, 0, hash=hash_weights(path))
    read_member(member)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    read_weights(path)  # the format has no checksum
    with pytest.raises(RunError, match=r"epoch-000\.safetensors: its weights are not those that the run wrote"):
        read_member(member)
    assert read_member(Member(path, 0))[0], "records of old runs state no hash"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, value):
    weights = tiny_network().state_dict()
    next(iter(weights.values())).view(-1)[0] = value
    save_weights(tmp_path / "epoch-001.safetensors", weights, {})
    with pytest.raises(RunError, match=r"epoch-001\.safetensors: .* holds values that are no numbers"):
        read_member(Member(tmp_path / "epoch-001.safetensors", 1))
