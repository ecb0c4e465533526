"""Prediction: probabilities once, blended as probabilities, in order, with few images in memory."""

import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from kagglekit.data.input_transform import Plain
from kagglekit.errors import DataError, RunError
from kagglekit.pipeline.prepare import Split
from kagglekit.pipeline.validation import Truths, ValidationProbs, write_probs
from kagglekit.predict.ensemble import LastEpochs, equal
from kagglekit.predict.infer import Predictor, predict_all, to_probs
from kagglekit.predict.views import hflip, identity
from kagglekit.train.checkpoint import save_weights
from kagglekit.types import Member, View, untracked
from tests.toy_data import discs, filled, recipe, tiny_network

PLAIN = ((0.5,) * 3, (0.5,) * 3)


class Ramp(nn.Module):
    """Logits that depend on the colours and, strongly, on the column, so that mirrored views disagree."""

    def __init__(self, slope: float = 0.0, classes: int = 1):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.classes = classes

    def forward(self, images):
        columns = torch.arange(images.shape[-1], dtype=images.dtype)
        logits = images.mean(1, keepdim=True) * 3 + self.slope * columns
        return torch.cat([logits * (k + 1) for k in range(self.classes)], 1)


def member(folder, body: nn.Module, epoch: int = 0) -> Member:
    """A checkpoint on disk."""
    path = folder / f"epoch-{epoch:03d}.safetensors"
    save_weights(path, body.state_dict(), {"normalisation": PLAIN})
    return Member(path, epoch)


def one_member(one: Member, make_model, *views: View, task: str = "binary") -> Predictor:
    """A predictor of one member."""
    return Predictor(recipe(), task, equal([one]), LastEpochs(1), views or (identity(),), make_model, Plain(3))


def logits_of(slope: float, images: torch.Tensor, classes: int = 1) -> torch.Tensor:
    return Ramp(slope, classes)((images.float() / 255 - 0.5) / 0.5).detach()


def make_images(count: int = 2, height: int = 6, width: int = 10) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_views_are_blended_as_probabilities_not_as_logits(tmp_path):
    views = (identity(0.75), hflip(0.25))
    predictor = one_member(member(tmp_path, Ramp(1.0)), Ramp, *views)
    images = make_images()
    plain, mirrored = logits_of(1.0, images), logits_of(1.0, images.flip(-1)).flip(-1)
    probs, classes = predictor(images)
    assert classes is None
    assert probs.shape == (1, 2, 1, 6, 10)
    assert probs.dtype == np.float32
    assert np.allclose(probs[0], 0.75 * plain.sigmoid() + 0.25 * mirrored.sigmoid(), atol=1e-6)
    as_logits = (0.75 * plain + 0.25 * mirrored).sigmoid()
    assert np.abs(probs[0] - as_logits.numpy()).max() > 0.1, "the two ways agree here, so nothing is shown"


def test_label_maps_are_softmaxed_before_views_are_blended(tmp_path):
    views = (identity(0.5), hflip(0.5))
    predictor = Predictor(
        recipe(),
        "multiclass",
        equal([member(tmp_path, Ramp(0.3))]),
        LastEpochs(1),
        views,
        lambda: Ramp(classes=4),
        Plain(3),
    )
    images = make_images()
    expected = 0.5 * logits_of(0.3, images, 4).softmax(1) + 0.5 * logits_of(0.3, images.flip(-1), 4).softmax(1).flip(-1)
    probs = predictor(images)[0][0]
    assert np.allclose(probs, expected, atol=1e-6)
    assert np.allclose(probs.sum(1), 1, atol=1e-5)


def test_every_member_answers_for_itself(tmp_path):
    slopes = (0.0, 0.5, -0.5)
    members = [member(tmp_path, Ramp(s), i) for i, s in enumerate(slopes)]
    probs = Predictor(recipe(), "binary", equal(members), LastEpochs(3), (identity(),), Ramp, Plain(3))(make_images())[
        0
    ]
    assert probs.shape == (3, 2, 1, 6, 10)
    for one, slope in zip(probs, slopes, strict=True):
        assert np.allclose(one, logits_of(slope, make_images()).sigmoid(), atol=1e-6)


