"""Batches: the same whoever makes them, aligned, and made of copies."""

import os

import numpy as np
import pytest
import torch

from kagglekit.data.loader import batches, distort, to_target, without_gradients
from kagglekit.data.sampling import Shuffle, albumentations
from kagglekit.errors import PluginError
from kagglekit.types import Box, Draw
from tests.toy_data import discs, filled, flip_half, whole

COUNT = 21


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Discs of one size, and their store."""
    data = discs(COUNT)
    return data, filled(tmp_path_factory.mktemp("store"), data)


def everything(store, draws, batch_size=8, augment=None, seed=3, epoch=1, device="cpu"):
    return list(batches(store, draws, batch_size, augment, seed, epoch, device))


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


def shapes_that_move():
    """Distortions that move pixels and change colours a little, all with numbers of chance."""
    A = albumentations()
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.8, 1.2), rotate=(-20, 20), p=0.7),
            A.OneOf([A.GaussNoise(std_range=(0.01, 0.03)), A.GridDistortion()], p=0.5),
        ]
    )


def shuffled_colours(image, mask):
    return image + np.random.randint(0, 3, image.shape, np.uint8), mask


def test_images_are_uint8_channels_last_and_masks_match(world):
    data, store = world
    ((images, masks),) = everything(store, whole(data.train[:5]))
    assert images.dtype == masks.dtype == torch.uint8
    assert images.shape == (5, 3, 32, 32)
    assert masks.shape == (5, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for sample, image, mask in zip(data.train, images, masks, strict=False):
        expected = store.read(sample)
        assert np.array_equal(image.permute(1, 2, 0), expected[0])
        assert np.array_equal(mask, expected[1])


@pytest.mark.filterwarnings("ignore:'pin_memory' argument", "ignore:This DataLoader will create 2 worker")
@pytest.mark.parametrize("make", [shapes_that_move, lambda: flip_half, lambda: shuffled_colours, lambda: None])
def test_batches_do_not_depend_on_the_number_of_workers(world, monkeypatch, make):
    data, store = world
    alone = everything(store, whole(data.train), augment=make())
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    helped = everything(store, whole(data.train), augment=make(), device="cuda")
    assert len(alone) == 3
    assert same(alone, helped)


@pytest.mark.parametrize("augment", [None, flip_half])
def test_every_draw_comes_once_in_order(world, augment):
    data, store = world
    swept = 0
    for count in (1, 2, 7, 8, 9, 16, 17, 21):
        draws = whole(data.train[:count])
        for batch_size in (1, 2, 8, 30):
            sizes = [len(images) for images, _ in everything(store, draws, batch_size, augment)]
            assert sum(sizes) == count
            if augment is None:
                seen = torch.cat([images for images, _ in everything(store, draws, batch_size)])
                fresh = [torch.from_numpy(store.read(d.sample)[0].copy()).permute(2, 0, 1) for d in draws]
                assert torch.equal(seen, torch.stack(fresh))
            swept += 1
    assert swept == 32


def test_a_last_image_alone_joins_the_batch_before_it_while_training(world):
    data, store = world

    def sizes(count, batch_size, augment):
        return [len(images) for images, _ in everything(store, whole(data.train[:count]), batch_size, augment)]

    assert sizes(17, 8, flip_half) == [8, 9]
    assert sizes(18, 8, flip_half) == [8, 8, 2]
    assert sizes(16, 8, flip_half) == [8, 8]
    assert sizes(1, 8, flip_half) == [1]
    assert sizes(17, 8, None) == [8, 8, 1]
    assert sizes(3, 1, flip_half) == [1, 1, 1], "batches of one were asked for"


def test_a_batch_depends_on_seed_epoch_and_position_alone(world):
    data, store = world
    draws = whole(data.train)

    def run(**change):
        return everything(store, draws, augment=shapes_that_move(), **change)

    assert same(run(), run())
    assert not same(run(), run(seed=4))
    assert not same(run(), run(epoch=2))
    again = shapes_that_move()
    everything(store, draws[:5], augment=again, seed=99)  # a transform with a past
    assert same(run(), everything(store, draws, augment=again))
    # The same sample at two positions is distorted twice, in two ways.
    ((images, _),) = everything(store, whole([data.train[0]] * 8), augment=shapes_that_move())
    assert len({image.numpy().tobytes() for image in images}) > 4


def test_batch_size_does_not_change_how_a_position_is_distorted(world):
    data, store = world
    draws = whole(data.train[:16])
    by_two = torch.cat([i for i, _ in everything(store, draws, 2, shapes_that_move())])
    by_eight = torch.cat([i for i, _ in everything(store, draws, 8, shapes_that_move())])
    assert torch.equal(by_two, by_eight)


def test_the_global_generator_does_not_matter_to_plain_callables(world):
    data, store = world
    np.random.seed(1)
    first = everything(store, whole(data.train), augment=flip_half)
    np.random.seed(2)
    assert same(first, everything(store, whole(data.train), augment=flip_half))
    plain = everything(store, whole(data.train))
    flipped = sum(
        not torch.equal(a, b) for (x, _), (y, _) in zip(first, plain, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert 3 <= flipped <= COUNT - 3, "about every second image is mirrored"


def crop(image, mask):
    return image[:16], mask[:16]


def lose_a_channel(image, mask):
    return image[..., 0], mask


def turn_mask(image, mask):
    return image, mask[None]


@pytest.mark.parametrize("augment", [crop, lose_a_channel, turn_mask])
def test_a_transform_that_changes_shapes_is_refused_by_name_of_the_image(world, augment):
    data, store = world
    with pytest.raises(PluginError, match=r"kk_augment\(\): s000: shapes .* became .*must keep the size"):
        everything(store, whole(data.train[:2]), augment=augment)


def test_the_store_is_not_altered_by_any_distortion(world):
    data, store = world
    names = ("images.raw", "masks.raw")
    before = [(store.folder / name).read_bytes() for name in names]
    for augment in (shapes_that_move(), flip_half, shuffled_colours):
        for images, masks in everything(store, whole(data.train), augment=augment):
            images.zero_()
            masks.fill_(7)
    assert [(store.folder / name).read_bytes() for name in names] == before


def test_a_transform_that_writes_into_its_input_is_stopped(world):
    data, store = world

    def paint(image, mask):
        image[0] = 0
        return image, mask

    with pytest.raises(ValueError, match="read-only"):
        everything(store, whole(data.train[:1]), augment=paint)


@pytest.mark.parametrize("make", [lambda: flip_half, shapes_that_move, lambda: albumentations().HorizontalFlip(p=0.5)])
def test_image_and_mask_stay_aligned(world, make):
    data, store = world
    moved = 0
    for (images, masks), (_, plain) in zip(
        everything(store, whole(data.train), augment=make()), everything(store, whole(data.train)), strict=True
    ):
        derived = (images[:, 0] > 127).to(torch.uint8)
        union = ((derived | masks) > 0).sum((1, 2))
        agreement = (derived & masks).sum((1, 2)) / union
        assert (union > 0).all()
        assert agreement.min() > 0.75
        moved += sum(not torch.equal(a, b) for a, b in zip(masks, plain, strict=True))
    assert moved > 3


def test_draws_of_windows_are_windows_of_the_stored_image(world):
    data, store = world
    box = Box(8, 4, 16, 24)
    ((images, masks),) = everything(store, [Draw(s, box) for s in data.train[:3]])
    assert images.shape == (3, 3, 16, 24)
    for sample, image, mask in zip(data.train, images, masks, strict=False):
        full = store.read(sample)
        assert np.array_equal(image.permute(1, 2, 0), full[0][8:24, 4:28])
        assert np.array_equal(mask, full[1][8:24, 4:28])


def test_multilabel_masks_come_with_the_classes_in_front(tmp_path):
    data = discs(3, task="multilabel")
    store = filled(tmp_path, data, classes=2)
    ((_, masks),) = everything(store, whole(data.train))
    assert masks.shape == (3, 2, 32, 32)
    assert np.array_equal(masks[1].permute(1, 2, 0), store.read(data.train[1])[1])
    target = to_target(masks, "multilabel")
    assert target.dtype == torch.float32
    assert target.shape == (3, 2, 32, 32)


def test_targets_have_the_form_that_losses_want():
    masks = torch.tensor([[[0, 1], [1, 0]]], dtype=torch.uint8)
    binary = to_target(masks, "binary")
    assert binary.dtype == torch.float32
    assert binary.tolist() == [[[[0, 1], [1, 0]]]]
    classes = to_target(masks, "multiclass")
    assert classes.dtype == torch.int64
    assert classes.shape == (1, 2, 2)


def test_an_epoch_shuffles_every_sample_once_and_differently_each_time(world):
    data, _ = world
    sampler = Shuffle(tuple(whole(data.train)), 5)
    orders = [[draw.sample.id for draw in sampler(epoch)] for epoch in range(6)]
    assert all(sorted(order) == [s.id for s in data.train] for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert [draw.sample.id for draw in sampler(3)] == orders[3]
    assert [draw.sample.id for draw in Shuffle(tuple(whole(data.train)), 6)(3)] != orders[3]
    assert all(draw.box is None for draw in sampler(0))


def test_albumentations_does_not_look_for_updates(monkeypatch):
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    assert albumentations().__name__ == "albumentations"
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"


def test_the_parts_of_a_distortion_are_drawn_independently_of_each_other():
    from collections import Counter

    A = albumentations()
    both = A.Compose([A.HorizontalFlip(p=0.5), A.OneOf([A.VerticalFlip(p=1)], p=0.5)])
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    counts = Counter(distort(both, image, image[..., 0], (seed,))[0].tobytes() for seed in range(400))
    assert len(counts) == 4 and min(counts.values()) > 60, "neither flip, one, the other, both"


def test_what_keeps_a_seed_but_no_generators_is_given_the_seed():
    class Own:
        """As a technique's distortion is called."""

        def set_random_seed(self, seed):
            self.rng = np.random.default_rng(seed)

        def __call__(self, image, mask):
            return {"image": image + self.rng.integers(100, dtype=np.uint8), "mask": mask}

    image = np.zeros((2, 2, 3), np.uint8)
    one, two, other = (distort(Own(), image, image[..., 0], (seed,))[0].tobytes() for seed in (1, 1, 2))
    assert one == two != other


@pytest.mark.parametrize("batch_size", [1, 4, 8, 64])
@pytest.mark.parametrize("side", [32, 64, 128, 256, 512, 4096])
def test_more_small_images_are_predicted_at_once_than_are_trained_on(batch_size, side):
    at_once = without_gradients(batch_size, side**2)
    assert batch_size <= at_once <= 4 * batch_size
    assert at_once == batch_size or at_once * side**2 <= 2**18, "more memory than a small batch takes"


def test_small_images_fill_their_larger_batches():
    assert without_gradients(4, 64**2) == 16
    assert without_gradients(8, 512**2) == 8
