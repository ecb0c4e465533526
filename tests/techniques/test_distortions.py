"""Distortions of training images: aligned, reproducible, never in place; what each of them does, pixel by pixel."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import RecipeError
from kagglekit.data.loader import EpochDraws, distort
from kagglekit.plugin.registry import discover
from kagglekit.types import Draw
from kagglekit_techniques import Coloring, HeavyAugment, LightAugment, SelfMix
from kagglekit_techniques.distortions import Colored, Distortion, SelfMixed, heavy, light
from tests.helpers import solution
from tests.toy_data import discs, filled, flip_half

SHAPES = [(40, 56), (33, 64)]


def pair(seed: int = 0, size=(40, 56), classes: int = 0, channels: int = 3, depth="uint8", most: int = 1):
    """An image of noise and a mask of noise, read-only as those of a store are."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, channels)).astype(depth)
    mask = rng.integers(0, most + 1, (*size, classes) if classes else size).astype(np.uint8)
    image.flags.writeable = mask.flags.writeable = False
    return image, mask


def nothing(image, mask):
    """A distortion that does nothing."""
    return image, mask


def jumpy(image, mask):
    """A plain distortion that asks both of the global generators."""
    shift = random.randrange(5) + 7 * np.random.randint(5)
    return np.roll(image, shift, 1), np.roll(mask, shift, 1)


def mirror():
    from kagglekit.data.sampling import albumentations

    return albumentations().HorizontalFlip(p=0.5)


KINDS = [lambda inner, p: SelfMixed(inner, p, 0.1, 0.4), lambda inner, p: Colored(inner, p, 1.0)]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("inner", [jumpy, flip_half, mirror()])
@pytest.mark.parametrize("classes", [0, 1, 5])
def test_equal_seeds_give_equal_images_and_inputs_stay_as_they_are(make, inner, classes):
    made = make(inner, 0.7)
    results = set()
    for seed in range(12):
        image, mask = pair(seed % 2, classes=classes)
        kept = image.copy(), mask.copy()
        one, two = (distort(made, image, mask, (5, 1, seed)) for _ in range(2))
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
        assert np.array_equal(image, kept[0]) and np.array_equal(mask, kept[1])
        assert (one[0].shape, one[0].dtype) == (image.shape, image.dtype)
        assert (one[1].shape, one[1].dtype) == (mask.shape, mask.dtype)
        results.add(one[0].tobytes())
    assert len(results) > 4


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("inner", [jumpy, flip_half, mirror()])
def test_with_a_chance_of_none_nothing_changes_not_even_by_a_bit(make, inner):
    image, mask = pair(3)
    for seed in range(10):
        alone, wrapped = (distort(one, image, mask, (0, 0, seed)) for one in (inner, make(inner, 0.0)))
        assert np.array_equal(alone[0], wrapped[0]) and np.array_equal(alone[1], wrapped[1])


def test_two_kinds_draw_different_numbers_from_one_seed():
    both = [kind(nothing, 0.5) for kind in KINDS]
    for one in both:
        one.set_random_seed(7)
    assert both[0].rng.random() != both[1].rng.random()


def test_they_are_stacked_in_any_order_and_pass_the_seed_to_the_innermost():
    image, mask = pair(1)
    stacked = KINDS[1](KINDS[0](KINDS[1](mirror(), 1.0), 1.0), 1.0)
    one, two = (distort(stacked, image, mask, (2,)) for _ in range(2))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    plain = Distortion(jumpy, 1.0)
    assert np.array_equal(distort(plain, image, mask, (2,))[0], distort(Distortion(jumpy, 0.0), image, mask, (2,))[0])


def boxes_of(image, mixed):
    """The smallest box of what changed."""
    rows, columns = (np.flatnonzero((image != mixed).any(2).any(1 - axis)) for axis in (0, 1))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SHAPES), st.sampled_from([0, 4]))
