"""Label smoothing, turns, scales and votes: their laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kagglekit import Member, RecipeError
from kagglekit.predict.ensemble import LastEpochs
from kagglekit_techniques import FlipTTA, LabelSmoothing, ScaleTTA, TurnTTA, Vote
from kagglekit_techniques.ensembles import Voting
from tests.helpers import bringing, build, competition, solution, techniques_of


def solved(*kinds, task="multiclass", classes=4, loss=None, **settings):
    found = competition("toy", classes=tuple("abcdef"[:classes]), task=task)
    registry = build(toy=bringing("toy", competition=found), extra=techniques_of(*kinds))
    techniques = [{"name": kind.name, "settings": settings.get(kind.__name__, {})} for kind in kinds]
    return solution(
        registry, techniques=techniques, loss=loss or ({"ce": 1.0} if task == "multiclass" else {"bce": 1.0})
    )


@pytest.mark.parametrize("amount", [0.05, 0.3])
def test_with_cross_entropy_alone_it_is_the_smoothing_of_torch(amount):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    expected = torch.nn.CrossEntropyLoss(label_smoothing=amount)(logits, target)
    assert torch.allclose(solved(LabelSmoothing, LabelSmoothing={"amount": amount}).loss()(logits, target), expected)


def test_of_masks_it_is_the_loss_of_softened_masks():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 5, 6), (torch.rand(2, 3, 5, 6) > 0.5).float()
    soft = target * 0.9 + 0.05
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft)
    loss = solved(LabelSmoothing, task="multilabel", classes=3, LabelSmoothing={"amount": 0.1}).loss()
    assert torch.allclose(loss(logits, target), expected)


@pytest.mark.parametrize("amount", [0, 1, -0.1])
def test_a_smoothing_of_nothing_or_everything_is_refused(amount):
    with pytest.raises(RecipeError, match="amount must lie between 0 and 1"):
        solved(LabelSmoothing, LabelSmoothing={"amount": amount})


images = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 6), st.integers(1, 8)).map(
    lambda shape: torch.arange(float(torch.tensor(shape).prod())).view(shape)
)


@given(images, st.floats(0, 1), st.booleans(), st.booleans())
def test_flips_and_turns_are_undone_exactly_and_their_weights_sum_to_one(image, weight, vertical, half):
    chosen = solved(
        FlipTTA, TurnTTA, FlipTTA={"identity": weight, "vertical": vertical}, TurnTTA={"identity": weight, "half": half}
    )
    views = chosen.views()
    assert views[0].name == "identity" and sum(v.weight for v in views) == pytest.approx(1)
    assert len(views) == (4 if vertical else 2) * (2 if half else 4)
    for view in views:
        assert torch.equal(view.undo(view.do(image)), image)


def test_the_four_flips_are_four_different_images():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    views = solved(FlipTTA, FlipTTA={"identity": 0.25, "vertical": True}).views()
    assert [v.name for v in views] == ["identity", "hflip", "vflip", "hflip+vflip"]
    assert [v.weight for v in views] == pytest.approx([0.25] * 4)
    assert len({tuple(v.do(image).flatten().tolist()) for v in views}) == 4
    assert torch.equal(views[3].do(image), image.flip(-1, -2))


def test_turns_go_counterclockwise_by_quarters():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    views = solved(TurnTTA).views()
    assert [v.name for v in views] == ["identity", "turn90", "turn180", "turn270"]
    assert views[1].do(image)[0, 0].tolist() == [[2, 5], [1, 4], [0, 3]]


def test_scales_bring_sides_to_multiples_of_32_and_probabilities_come_back_at_the_size_of_the_image(tmp_path):
    views = solved(ScaleTTA, ScaleTTA={"scales": (0.5, 1.5), "identity": 0.4}).views()
    assert {v.name: v.weight for v in views} == pytest.approx({"identity": 0.4, "scale0.5": 0.3, "scale1.5": 0.3})
    image = torch.rand(1, 3, 64, 96)
    assert [tuple(v.do(image).shape[-2:]) for v in views] == [(64, 96), (32, 64), (96, 128)]

    from kagglekit.data.input_transform import Plain
    from kagglekit.predict.infer import Predictor
    from kagglekit.train.checkpoint import save_weights
    from tests.toy_data import recipe, tiny_network

    body = tiny_network()
    save_weights(tmp_path / "w.safetensors", body.state_dict(), {"normalisation": body.normalisation})
    member = Member(tmp_path / "w.safetensors", 0)
    predictor = Predictor(recipe(), "binary", [(member, 1.0)], LastEpochs(1), views, tiny_network, Plain(3))
    probs, _ = predictor((image * 255).to(torch.uint8))
    assert probs.shape == (1, 1, 1, 64, 96) and probs.min() > 0 and probs.max() < 1


@pytest.mark.parametrize("scales", [(), (1.0,), (0.0,), (0.5, 9.0)])
def test_scales_without_sense_are_refused(scales):
    with pytest.raises(RecipeError, match=r"techniques\.scale-tta.*scales must be some of"):
        solved(ScaleTTA, ScaleTTA={"scales": scales})


def voted(probs, weights=None, last_first=True):
    probs = np.asarray(probs, np.float32)
    weights = np.full(len(probs), 1 / len(probs)) if weights is None else np.array(weights)
    return Voting(LastEpochs(len(probs)), last_first).combine(probs, weights)


maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(2, 4), st.just(2), st.just(3)),
    elements=st.floats(0, 1, width=32),
)


@settings(max_examples=60, deadline=None)
@given(maps)
def test_the_class_with_most_votes_wins_and_ties_go_to_the_last_member_among_them(probs):
    votes = probs.argmax(1)
    winner = voted(probs).argmax(0)
    for y in range(2):
        for x in range(3):
            counts = np.bincount(votes[:, y, x], minlength=probs.shape[1])
            best = {k for k in range(len(counts)) if counts[k] == counts.max()}
            expected = next(v for v in votes[::-1, y, x] if v in best)
            assert winner[y, x] == expected


def test_the_order_of_priority_can_be_turned_round():
    first, second = np.zeros((2, 1, 1)), np.zeros((2, 1, 1))
    first[0], second[1] = 1, 1
    assert voted([first, second]).argmax(0).item() == 1
    assert voted([first, second], last_first=False).argmax(0).item() == 0


def test_priority_never_outvotes_a_majority_and_a_lone_member_keeps_its_probabilities():
    one, other = np.zeros((2, 1, 1)), np.zeros((2, 1, 1))
    one[0], other[1] = 1, 1
    assert voted([one, one, other]).argmax(0).item() == 0
    assert voted([one * 0.3]).tolist() == (one * 0.3).astype(np.float32).tolist()


def test_single_masks_are_voted_for_or_against():
    masks = [np.full((1, 1, 1), p) for p in (0.9, 0.4, 0.6)]
    assert voted(masks).item() == pytest.approx(2 / 3, abs=1e-2) and voted(masks).item() > 0.5


def test_votes_leave_the_choice_of_members_to_others():
    members = [Member(None, i) for i in range(4)]
    chosen = solved(Vote).ensemble().choose(members, True)
    assert [m.epoch for m, _ in chosen] == [3]
