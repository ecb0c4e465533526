"""How often a run asks each hook: what hooks build is built once, and passed on."""

from collections import Counter

import pytest
import torch

from kagglekit import PluginError, hookimpl
from kagglekit.pipeline.evaluate import choose_members
from kagglekit.pipeline.experiment import run
from kagglekit.pipeline.prepare import prepare
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.reuse import members_of
from kagglekit.pipeline.sample_data import draw
from kagglekit.plugin.registry import SPECS, discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose
from kagglekit.train.checkpoint import hash_weights
from kagglekit.train.trained import Epoch
from tests.helpers import Folder, answer, toy

ONCE = Counter(set(SPECS) - {"kk_competition", "kk_techniques", "kk_sample"})  # those are for listings and samples
PER_NETWORK = {"kk_model", "kk_optimizer", "kk_sampler", "kk_augment"}


def counted(solution) -> Counter:
    """What counts the calls of a solution's hooks from here on."""
    calls = Counter()
    solution.manager.add_hookcall_monitoring(lambda name, *rest: calls.update([name]), lambda *rest: None)
    return calls


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of 16 drawn images with one object class."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    draw(solution_of(), folder, 16, 0)
    return folder


def solution_of(techniques=(), **changes):
    """A tiny recipe of the 16-bit competition, resolved."""
    small = {"fidelity.image_size": 32, "fidelity.epochs": 2, "decoder": "unet/4", "encoder_weights": "none"}
    own = {"folds": 2, "techniques": [{"name": "multi-window"}, *({"name": name} for name in techniques)]}
    registry = discover()
    _, competition = registry.competition("contrast")
    layers = [("start", {"competition": "contrast"}), ("c", competition.recipe), ("mine", {**small, **own, **changes})]
    return resolve(compose(layers)[0], registry)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "networks", "more"),
    [
        ({}, 1, {}),
        ({"fold": "all", "fidelity.epochs": 1}, 2, {}),
        ({"fold": "refit", "fidelity.epochs": 1}, 2, {}),
        # Images as in training decide the statistics of an average; to keep the parts would keep their memory.
        ({"techniques": ["weight-average"]}, 1, {"kk_sampler": 1, "kk_augment": 1}),
        # Weights that must be fetched are not, before all names are known to be right.
        ({"encoder_weights": "imagenet"}, 1, {"kk_model": 1}),
    ],
    ids=["one network", "all folds", "refit", "averaged weights", "weights to fetch"],
)
def test_a_run_asks_each_hook_once_and_those_of_a_network_once_for_each(drawn, changes, networks, more):
    solution = solution_of(**changes)
    calls = counted(solution)
    run(Request(solution, drawn))
    expected = Counter({hook: networks if hook in PER_NETWORK else 1 for hook in ONCE})
    assert calls == expected + Counter(more)


@pytest.mark.slow
def test_an_average_of_weights_does_not_depend_on_what_was_drawn_before(drawn):
    solution = solution_of(["weight-average"])
    folder, _, _ = run(Request(solution, drawn))
    [average] = folder.rglob("average-*.safetensors")
    before = hash_weights(average)
    average.unlink()
    data = prepare(solution, solution.dataset(drawn), "mark")
    members = members_of(folder, [Epoch(epoch=0), Epoch(epoch=1)], data.splits[0].fold)
    torch.rand(7)
    [[(again, _)]] = choose_members(solution, data, members).values()
    assert again.path == average and hash_weights(again.path) == before


class Layers(torch.nn.Module):
    """A network with weights, statistics and a table that no checkpoint holds."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = torch.nn.Conv2d(3, 1, 1), torch.nn.BatchNorm2d(1)
        self.twin = self.layer
        self.register_buffer("table", torch.arange(3.0), persistent=False)

    def forward(self, images):
        """Logits of the image's size."""
        return self.norm(self.layer(images)) + self.table.sum()


class Fixed(torch.nn.Module):
    """A network that copy.deepcopy refuses."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.double = self.weight * 2

    def forward(self, images):
        """Logits of the image's size."""
        return images[:, :1] * self.double


def building(kind: type):
    """A hook that builds a network of that class each time it is asked."""

    @hookimpl
    def kk_model():
        return kind()

    return kk_model


def test_the_network_that_was_checked_is_the_first_one_to_be_trained_with_the_bits_of_a_fresh_one():
    checked, other = toy(kk_model=building(Layers)), toy(kk_model=building(Layers))
    calls = counted(checked)
    checked.check(Folder())
    network = checked.model(3)
    assert calls["kk_model"] == 1
    torch.manual_seed(other.recipe.seed)
    fresh = other.model(3)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), fresh.parameters(), strict=True))
    assert checked.model(3) is not network and calls["kk_model"] == 2  # that of the next fold


def test_a_network_to_load_a_checkpoint_into_has_no_weights_of_its_own_and_all_else():
    solution = toy(kk_model=building(Layers))
    calls = counted(solution)
    trained = solution.model(3)
    with torch.no_grad():
        trained.layer.weight.fill_(3)
        trained.table.fill_(9)
    [frame] = [one for key, one in solution._kept.items() if key[0] == "frame"]
    assert all(tensor.is_meta for tensor in frame.state_dict().values()) and not frame.table.is_meta
    empty = solution.empty_model(3)
    empty.load_state_dict(trained.state_dict())
    assert calls["kk_model"] == 1 and empty.twin is empty.layer and empty.table.tolist() == [0, 1, 2]
    assert torch.equal(empty.layer.weight, trained.layer.weight) and empty.layer.weight.requires_grad
    assert solution.empty_model(3) is not empty


def test_a_network_to_load_a_checkpoint_into_is_asked_for_where_none_was_built():
    solution = toy(kk_model=building(Layers))
    calls = counted(solution)
    solution.empty_model(3)
    solution.empty_model(3)
    assert calls["kk_model"] == 1


def test_whoever_loads_checkpoints_keeps_no_network_that_would_have_been_trained():
    solution = toy(kk_model=building(Layers))
    solution.check(Folder())
    checked = solution._kept["checked", 3]
    solution.empty_model(3)
    assert checked not in solution._kept.values()


def test_a_network_that_cannot_be_copied_is_refused_before_training():
    with pytest.raises(PluginError, match=r"kk_model\(\) \(answered by .*toy\): the network cannot be copied"):
        toy(kk_model=building(Fixed)).check(Folder())


def test_an_answer_that_serves_the_whole_run_is_one_object():
    solution = toy(kk_ensemble=answer(object(), "kk_ensemble"))
    calls = counted(solution)
    for part in (solution.loss, solution.views, solution.ensemble, solution.postprocess):
        assert part() is part()
    assert (
        solution.input_transform(3, "uint8")
        is solution.input_transform(3, "uint8")
        is not solution.input_transform(1, "uint8")
    )
    assert calls == {"kk_loss": 1, "kk_tta": 1, "kk_ensemble": 1, "kk_postprocess": 1, "kk_intake": 2}
