"""A view of enlarged parts: they cover the image, and what is stitched is in its place."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kagglekit import ModelOutput, RecipeError
from kagglekit.data.input_transform import Plain
from kagglekit.predict.ensemble import LastEpochs, equal
from kagglekit.predict.infer import Predictor
from kagglekit.predict.views import hflip, identity, product, scale, turn
from kagglekit_techniques import CropTTA, FlipTTA, TurnTTA
from kagglekit_techniques.crops import parts, ramp
from tests.engine.test_infer import member
from tests.helpers import bringing, build, solution, techniques_of
from tests.toy_data import recipe


def smooth(height: int, width: int, count: int = 2, channels: int = 1) -> torch.Tensor:
    """Slow waves, each image and channel another."""
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    waves = [torch.sin(rows + n) * torch.cos(columns - n) for n in range(count * channels)]
    return torch.stack(waves).view(count, channels, height, width)


def solved(*kinds, **values):
    registry = build(toy=bringing("toy"), more=techniques_of(*kinds))
    return solution(registry, techniques=[{"name": k.name, "settings": values.get(k.__name__, {})} for k in kinds])


@settings(max_examples=40, deadline=None)
@given(st.floats(1.1, 4), st.floats(0, 0.8), st.integers(2, 6), st.integers(2, 6), st.integers(1, 3))
def test_undoing_gives_smooth_images_back(zoom, overlap, height, width, count):
    image = smooth(32 * height, 32 * width, count)
    view = parts(zoom, overlap, 0.5)
    seen = view.do(image)
    assert seen.shape[1:] == image.shape[1:] and len(seen) % count == 0
    back = view.undo(seen)
    assert back.shape == image.shape and (back - image).abs().max() < 0.05


@settings(max_examples=30, deadline=None)
@given(st.floats(1.1, 6), st.floats(0, 0.9), st.integers(1, 5), st.integers(1, 5))
def test_every_pixel_is_a_mean_of_crops_that_show_it_so_that_nothing_counts_as_zero(zoom, overlap, height, width):
    ones = torch.ones(2, 3, 32 * height, 32 * width)
    view = parts(zoom, overlap, 1.0)
    assert torch.allclose(view.undo(view.do(ones)), ones, atol=1e-5)


def test_crops_are_parts_enlarged_to_the_size_of_the_image_first_parts_first():
    image = smooth(64, 96, 2)
    seen = parts(2, 0, 1.0).do(image).unflatten(0, (-1, 2))
    assert seen.shape == (4, 2, 1, 64, 96)
    for n, (top, left) in enumerate([(0, 0), (0, 48), (32, 0), (32, 48)]):
        part = image[..., top : top + 32, left : left + 48]
        assert torch.allclose(seen[n], nn.functional.interpolate(part, (64, 96), mode="bilinear"))


def test_a_crop_counts_less_towards_its_edges_and_only_where_it_is():
    assert ramp(4).tolist() == [1, 2, 2, 1] and ramp(5).tolist() == [1, 2, 3, 2, 1]
    view = parts(2, 0.5, 1.0)
    said = torch.zeros(9, 1, 64, 64)
    said[0] = 1
    stitched = view.undo(said)[0, 0]
    assert stitched[0, 0] == 1 and not stitched[32:].any() and not stitched[:, 32:].any()
    assert (stitched[:1].diff() <= 1e-6).all() and 0 < stitched[0, 20] < stitched[0, 17] < 1


@pytest.mark.parametrize("other", [hflip(0.5), turn(1, 0.5), turn(2, 0.5), scale(1.5, 0.5), scale(0.5, 0.5)])
@pytest.mark.parametrize("first", [True, False])
def test_it_goes_together_with_other_views_before_and_after(other, first):
    crops = (identity(0.5), parts(2, 0.25, 0.5))
    pair = (identity(0.5), other)
    image = smooth(64, 96)
    for view in product(*((crops, pair) if first else (pair, crops))):
        back = view.undo(view.do(image))
        if back.shape != image.shape:
            back = nn.functional.interpolate(back, image.shape[-2:], mode="bilinear")
        assert (back - image).abs().max() < 0.15, view.name


def test_views_begin_with_the_image_itself_and_weights_sum_to_one():
    views = solved(FlipTTA, CropTTA, TurnTTA, CropTTA={"identity": 0.6}).views()
    assert views[0].name == "identity" and sum(v.weight for v in views) == pytest.approx(1)
    assert sum(v.weight for v in views if "crops2" in v.name) == pytest.approx(0.4)
    assert len(views) == 2 * 2 * 4


class Spots(nn.Module):
    """A network that sees only what is at least 5 pixels large, and says in a head whether it saw anything."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(40.0))

    def forward(self, images):
        bright = (images.mean(1, keepdim=True) > 0).float()
        opened = -nn.functional.max_pool2d(-bright, 5, 1, 2)
        masks = self.gain * (nn.functional.max_pool2d(opened, 5, 1, 2) - 0.5)
        return ModelOutput(masks, masks.amax((2, 3)))


def predictor(tmp_path, *views):
    one = member(tmp_path, Spots())
    return Predictor(recipe(), "binary", equal([one]), LastEpochs(1), views, Spots, Plain(3))


def spotted(tops, size=(64, 96), side=3) -> torch.Tensor:
    images = torch.zeros(len(tops), 3, *size, dtype=torch.uint8)
    for i, (top, left) in enumerate(tops):
        images[i, :, top : top + side, left : left + side] = 255
    return images


def test_an_object_too_small_for_the_network_is_found_in_the_enlarged_parts(tmp_path):
    images = spotted([(10, 14), (30, 46), (60, 92)])
    alone, heads = predictor(tmp_path, identity())(images)
    assert not (alone > 0.5).any() and not (heads > 0.5).any()
    views = solved(CropTTA, CropTTA={"identity": 0.2}).views()
    probs, heads = predictor(tmp_path, *views)(images)
    assert probs.shape == (1, 3, 1, 64, 96) and heads.shape == (1, 3, 1)
    for i, (top, left) in enumerate([(10, 14), (30, 46), (60, 92)]):
        found = probs[0, i, 0] > 0.5
        assert found[top + 1, left + 1] and 4 <= found.sum() <= 25
        rows, columns = np.nonzero(found)
        assert abs(rows.mean() - top - 1) <= 1 and abs(columns.mean() - left - 1) <= 1
    assert (heads > 0.7).all(), "a class is there if one of the parts shows it"


def test_no_more_images_go_through_the_network_at_once_than_without_it(tmp_path, monkeypatch):
    sizes, plain = [], Spots.forward
    monkeypatch.setattr(Spots, "forward", lambda self, images: sizes.append(len(images)) or plain(self, images))
    predictor(tmp_path, *solved(CropTTA).views())(spotted([(5, 5), (9, 9)]))
    assert sizes == [2] * 10


@pytest.mark.parametrize("bad", [{"zoom": 1.0}, {"zoom": 9}, {"overlap": 0.95}, {"identity": 1.5}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError, match=r"techniques\.crop-tta"):
        solved(CropTTA, CropTTA=bad)