def test_one_view_of_one_member_is_the_network_itself(tmp_path):
    torch.manual_seed(3)
    body = tiny_network()
    probs = one_member(member(tmp_path, body), tiny_network)(make_images())[0]
    body.eval()
    with torch.inference_mode():
        expected = body((make_images().float() / 255 - 0.5) / 0.5).sigmoid()
    assert np.allclose(probs[0], expected, atol=1e-5)


def test_the_normalisation_comes_from_the_checkpoint_not_from_the_fresh_network(tmp_path):
    def otherwise():
        body = Ramp()
        body.normalisation = ((0.1, 0.1, 0.1), (0.9, 0.9, 0.9))
        return body

    probs = one_member(member(tmp_path, Ramp(0.2)), otherwise)(make_images())[0]
    assert np.allclose(probs[0], logits_of(0.2, make_images()).sigmoid(), atol=1e-6)


def test_a_checkpoint_of_another_network_than_the_recipe_describes_is_named(tmp_path):
    one = member(tmp_path, nn.Linear(2, 3))
    with pytest.raises(
        RunError, match=r"epoch-000\.safetensors: is of another network than .*size mismatch for weight.*; take"
    ):
        one_member(one, lambda: nn.Linear(2, 4))
    with pytest.raises(RunError, match=r"Missing key\(s\) in state_dict: \"0.weight\""):
        one_member(one, lambda: nn.Sequential(nn.Linear(2, 3)))


def test_views_that_turn_images_work_on_landscapes(tmp_path):
    turn = View("turn", 1.0, lambda x: x.rot90(1, (-2, -1)), lambda x: x.rot90(-1, (-2, -1)))
    probs = one_member(member(tmp_path, Ramp(0.0)), Ramp, turn)(make_images())[0]
    assert np.allclose(probs[0], logits_of(0.0, make_images()).sigmoid(), atol=1e-6)


def test_logits_become_probabilities_in_32_bits():
    logits = torch.tensor([[[[-200.0]], [[0.0]], [[200.0]]]], dtype=torch.bfloat16)
    assert to_probs(logits, "multilabel").dtype == torch.float32
    assert to_probs(logits, "multilabel").flatten().tolist() == [0.0, 0.5, 1.0]
    assert to_probs(logits, "multiclass").sum().item() == pytest.approx(1)


