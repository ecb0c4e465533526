"""Which windows are drawn: random ones where they should be, grids that cover, the same ones for the same seed."""

from collections import Counter

import numpy as np
import pytest

from kagglekit import RecipeError, Tiling
from kagglekit_techniques import GridWindows, RandomWindows
from kagglekit_techniques.windows import CELL, parse_anatomy
from tests.helpers import bringing, build, solution, techniques_of
from tests.toy_data import Discs, cropped, discs, filled

SIDE = 32


class Kidney(Discs):
    """Discs whose left half is "cortex"; the bottom quarter is gray glass."""

    def read_image(self, sample, box=None):
        image = super().read_image(sample, None).copy()
        image[-image.shape[0] // 4 :] = 230
        return cropped(image, box)

    def regions(self, sample, size):
        left = np.zeros(size, bool)
        left[:, : size[1] // 2] = True
        return {"cortex": left}


def world(tmp_path, count: int = 3, size=(192, 256)):
    data = Kidney(discs(count, (size,)).samples, tiling=Tiling(reduce=1, min_saturation=40))
    return data, filled(tmp_path, data)


def sampler(kind, data, store, seed: int = 0, **settings):
    registry = build(toy=bringing("toy"), extra=techniques_of(kind))
    chosen = solution(
        registry,
        seed=seed,
        techniques=[{"name": kind.name, "settings": settings}],
        fidelity={"image_size": SIDE, "fraction": 1.0, "epochs": 1},
    )
    return chosen.sampler(data, data.train, store)


def test_random_windows_lie_inside_and_depend_on_seed_and_epoch_alone(tmp_path):
    data, store = world(tmp_path)
    draw = sampler(RandomWindows, data, store, per_epoch=60)
    first = list(draw(0))
    assert len(first) == 60 and first == list(draw(0)) and first != list(draw(1))
    assert first == list(sampler(RandomWindows, data, store, per_epoch=60)(0))
    assert first != list(sampler(RandomWindows, data, store, seed=1, per_epoch=60)(0))
    for one in first:
        assert 0 <= one.box.top <= 192 - SIDE and 0 <= one.box.left <= 256 - SIDE
        assert (one.box.height, one.box.width) == (SIDE, SIDE)
    assert len({(d.sample.id, d.box) for d in first}) > 55, "a grid would repeat its places"


def test_windows_around_objects_hold_one_and_others_are_drawn_where_there_is_tissue(tmp_path):
    data, store = world(tmp_path)
    with_object = [
        store.read(d.sample, d.box)[1].any()
        for d in sampler(RandomWindows, data, store, p_foreground=1.0, per_epoch=80)(0)
    ]
    assert all(with_object)
    tops = [d.box.top for d in sampler(RandomWindows, data, store, p_foreground=0.0, per_epoch=200)(0)]
    assert max(tops) <= 144 + SIDE // 4 + CELL, "a window's inner half must hold tissue"
    share = np.mean(
        [
            store.read(d.sample, d.box)[1].any()
            for d in sampler(RandomWindows, data, store, p_foreground=0.0, per_epoch=200)(0)
        ]
    )
    assert share < 0.9


def test_as_many_windows_as_a_grid_has_are_drawn_unless_told_otherwise(tmp_path):
    data, store = world(tmp_path)
    grid = list(sampler(GridWindows, data, store)(0))
    assert len(list(sampler(RandomWindows, data, store)(0))) == len(grid)


def test_anatomy_weighs_where_windows_are_drawn(tmp_path):
    data, store = world(tmp_path)

    def left_share(anatomy):
        draws = sampler(RandomWindows, data, store, p_foreground=0.0, per_epoch=300, anatomy=anatomy)(0)
        return np.mean([d.box.left + SIDE / 2 < 128 for d in draws])

    assert left_share("cortex=1") > 0.95
    assert left_share("cortex=0.5,background=0.5") == pytest.approx(0.5, abs=0.1)
    assert left_share("cortex=0,background=1") < 0.05
    assert left_share("medulla=1") == pytest.approx(0.5, abs=0.1), "unknown regions change nothing"


def test_images_are_drawn_in_proportion_to_their_tissue(tmp_path):
    data = Kidney(discs(2, ((96, 128), (192, 256))).samples, tiling=Tiling(reduce=1, min_saturation=40))
    store = filled(tmp_path, data)
    drawn = Counter(d.sample.id for d in sampler(RandomWindows, data, store, p_foreground=0.0, per_epoch=500)(0))
    assert drawn["s001"] / 500 == pytest.approx(0.8, abs=0.06)


def test_an_image_smaller_than_the_window_is_drawn_from_its_corner(tmp_path):
    data, store = world(tmp_path, 1, (24, 28))
    assert {(d.box.top, d.box.left) for d in sampler(RandomWindows, data, store, per_epoch=5)(0)} == {(0, 0)}


@pytest.mark.parametrize(("overlap", "step"), [(0.0, 32), (0.5, 16), (0.25, 24)])
def test_a_grid_covers_all_tissue_with_the_overlap_asked_for(tmp_path, overlap, step):
    data, store = world(tmp_path, 1)
    draws = list(sampler(GridWindows, data, store, overlap=overlap)(0))
    covered = np.zeros((192, 256), bool)
    for d in draws:
        covered[d.box.top : d.box.top + SIDE, d.box.left : d.box.left + SIDE] = True
    assert covered[:144].all() and len(set(draws)) == len(draws)
    lefts = sorted({d.box.left for d in draws})
    assert max(np.diff(lefts)) <= step
    assert list(sampler(GridWindows, data, store, overlap=overlap)(1)) != draws, "the order changes with the epoch"


def test_two_grids_are_joined_half_a_window_apart(tmp_path):
    data, store = world(tmp_path, 1)
    one = set(sampler(GridWindows, data, store)(0))
    both = set(sampler(GridWindows, data, store, both=True)(0))
    assert one < both
    assert any(d.box.top < 0 for d in both - one), "the shifted grid begins outside"


@pytest.mark.parametrize("kind", [GridWindows, RandomWindows])
def test_images_that_are_looked_at_whole_have_no_windows(tmp_path, kind):
    data = discs(3)
    with pytest.raises(
        RecipeError, match=f"techniques.{kind.name}: the images of this competition are looked at whole"
    ):
        sampler(kind, data, filled(tmp_path, data))


def test_weights_of_anatomy_are_parsed_or_refused_by_name():
    assert parse_anatomy(" Cortex=0.5, medulla=.2,background=0 ") == {"cortex": 0.5, "medulla": 0.2, "background": 0.0}
    assert parse_anatomy("") == {}
    for text in ("cortex", "cortex=much", "cortex=-1"):
        with pytest.raises(ValueError, match="anatomy: 'cortex"):
            parse_anatomy(text)


@pytest.mark.parametrize("settings", [{"p_foreground": 1.5}, {"per_epoch": -1}, {"anatomy": "x"}])
def test_settings_of_random_windows_out_of_range_are_refused(settings):
    registry = build(toy=bringing("toy"), extra=techniques_of(RandomWindows))
    with pytest.raises(RecipeError, match=r"techniques\.random-windows"):
        solution(registry, techniques=[{"name": "random-windows", "settings": settings}])