def test_self_mix_copies_one_box_of_the_same_image_with_its_mask(seed, size, classes):
    image = np.arange(size[0] * size[1] * 3).reshape(*size, 3)  # no value twice: each tells where it came from
    mask = (image[..., :classes] if classes else image[..., 0]).astype(np.int64)
    mixed = SelfMixed(nothing, 1.0, 0.1, 0.4)
    mixed.set_random_seed(seed)
    made = mixed(image, mask)
    if np.array_equal(made["image"], image):
        assert np.array_equal(made["mask"], mask)
        return
    place = made["image"][..., 0] // 3
    there = np.stack(np.divmod(place, size[1]))
    here = np.stack(np.mgrid[: size[0], : size[1]])
    moved = (there != here).any(0)
    shifts = {tuple(shift) for shift in (there - here)[:, moved].T.tolist()}
    assert len(shifts) == 1, "one box, moved as a whole"
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    sides = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    assert moved[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert all(0.1 * n - 1 <= side <= 0.4 * n + 1 for side, n in zip(sides, size, strict=True))
    expected = mask[there[0], there[1]]
    assert np.array_equal(made["mask"], expected), "the mask went the same way"


def test_self_mix_does_nothing_as_often_as_a_box_would_leave_the_image():
    image, mask = pair(0, (50, 50))
    mixed, same = SelfMixed(nothing, 1.0, 0.1, 0.4), 0
    for seed in range(400):
        mixed.set_random_seed(seed)
        same += mixed(image, mask)["image"] is image
    sides = np.linspace(0.1, 0.4, 301)
    inside = np.clip((1 - np.maximum(sides, 0.2)) / 0.8, 0, 1)  # of centres in 0.1..0.9, for one axis and one box
    assert same / 400 == pytest.approx(1 - np.mean(inside**2) ** 2, abs=0.08)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 5), st.sampled_from([0, 3]))
def test_coloring_multiplies_green_and_blue_under_the_mask_and_nothing_else(seed, most, classes):
    image, mask = pair(seed, classes=classes)
    dyeing = Colored(nothing, 1.0, most)
    dyeing.set_random_seed(seed)
    made = dyeing(image, mask)
    under = mask.any(-1) if classes else mask > 0
    assert made["mask"] is mask
    assert np.array_equal(made["image"][~under], image[~under])
    assert np.array_equal(made["image"][..., 0], image[..., 0])
    for channel in (1, 2):
        old, new = image[under][:, channel].astype(float), made["image"][under][:, channel].astype(float)
        gains = new[new < 255] / np.maximum(old[new < 255], 1)
        big = old[new < 255] >= 20
        assert (new >= old).all() and gains.max(initial=1) <= 1 + most + 0.5
        if big.sum() > 1:
            assert np.ptp(gains[big]) <= 1 / 20 + 1e-6, "one gain for all pixels, but for rounding"


def test_dyed_pixels_are_cut_off_at_white_and_do_not_wrap_around():
    image, mask = np.full((6, 6, 3), 250, np.uint8), np.ones((6, 6), np.uint8)
    dyeing = Colored(nothing, 1.0, 5.0)
    dyeing.set_random_seed(0)
    assert (dyeing(image, mask)["image"][..., 1:] == 255).all()


PRESETS = {"light": lambda *about: light(True, about[1]), "heavy": lambda *about: heavy(1.0, True, *about)}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("channels", "depth"), [(3, "uint8"), (1, "uint8"), (1, "uint16"), (2, "int16"), (6, "uint8")])
@pytest.mark.parametrize("classes", [0, 5])
def test_whole_sets_keep_size_depth_and_labels_of_any_image(name, channels, depth, classes):
    transform = PRESETS[name](channels, depth)
    seen, changed = set(), 0
    for seed in range(25):
        image, mask = pair(seed, (64, 96), classes, channels, depth, most=1 if classes else 11)
        one, two = (distort(transform, image, mask, (seed,)) for _ in range(2))
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
        assert (one[0].shape, str(one[0].dtype), one[1].shape) == (image.shape, depth, mask.shape)
        assert one[1].dtype == np.uint8 and set(np.unique(one[1])) <= set(np.unique(mask)) | {0}
        seen.add(one[0].tobytes())
        changed += not np.array_equal(one[1], mask)
    assert len(seen) == 25 or (name == "light" and len(seen) > 20)
    assert changed > 15