class Counting:
    """A predictor that answers with the mean colour and keeps count of its batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        self.batches.append(tuple(images.shape))
        return (images.float().mean(1, keepdim=True) / 255).numpy()[None], None


SHAPES = ((6, 8), (6, 8), (8, 6), (6, 8), None, None, (6, 8), (4, 4), (4, 4), (4, 4), None)


def read_colour(item: int):
    shape = SHAPES[item % len(SHAPES)]
    return None if shape is None else np.full((*shape, 3), item, np.uint8)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 50])
@pytest.mark.parametrize("count", [0, 1, 11, 60])
def test_predictions_come_in_order_whatever_the_sizes_and_the_holes(batch_size, count):
    predictor = Counting()
    results = list(predict_all(predictor, range(count), read_colour, batch_size))
    assert [answer.item for answer in results] == list(range(count))
    for item, image, probs, classes in results:
        assert classes is None and (image is None) == (probs is None)
        if SHAPES[item % len(SHAPES)] is None:
            assert probs is None
        else:
            assert probs.shape == (1, 1, *SHAPES[item % len(SHAPES)])
            assert np.allclose(probs, item / 255)
    assert all(batch[0] <= 4 * batch_size for batch in predictor.batches)
    assert sum(batch[0] for batch in predictor.batches) == sum(read_colour(i) is not None for i in range(count))


def test_neighbours_of_one_size_share_a_batch():
    predictor = Counting()
    list(predict_all(predictor, range(10), lambda i: np.zeros((512, 512, 3), np.uint8), 4))
    assert [batch[0] for batch in predictor.batches] == [4, 4, 2]


def test_small_images_are_predicted_many_at_a_time():
    predictor = Counting()
    list(predict_all(predictor, range(20), lambda i: np.zeros((4, 4, 3), np.uint8), 4))
    assert [batch[0] for batch in predictor.batches] == [16, 4]


def test_only_some_images_are_read_ahead():
    lock, state = threading.Lock(), {"read": 0, "most": 0, "given": 0}

    def read(item):
        with lock:
            state["read"] += 1
            state["most"] = max(state["most"], state["read"] - state["given"])
        return np.zeros((4, 4, 3), np.uint8)

    for _ in predict_all(Counting(), range(300), read, 5):
        time.sleep(0.0005)
        state["given"] += 1
    assert state["read"] == 300
    assert 10 <= state["most"] <= 4 * 5 + 4 * 5 + 1


def test_images_are_read_while_others_are_predicted():
    names = set()

    def read(item):
        names.add(threading.current_thread().name)
        return np.zeros((4, 4, 3), np.uint8)

    list(predict_all(Counting(), range(20), read, 2))
    assert threading.current_thread().name not in names


def test_an_error_of_reading_arrives_where_the_predictions_are_used():
    def read(item):
        if item == 7:
            raise DataError("7: broken")
        return np.zeros((512, 512, 3), np.uint8)

    heads_of_view = []
    with pytest.raises(DataError, match="7: broken"):
        for answer in predict_all(Counting(), range(20), read, 2):
            heads_of_view.append(answer.item)
    assert heads_of_view == list(range(len(heads_of_view)))
    assert len(heads_of_view) in (6, 7)


def test_validation_probabilities_on_disk_are_those_of_the_ensemble(tmp_path):
    data = discs(7, ((48, 64), (64, 48), (48, 96)))
    store = filled(tmp_path / "cache", data)
    members = [member(tmp_path, Ramp(s), i) for i, s in enumerate((0.0, 0.1))]
    views = identity(0.5), hflip(0.5)
    predictor = Predictor(recipe(), "binary", equal(members), LastEpochs(2), views, Ramp, Plain(3))
    chosen = equal(members)
    parts = [Split(0, [], data.train)]
    kept = ValidationProbs(tmp_path / "validation", {0: chosen}, LastEpochs(2), store, parts)
    kept.write(lambda some: predictor, recipe(batch_size=2), untracked)
    assert len(kept) == 7
    assert sorted(kept.ids) == [s.id for s in data.train]
    for i in range(7):
        sample = kept.samples[i]
        image = torch.from_numpy(store.read(sample)[0].copy()).permute(2, 0, 1)[None]
        expected = predictor(image)[0][:, 0].mean(0)
        assert kept[i].sample == sample.id
        assert kept[i].size == sample.size
        assert np.allclose(kept[i].probs, expected, atol=1e-3), "more than 16-bit floats lose"
    with pytest.raises(IndexError):
        kept[7]
    truths = Truths(data, kept.samples)
    assert len(truths) == 7
    assert np.array_equal(truths[3], data.read_mask(kept.samples[3]))
    assert sorted(p.name for p in (tmp_path / "validation" / "fold-0").iterdir()) == [
        "fold-0-epoch-000.f16",
        "fold-0-epoch-001.f16",
        "index.json",
    ]


def test_a_prediction_that_fails_midway_leaves_no_half_file(tmp_path):
    data = discs(11)
    store = filled(tmp_path / "cache", data)
    members = [member(tmp_path, Ramp(0.0), i) for i in range(2)]
    calls = []

    def dies(images):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return np.zeros((2, len(images), 1, 32, 32), np.float32), None

    dies.apart = False
    with pytest.raises(RuntimeError, match="out of memory"):
        write_probs(dies, members, store, data.train, tmp_path / "validation", recipe(batch_size=2))
    assert list((tmp_path / "validation").iterdir()) == []


def test_a_view_may_show_parts_of_each_image_and_a_class_is_there_if_any_part_shows_it(tmp_path):
    from kagglekit import ModelOutput

    class Headed(Ramp):
        """Says in its head how bright an image is; refuses more images at once than a batch has."""

        def forward(self, images):
            assert len(images) <= 2
            return ModelOutput(super().forward(images), images.amax((1, 2, 3))[:, None])

    halves = View(
        "halves",
        0.5,
        lambda x: torch.cat([x[..., :5], x[..., 5:]]),
        lambda x: torch.cat([x[: len(x) // 2], x[len(x) // 2 :]], -1),
    )
    images = make_images()
    images[0, :, :, 5:] //= 4
    images[1, :, :, :5] //= 4
    one = member(tmp_path, Headed())
    alone, heads = one_member(one, Headed)(images)
    probs, heads_of_view = one_member(one, Headed, identity(0.5), halves)(images)
    assert np.allclose(probs, alone, atol=1e-6), "every half says of its pixels what the whole says"
    assert heads_of_view.shape == (1, 2, 1) and np.allclose(heads_of_view, heads, atol=1e-6)
