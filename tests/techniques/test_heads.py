"""Heads for classes and for deeper masks: what they say, what they cost, where they fit."""

import pytest
import segmentation_models_pytorch as smp
import torch

from kagglekit import ModelOutput, RecipeError, hookimpl
from kagglekit_techniques import ClassHead, DeepSupervision
from kagglekit_techniques.networks import presence
from tests.helpers import bringing, build, competition, solution, techniques_of

ENCODER = "tu-mobilenetv3_small_050"


def network(decoder: str = "unet", classes: int = 1):
    torch.manual_seed(0)
    return smp.create_model(decoder, ENCODER, encoder_weights=None, in_channels=3, classes=classes)


def solved(*kinds, classes=("a", "b"), task="multilabel", model=None, settings=None, loss=None):
    """A solution of a toy competition with these techniques around a small U-Net."""
    model = model or (lambda: network(classes=len(classes)))
    found = competition("toy", classes=classes, task=task)
    hooks = {"kk_model": hook(lambda: model(), "kk_model")}
    registry = build(toy=bringing("toy", competition=found, **hooks), extra=techniques_of(*kinds))
    techniques = [{"name": kind.name, "settings": (settings or {}).get(kind.name, {})} for kind in kinds]
    return solution(registry, techniques=techniques, loss=loss or {"bce": 1.0})


def hook(function, name):
    """`function` as a hook of that name."""
    function.__name__ = name
    return hookimpl(function)


@pytest.mark.parametrize("pooling", ["mean", "max", "mask"])
def test_a_class_head_says_a_number_for_each_class_and_leaves_the_masks_as_they_were(pooling):
    images = torch.rand(2, 3, 64, 96)
    headed = solved(ClassHead, settings={"class-head": {"pooling": pooling}}).model(3).eval()
    with torch.inference_mode():
        output = headed(images)
        plain = headed.inner(images)
    assert isinstance(output, ModelOutput) and output.classes.shape == (2, 2)
    assert torch.equal(output.masks, plain)


def test_pooling_by_masks_looks_where_the_masks_are_sure():
    headed = solved(ClassHead, settings={"class-head": {"pooling": "mask", "dropout": 0.0}}).model(3).eval()
    features = torch.zeros(1, headed.head[1].in_features, 2, 3)
    features[..., 1, 2] = 5.0
    headed.encoder.forward = lambda images: [features]
    seen = {}
    headed.inner.forward = lambda images: seen["masks"] if headed.encoder(images) else None
    answers = []
    for place in ((1, 2), (0, 0)):
        masks = torch.full((1, 2, 64, 96), -30.0)
        masks[:, :, 32 * place[0] : 32 * place[0] + 32, 32 * place[1] : 32 * place[1] + 32] = 30.0
        seen["masks"] = masks
        answers.append(headed(torch.zeros(1, 3, 64, 96)).classes)
    pooled = [(a - headed.head[1].bias) for a in answers]
    assert torch.allclose(pooled[0], features[..., 1, 2] @ headed.head[1].weight.T, atol=1e-3)
    assert torch.allclose(pooled[1], torch.zeros(1, 2), atol=1e-3)


def test_presence_is_any_pixel_of_a_class_for_planes_and_label_maps():
    planes = torch.zeros(2, 3, 4, 4)
    planes[0, 1, 2, 2] = 1
    assert presence(planes, 3).tolist() == [[0, 1, 0], [0, 0, 0]]
    labels = torch.tensor([[[0, 2], [2, 2]], [[1, 1], [1, 1]]])
    assert presence(labels, 4).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]


def test_the_loss_of_the_head_is_added_with_its_weight():
    solution_ = solved(ClassHead, settings={"class-head": {"weight": 0.5}})
    target = torch.zeros(1, 2, 8, 8)
    target[0, 0, 0, 0] = 1
    masks = torch.zeros(1, 2, 8, 8)
    right, wrong = torch.tensor([[20.0, -20.0]]), torch.tensor([[-20.0, 20.0]])
    base = torch.nn.functional.binary_cross_entropy_with_logits(masks, target)
    loss = solution_.loss()
    assert loss(ModelOutput(masks, right), target) == pytest.approx(base.item(), abs=1e-5)
    assert loss(ModelOutput(masks, wrong), target).item() == pytest.approx(base.item() + 0.5 * 20, abs=1e-3)


