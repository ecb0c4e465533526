"""Large images through a small network: equal to looking at the whole, read once, never held whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.data.resize import resize_probs, shrink_image
from kagglekit.predict.postprocess import Argmax, Threshold
from kagglekit.predict.stripes import column_stripes, row_stripes, stripe_width
from kagglekit.predict.tiles import ShrunkRows, predict_rows, stitched, window_weights
from kagglekit.types import Box, Prediction, Tiling

PLAIN = Tiling(reduce=1, step=0.5)


class Pointwise:
    """A network that looks at one pixel at a time: however images are cut, it must say the same."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images: torch.Tensor):
        self.seen += len(images)
        red = images.float()[:, :1].numpy() / 255
        return np.stack([red, 1 - red]), None

    def combine(self, probs):
        return probs[0]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rows_of(image: np.ndarray):
    return lambda top, bottom: image[top:bottom]


sides, steps = st.integers(1, 90), st.sampled_from([0.25, 0.5, 0.75, 1.0])


@settings(max_examples=60, deadline=None)
@given(sides, sides, steps, st.sampled_from([0.0, 0.1, 0.125]), st.integers(1, 5))
def test_stitching_windows_of_a_pointwise_network_gives_what_it_says_of_the_whole(height, width, step, border, batch):
    image, network = noise(height, width), Pointwise()
    tiling = replace(PLAIN, step=min(step, 1 - 2 * border), border=border)
    parts = list(predict_rows(network, rows_of(image), (height, width), 32, tiling, batch))
    assert [top for top, _ in parts] == sorted({top for top, _ in parts}) and parts[0][0] == 0
    whole = stitched(parts, (height, width), network.combine, 1)
    assert np.allclose(whole[0], image[..., 0] / 255, atol=1e-3)
    every = np.concatenate([probs for _, probs in parts], 2)
    assert every.shape == (2, 1, height, width) and np.allclose(every.sum(0), 1, atol=1e-5)


def test_blank_windows_never_reach_the_network_and_have_probability_0():
    image = np.full((96, 128, 3), 220, np.uint8)
    image[40:60, 70:90] = (200, 40, 90)
    network = Pointwise()
    tiling = Tiling(reduce=1, step=1.0, min_saturation=40, min_tissue=0.01)
    whole = stitched(predict_rows(network, rows_of(image), (96, 128), 32, tiling, 4), (96, 128), network.combine, 1)
    assert network.seen == 1, "the object lies in one window"
    assert not whole[0, :32].any() and not whole[0, :, :64].any()
    assert whole[0, 50, 80] == pytest.approx(200 / 255, abs=1e-3)


def test_an_image_of_glass_alone_asks_the_network_nothing():
    image, network = np.full((100, 100, 3), 240, np.uint8), Pointwise()
    parts = predict_rows(network, rows_of(image), (100, 100), 32, Tiling(reduce=1, min_saturation=40), 4)
    assert not stitched(parts, (100, 100), network.combine, 3).any() and network.seen == 0


def test_weights_fall_from_the_middle_and_only_the_edge_of_the_image_lifts_them():
    tiling = Tiling(border=0.125)
    inner = window_weights(Box(32, 32, 64, 64), (256, 256), tiling)
    assert inner[32, 32] == inner.max() and np.allclose(inner, inner[::-1, ::-1]) and np.allclose(inner, inner.T)
    assert not inner[:8].any() and not inner[:, -8:].any() and inner[8:-8, 8:-8].all()
    corner = window_weights(Box(0, 0, 64, 64), (256, 256), tiling)
    assert corner[:-8, :-8].all() and not corner[-8:].any()
    assert window_weights(Box(0, 0, 64, 64), (64, 64), tiling).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 120), st.integers(1, 50), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40))
def test_rows_are_read_once_and_are_those_of_the_shrunk_image(height, width, reduce, window, step):
    image, reads = noise(height, width), np.zeros(height, int)

    def read(box):
        reads[box.top : box.top + box.height] += 1
        return image[box.top : box.top + box.height, box.left : box.left + box.width]

    rows, small = ShrunkRows(read, (height, width), reduce), shrink_image(image, reduce)
    step = min(step, window)
    for top in range(0, len(small), step):
        bottom = min(top + window, len(small))
        assert np.array_equal(rows(top, bottom), small[top:bottom])
        if bottom == len(small):
            break
    assert (reads == 1).all()


