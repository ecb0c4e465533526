"""Objects with their own alpha, out of training images, into others."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import Dataset, RecipeError, Sample
from kagglekit.data.loader import distort
from kagglekit.data.store import open_store
from kagglekit.types import Tiling
from kagglekit_techniques import ObjectPaste
from kagglekit_techniques.objects import LARGEST, Bank, Object, Pasted, cut_out, transformed
from kagglekit_techniques.shown import rare_classes
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.techniques.test_distortions import jumpy, mirror, nothing
from tests.toy_data import disc

SIZE = (64, 96)
CLASSES = ("Background", "Bag", "Can", "Cell")


class Things(Dataset):
    """Images of 64 x 96 pixels; label is a list of (class, y, x, radius); each thing has a colour of its own.

    Every can has a black stripe, so that black is no sign of there being nothing.
    """

    def __init__(self, labels, task="multiclass"):
        self.task = task
        self.train = [Sample(f"s{i}", Path(f"/nowhere/{i}"), SIZE, label) for i, label in enumerate(labels)]
        self.test, self.problems, self.files, self.submission, self.answers = [], [], [], None, {}

    def read_mask(self, sample, box=None):
        mask = np.zeros((*SIZE, 3), np.uint8)
        for k, y, x, radius in sample.label:
            if self.task == "multiclass":
                mask[disc(SIZE, y, x, radius) > 0] = 0
            mask[..., k - 1] |= disc(SIZE, y, x, radius)
        if self.task == "multilabel":
            return mask
        return (mask @ np.array([1, 2, 3])).astype(np.uint8) if self.task == "multiclass" else mask.max(-1)

    def read_image(self, sample, box=None):
        image = np.random.default_rng(len(sample.id)).integers(90, 140, (*SIZE, 3)).astype(np.uint8)
        for k, y, x, radius in sample.label:
            inside = disc(SIZE, y, x, radius) > 0
            image[inside] = (250, 40 * k, int(y))
            if k == 2:
                stripe = inside.copy()
                stripe[:, : int(x) - 1] = stripe[:, int(x) + 2 :] = False
                image[stripe] = 0
        return image


LABELS = [[(1, 30, 30, 14), (2, 40, 70, 8)], [(1, 20, 60, 12)], [(3, 30, 30, 7)], [(1, 32, 48, 15)], []]


def world(tmp_path, labels=LABELS, task="multiclass"):
    """(data set, filled store)."""
    dataset = Things(labels, task)
    store = open_store(tmp_path, "f", dataset, 64, task, {"multiclass": 4, "multilabel": 3, "binary": 1}[task])
    store.fill(dataset, dataset.train)
    return dataset, store


def solved(task="multiclass", **settings):
    names = {"multiclass": CLASSES, "multilabel": CLASSES[1:], "binary": ("thing",)}[task]
    registry = build(
        toy=bringing("toy", competition=competition(task=task, classes=names)), x=techniques_of(ObjectPaste)
    )
    loss = {"ce": 1.0} if task == "multiclass" else {"bce": 1.0}
    return solution(registry, techniques=[{"name": "object-paste", "settings": settings}], loss=loss)


def pasting(task: str, bank: Bank, inner=nothing, avoid=(), **settings) -> Pasted:
    how = ObjectPaste(**settings)
    return Pasted(inner, 1.0, bank, task, avoid, how.max_overlap, how.scale, how.area, how.rotate)


def as_it_is(one: Object, size=SIZE) -> dict:
    """Settings under which an object is pasted without being scaled or turned."""
    return {"scale": (1.0, 1.0), "rotate": 0.0}


@pytest.mark.parametrize(("task", "label", "count"), [("multiclass", 1, 3), ("multilabel", 0, 3), ("binary", 0, 5)])
def test_objects_are_cut_out_with_the_alpha_that_their_mask_says(tmp_path, task, label, count):
    dataset, store = world(tmp_path, task=task)
    objects = [one for s in dataset.train for one in cut_out(*store.read(s), label, task, 0.001)]
    assert len(objects) == count
    pixels = sum(int(one.alpha.sum()) for one in objects)
    wanted = {"multiclass": lambda m: m == 1, "multilabel": lambda m: m[..., 0] == 1, "binary": lambda m: m == 1}[task]
    assert pixels == sum(np.count_nonzero(wanted(dataset.read_mask(s))) for s in dataset.train)
    for one in objects:
        assert one.share == pytest.approx(one.alpha.sum() / (SIZE[0] * SIZE[1]))
        assert one.alpha.any(0).all() and one.alpha.any(1).all(), "cut closely"
        assert (
            not one.mask[one.alpha == 0].any()
            and one.mask[one.alpha == 1].any(-1 if one.mask.ndim == 3 else None).all()
        )


def test_parts_that_are_too_small_or_fill_the_image_are_no_objects(tmp_path):
    dataset, store = world(tmp_path, [[(1, 32, 48, 60), (2, 10, 10, 2)]])
    image, mask = store.read(dataset.train[0])
    assert np.count_nonzero(mask == 1) > LARGEST * mask.size
    assert list(cut_out(image, mask, 1, "multiclass", 0.001)) == []
    assert list(cut_out(image, mask, 2, "multiclass", 0.01)) == []
    assert len(list(cut_out(image, mask, 2, "multiclass", 0.0001))) == 1


def test_black_pixels_of_an_object_survive_and_nothing_else_of_its_image_comes_along(tmp_path):
    dataset, store = world(tmp_path)
    bank = Bank.build(store, dataset.train, [2], 0.001, 10, 0)
    (one,) = bank.objects[2]
    assert (one.image[one.alpha == 1] == 0).all(-1).sum() > 20
    pasted = pasting("multiclass", bank, **as_it_is(one))
    image, mask = store.read(dataset.train[4])
    for seed in range(20):
        new, labels = distort(pasted, image, mask, (seed,))
        there = labels == 2
        assert there.sum() == one.alpha.sum()
        assert (new[there] == 0).all(-1).sum() == (one.image[one.alpha == 1] == 0).all(-1).sum()
        assert np.array_equal(new[~there], image[~there])
        assert set(map(tuple, new[there])) == set(map(tuple, one.image[one.alpha == 1]))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([("multiclass", 0), ("binary", 0), ("multilabel", 3), ("multilabel", 6)]),
    st.sampled_from([(3, "uint8"), (1, "uint16"), (5, "uint8"), (2, "int16")]),
    st.floats(0.3, 2.0),
    st.floats(-180, 180),
)
def test_an_object_turned_and_scaled_keeps_its_labels_exactly_under_its_alpha(seed, kind, about, scale, angle):
    (_, planes), (channels, depth) = kind, about
    rng = np.random.default_rng(seed)
    height, width = rng.integers(4, 30, 2)
    alpha = disc((height, width), height / 2, width / 2, min(height, width) / 2.5)
    under = rng.integers(0, 2, (height, width, planes)).astype(np.uint8) if planes else np.full_like(alpha, 3)
    mask = under * (alpha[..., None] if planes else alpha)
    image = rng.integers(0, 256, (height, width, channels)).astype(depth)
    flips = bool(seed % 2), bool(seed % 3)
    one = transformed(Object(image, mask, alpha, 0.1), scale, angle, flips)
    assert one.alpha.shape == one.image.shape[:2] == one.mask.shape[:2]
    assert (one.image.dtype, one.image.shape[2:], one.mask.shape[2:]) == (image.dtype, image.shape[2:], mask.shape[2:])
    assert set(np.unique(one.alpha)) <= {0, 1} and set(np.unique(one.mask)) <= set(np.unique(mask))
    assert not one.mask[one.alpha == 0].any()
    if not planes:
        assert (one.mask[one.alpha == 1] == 3).all()
    wanted = alpha.sum() * scale**2
    assert abs(one.alpha.sum() - wanted) <= 8 * scale * np.sqrt(alpha.sum()) + 8, "nothing is cut off"
    same = transformed(Object(image, mask, alpha, 0.1), 1, 0, (False, False))
    assert np.array_equal(same.image, image) and np.array_equal(same.alpha, alpha)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("inner", [jumpy, mirror()])
def test_equal_seeds_paste_alike_and_inputs_stay_as_they_are(tmp_path, task, inner):
    dataset, store = world(tmp_path, task=task)
    augment = solved(task, p=1.0, min_area=0.001).augment(dataset, dataset.train, store)
    augment.inner = inner
    changed = 0
    for seed in range(15):
        image, mask = store.read(dataset.train[seed % 5])
        kept = image.copy(), mask.copy()
        one, two = (distort(augment, image, mask, (1, seed)) for _ in range(2))
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
        assert np.array_equal(image, kept[0]) and np.array_equal(mask, kept[1])
        assert (one[0].shape, one[1].shape, one[1].dtype) == (image.shape, mask.shape, np.uint8)
        changed += not np.array_equal(one[1], distort(inner, image, mask, (1, seed))[1])
    assert changed >= 8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_of_no_class_more_is_hidden_than_allowed_and_what_is_to_be_avoided_stays_whole(tmp_path_factory, seed, most):
    dataset, store = world(tmp_path_factory.mktemp("s"))
    bank = Bank.build(store, dataset.train, [2, 3], 0.001, 10, 0)
    image, mask = store.read(dataset.train[0])
    for avoid in ((), (1,)):
        pasted = pasting("multiclass", bank, avoid=avoid, max_overlap=most, area=(0.05, 0.3))
        _, labels = distort(pasted, image, mask, (seed,))
        for k in (1, 2):
            before = np.count_nonzero(mask == k)
            assert np.count_nonzero((mask == k) & (labels == k)) >= (1 - most) * before - 1e-9
        if avoid:
            assert np.array_equal(labels == 1, mask == 1)


def test_an_image_full_of_what_is_to_be_avoided_stays_as_it_is(tmp_path):
    dataset, store = world(tmp_path, [*LABELS, [(1, 32, 48, 80)]])
    bank = Bank.build(store, dataset.train[:5], [2], 0.001, 10, 0)
    image, mask = store.read(dataset.train[5])
    for settings_ in ({"avoid": (1,)}, {"max_overlap": 0.0}):
        new, labels = distort(pasting("multiclass", bank, **settings_), image, mask, (0,))
        assert np.array_equal(new, image) and np.array_equal(labels, mask)


def test_large_objects_shrink_and_small_ones_grow_within_the_factors(tmp_path):
    dataset, store = world(tmp_path, [[(1, 32, 48, 28)], [(2, 32, 48, 3)], []])
    image, mask = store.read(dataset.train[2])
    for k, less in ((1, True), (2, False)):
        bank = Bank.build(store, dataset.train, [k], 0.001, 10, 0)
        (one,) = bank.objects[k]
        areas = [
            np.count_nonzero(distort(pasting("multiclass", bank, area=(0.02, 0.1)), image, mask, (s,))[1])
            for s in range(30)
        ]
        before = int(one.alpha.sum())
        assert all(bool(a < before) is less for a in areas)
        assert max(areas) <= 2.0**2 * before * 1.3 and min(areas) >= 0.3**2 * before * 0.7
        assert np.median(areas) / mask.size == pytest.approx(np.sqrt(0.02 * 0.1), rel=0.6) or not less


def test_the_bank_is_bounded_reproducible_and_out_of_the_training_images_alone(tmp_path):
    labels = [[(1 + i % 3, 20, 20, 8), (1 + i % 3, 44, 70, 9)] for i in range(30)]
    dataset, store = world(tmp_path, labels)
    bank, again, other = (Bank.build(store, dataset.train, [1, 2, 3], 0.001, 12, seed) for seed in (0, 0, 1))
    assert {k: len(objects) for k, objects in bank.objects.items()} == {1: 4, 2: 4, 3: 4}
    images = [{k: [o.image.tobytes() for o in v] for k, v in b.objects.items()} for b in (bank, again, other)]
    assert images[0] == images[1]
    part = dataset.train[:3]
    small = Bank.build(store, part, [1, 2, 3], 0.001, 100, 0)
    assert sum(map(len, small.objects.values())) == 6, "two of each of the three images, none of the others"


def test_a_bank_stops_growing_when_its_memory_is_used_up(tmp_path, monkeypatch):
    dataset, store = world(tmp_path, [[(1, 32, 48, 25)]] * 20)
    monkeypatch.setattr("kagglekit_techniques.objects.BYTES", 40_000)
    bank = Bank.build(store, dataset.train, [1], 0.001, 100, 0)
    assert 1 < len(bank.objects[1]) < 6


def test_rare_classes_are_those_that_no_more_images_show_than_the_median_class(tmp_path):
    dataset, store = world(tmp_path)
    assert rare_classes(dataset.train, store) == [2, 3]
    told = [Sample(s.id, s.image, s.size, classes=(1, 2)) for s in dataset.train]
    assert rare_classes(told, store) == [1, 2], "what the data set says counts"
    assert set(solved(min_area=0.001).augment(dataset, dataset.train, store).bank.objects) == {2, 3}
    for task, expected in (("multilabel", {1, 2}), ("binary", {0})):
        dataset, store = world(tmp_path / task, task=task)
        assert set(solved(task, min_area=0.001).augment(dataset, dataset.train, store).bank.objects) == expected


def test_classes_are_named_and_unknown_names_are_refused(tmp_path):
    dataset, store = world(tmp_path)
    made = solved(classes=("Bag",), avoid=("Can", "Cell"), min_area=0.001).augment(dataset, dataset.train, store)
    assert set(made.bank.objects) == {1} and made.avoid == (2, 3)
    for bad, said in (({"classes": ("Cann",)}, "did you mean Can"), ({"avoid": ("Background",)}, "is no class of toy")):
        with pytest.raises(RecipeError, match=rf"techniques\.object-paste\.{next(iter(bad))}: .*{said}"):
            solved(**bad).augment(dataset, dataset.train, store)


def test_images_without_objects_and_tiled_images_are_refused_with_a_word_on_what_to_do(tmp_path):
    dataset, store = world(tmp_path)
    with pytest.raises(RecipeError, match=r"show no object of Cell that covers 0\.4 .* use --without object-paste"):
        solved(classes=("Cell",), min_area=0.4).augment(dataset, dataset.train, store)
    dataset.tiling = Tiling()
    with pytest.raises(RecipeError, match=r"techniques\.object-paste: needs whole images.*--without object-paste"):
        solved().augment(dataset, dataset.train, store)


@pytest.mark.parametrize(
    "bad",
    [
        {"p": 2},
        {"max_overlap": -1},
        {"min_area": 0},
        {"scale": (2, 1)},
        {"area": (0, 0.1)},
        {"rotate": 200},
        {"bank": 0},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError, match=r"techniques\.object-paste"):
        solved(**bad)