def test_where_only_keeps_absent_classes_out_of_the_mask_loss():
    loss = solved(ClassHead, settings={"class-head": {"where_only": True}}).loss()
    target = torch.zeros(1, 2, 8, 8)
    target[0, 0, :4] = 1
    masks = torch.randn(1, 2, 8, 8, requires_grad=True)
    loss(ModelOutput(masks, torch.zeros(1, 2)), target).backward()
    assert masks.grad[0, 0].abs().sum() > 0 and masks.grad[0, 1].abs().sum() == 0


def test_deep_heads_speak_while_training_and_are_silent_afterwards():
    deep = solved(DeepSupervision).model(3)
    images = torch.rand(2, 3, 64, 96)
    trained = deep.train()(images)
    assert len(trained.deep) == len(deep.decoder.blocks) - 1 == 4
    assert all(logits.shape[:2] == (2, 2) for logits in trained.deep)
    sizes = [logits.shape[-1] for logits in trained.deep]
    assert sizes == sorted(sizes) and sizes[-1] <= 96
    assert deep.eval()(images).deep == ()


def test_deep_losses_count_images_with_an_object_alone():
    loss = solved(DeepSupervision, settings={"deep-supervision": {"weight": 0.25}}).loss()
    target = torch.zeros(2, 2, 8, 8)
    target[0, 0, 2:5, 2:5] = 1
    masks, stage = torch.zeros(2, 2, 8, 8), torch.randn(2, 2, 4, 4)
    enlarged = torch.nn.functional.interpolate(stage[:1], (8, 8), mode="bilinear")
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(masks, target) + 0.25 * bce(enlarged, target[:1])
    assert loss(ModelOutput(masks, None, (stage,)), target).item() == pytest.approx(expected.item(), abs=1e-6)
    empty = torch.zeros(2, 2, 8, 8)
    assert loss(ModelOutput(masks, None, (stage,)), empty).item() == pytest.approx(bce(masks, empty).item(), abs=1e-6)


@pytest.mark.parametrize("order", [(ClassHead, DeepSupervision), (DeepSupervision, ClassHead)])
def test_both_heads_fit_on_one_network_in_either_order_and_train(order):
    both = solved(*order)
    model, loss = both.model(3).train(), both.loss()
    output = model(torch.rand(2, 3, 64, 64))
    assert output.classes.shape == (2, 2) and len(output.deep) == 4
    loss(output, (torch.rand(2, 2, 64, 64) > 0.7).float()).backward()
    unmoved = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unmoved == []


def test_the_weights_of_a_network_with_heads_come_back_from_its_state():
    one, other = (solved(ClassHead, DeepSupervision).model(3).eval() for _ in range(2))
    for parameter in one.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    other.load_state_dict(one.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(one(images).masks, other(images).masks) and torch.equal(
        one(images).classes, other(images).classes
    )


def test_what_a_network_says_of_its_weights_is_said_by_the_wrapper():
    def marked():
        model = network(classes=2)
        model.normalisation, model.loaded_weights = ((0.1,) * 3, (0.2,) * 3), "from a test"
        return model

    model = solved(ClassHead, DeepSupervision, model=marked).model(3)
    assert model.normalisation == ((0.1,) * 3, (0.2,) * 3) and model.loaded_weights == "from a test"


def test_networks_without_the_parts_are_refused_with_what_to_do():
    with pytest.raises(RecipeError, match=r"deep-supervision: the decoder is not a list of stages; use decoder=unet"):
        solved(DeepSupervision, model=lambda: network("fpn", 2)).model(3)
    with pytest.raises(RecipeError, match=r"class-head: the network has no encoder"):
        solved(ClassHead, model=lambda: torch.nn.Conv2d(3, 2, 1)).model(3)


@pytest.mark.parametrize("settings", [{"weight": 0}, {"dropout": 1.0}, {"pooling": "median"}])
def test_settings_of_the_class_head_out_of_range_are_refused(settings):
    with pytest.raises(RecipeError, match=r"techniques\.class-head"):
        solved(ClassHead, settings={"class-head": settings})