def smooth(classes: int, height: int, width: int) -> np.ndarray:
    """float32 probabilities that vary over some pixels, with empty rows and columns."""
    rng = np.random.default_rng((classes, height, width))
    probs = resize_probs(rng.random((classes, height // 6 + 2, width // 6 + 2)).astype(np.float32), (height, width))
    probs[:, : height // 3] = 0
    return probs


@pytest.mark.parametrize("reduce", [1, 2, 4])
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("cut", [(0, 0), (1, 3)])
def test_stripes_of_a_mask_put_together_are_the_mask_of_the_whole(monkeypatch, reduce, task, cut):
    from kagglekit.predict import stripes

    monkeypatch.setattr(stripes, "PIXELS", 800)
    small = 40, 70
    size = small[0] * reduce - min(cut[0], reduce - 1), small[1] * reduce - min(cut[1], reduce - 1)
    probs = smooth(3 if task != "binary" else 1, *small)
    process = Argmax() if task == "multiclass" else Threshold(0.5, task)
    enlarged = resize_probs(probs, (small[0] * reduce, small[1] * reduce))[:, : size[0], : size[1]]
    expected = process(Prediction(enlarged, size))
    found = list(column_stripes(process, Prediction(probs, size), Tiling(reduce=reduce), task))
    assert len(found) > 2 and {mask.shape[1] for mask in found[:-1]} == {stripe_width(size, reduce)}
    assert np.array_equal(np.concatenate(found, 1), expected)
    rows = list(row_stripes(process, Prediction(probs, size), Tiling(reduce=reduce), task, 16))
    assert np.array_equal(np.concatenate(rows, 0), expected)
    halves = Prediction(probs.astype(np.float16), size)
    assert (
        np.concatenate(list(column_stripes(process, halves, Tiling(reduce=reduce), task)), 1) == expected
    ).mean() > 0.99


def test_rows_that_no_window_looked_at_are_background_whatever_the_threshold():
    probs = np.zeros((1, 20, 20), np.float32)
    probs[0, 8:12, 3:6] = 0.9
    masks = list(
        column_stripes(lambda p: np.ones(p.size, np.uint8), Prediction(probs, (40, 40)), Tiling(reduce=2), "binary")
    )
    mask = np.concatenate(masks, 1)
    assert mask.shape == (40, 40) and not mask[:12].any() and not mask[30:].any() and mask[16:24].any()


def test_a_tiled_validation_and_its_blocks_are_those_of_the_images(tmp_path):
    from kagglekit.metrics import MeanDice, Pooled
    from kagglekit.pipeline.prepare import Split
    from kagglekit.pipeline.validation import Blocks, ValidationProbs
    from kagglekit.predict.ensemble import LastEpochs
    from kagglekit.types import Member, untracked
    from tests.toy_data import discs, filled, recipe

    data = discs(3, ((96, 128), (80, 80)), tiling=Tiling(reduce=2, step=0.5))
    store, member = filled(tmp_path / "cache", data), Member(Path("/none"), 0)
    kept = ValidationProbs(tmp_path / "v", {0: [(member, 1.0)]}, LastEpochs(1), store, [Split(0, [], data.train)])

    class One(Pointwise):
        apart = False

        def __call__(self, images):
            return super().__call__(images)[0][:1], None

    kept.write(lambda some: One(), recipe(), untracked)
    assert len(kept) == 3
    for i, sample in enumerate(kept.samples):
        assert kept[i].probs.dtype == np.float16 and kept[i].size == sample.size and kept[i].image is None
        assert np.allclose(kept[i].probs[0], store.read(sample)[0][..., 0] / 255, atol=2e-3)
    predictions, truths = Blocks(kept, 16, 400).pairs()
    assert len(predictions) == len(truths) == sum(-(-h // 16) * -(-w // 16) for h, w in map(store.shape, kept.samples))
    assert all(
        p.probs.shape[1:] == t.shape == p.size == p.image.shape[:2] for p, t in zip(predictions, truths, strict=True)
    )
    metric = Pooled(MeanDice())
    counts = np.stack([metric.compare(t, Threshold()(p)) for p, t in zip(predictions, truths, strict=True)])
    assert metric.reduce(counts) > 0.9
    assert len(Blocks(kept, 16, 7).pairs()[0]) <= 7