@pytest.mark.parametrize("name", PRESETS)
def test_whole_sets_move_image_and_mask_alike(name):
    for seed in range(20):
        mask = np.zeros((96, 96), np.uint8)
        mask[30:60, 40:70] = 1
        image = np.repeat(mask[..., None] * np.uint8(200), 1, -1)  # of 16 bits: place and shape alone
        image, moved = distort(PRESETS[name](1, "uint16"), image.astype(np.uint16), mask, (seed,))
        assert np.count_nonzero((image[..., 0] > 100) & (moved == 0)) <= 60
        lost = np.count_nonzero((image[..., 0] <= 100) & (moved == 1))
        assert lost <= 60 or (name == "heavy" and lost <= 4 * (0.15 * 96 + 1) ** 2), "holes hide pixels, no labels"


def test_a_preset_takes_the_place_of_the_competitions_distortions_and_other_techniques_stay():
    store = type("Store", (), {})()
    dataset = discs(4)
    for name in ("light-augment", "heavy-augment"):
        made = solution(discover(), "hair-seg", techniques=[name, "self-mix"], encoder_weights="none")
        augment = made.augment(dataset, dataset.train, store)
        assert isinstance(augment, SelfMixed)
        kinds = {type(step).__name__ for step in augment.inner.transforms}
        assert ("CoarseDropout" in kinds) is (name == "heavy-augment") and "HueSaturationValue" not in kinds
    lost = solution(discover(), "hair-seg", techniques=["self-mix", "light-augment"], encoder_weights="none")
    assert not isinstance(lost.augment(dataset, dataset.train, store), SelfMixed), "a preset replaces what was there"


def test_they_go_through_the_loader_as_it_calls_them(tmp_path):
    dataset = discs(6)
    store = filled(tmp_path, dataset)
    chosen = solution(discover(), "hair-seg", techniques=["self-mix", "coloring"], encoder_weights="none")
    augment = chosen.augment(dataset, dataset.train, store)
    draws = [Draw(sample) for sample in dataset.train]
    first, again = ([EpochDraws(store, draws, augment, 3, 1).read(i) for i in range(6)] for _ in range(2))
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint8"), (3, "uint16")])
def test_images_without_colours_of_8_bits_cannot_be_dyed(channels, depth):
    dataset = discs(2, channels=channels)
    dataset.depth = depth
    chosen = solution(discover(), "hair-seg", techniques=["coloring"], encoder_weights="none")
    with pytest.raises(RecipeError, match=r"techniques\.coloring: .* use --without coloring"):
        chosen.augment(dataset, dataset.train, None)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (SelfMix, {"p": 1.1}),
        (SelfMix, {"least": 0.5, "most": 0.4}),
        (SelfMix, {"most": 1.0}),
        (Coloring, {"p": -0.1}),
        (Coloring, {"most": 0}),
        (HeavyAugment, {"strength": 0}),
        (HeavyAugment, {"strength": 2.1}),
        (LightAugment, {"vertical": "up"}),
    ],
)
def test_settings_out_of_range_are_refused(kind, bad):
    with pytest.raises(RecipeError, match=rf"techniques\.{kind.name}"):
        solution(discover(), "hair-seg", techniques=[{"name": kind.name, "settings": bad}])


def test_what_is_searched_is_what_the_settings_allow():
    swept = 0
    for kind in discover().techniques.values():  # (plugin, class)
        kind = kind[1]
        if not hasattr(kind, "space"):
            continue
        for setting, distribution in kind.space().items():
            for value in (distribution.low, distribution.high):
                assert getattr(kind(**{setting: value}), setting) == value
                swept += 1
    assert swept >= 20
