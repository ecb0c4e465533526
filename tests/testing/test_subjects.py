"""The drawn worlds are what they say: masks of every task, images that show them, competitions that resolve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Sample
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import compose
from kagglekit.testing.fixtures import TASKS, Discs, dataset_for, with_drawn
from kagglekit.testing.stage_laws import corner, separation
from kagglekit.testing.subjects import require_mask
from tests.helpers import build, competition


@given(st.sampled_from(sorted(TASKS)), st.integers(2, 6), st.integers(0, 10_000))
def test_a_drawn_mask_fits_its_task_and_shows_every_class_of_a_label_map(task, classes, seed):
    found = competition(task=task, classes=tuple(map(str, range(1 if task == "binary" else classes))))
    sample = Sample("s", None, (48, 64), seed)
    mask = Discs((), task=task, classes=classes).read_mask(sample)
    require_mask(found, sample, mask, sample.size, "read_mask")
    if task == "multiclass":
        assert set(np.unique(mask)) == set(range(classes))


@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("task", TASKS)
def test_red_tells_the_disc_from_the_ground(task, depth):
    dataset = dataset_for(TASKS[task], depth)
    for sample in dataset.train[:4]:
        image, mask = dataset.read_image(sample), dataset.read_mask(sample)
        assert image.dtype == depth and image.shape == (*sample.size, 3)
        assert separation(image[..., :1], (mask[..., 0] if mask.ndim == 3 else mask) > 0) == pytest.approx(1)


def test_drawn_competitions_of_every_task_resolve_and_read_their_images(tmp_path):
    registry = with_drawn(build())
    assert {c.task for _, c in registry.competitions.values()} == set(TASKS)
    for id, (_, found) in registry.competitions.items():
        solution = resolve(compose([("", {"competition": id}), ("", found.recipe)])[0], registry)
        assert len(solution.dataset(tmp_path).train) == 12
        assert callable(solution.loss())


def test_tiled_worlds_are_larger_and_are_looked_at_through_windows():
    plain, tiled = dataset_for(TASKS["binary"]), dataset_for(TASKS["binary"], tiled=True)
    assert plain.tiling is None and tiled.tiling.reduce == 1
    assert min(min(s.size) for s in tiled.train) > max(max(s.size) for s in plain.train)


@given(st.integers(20, 80), st.integers(20, 80), st.sampled_from(["uint8", "uint16", "int16"]))
def test_separation_is_1_for_a_bright_object_and_small_where_the_mask_lies_elsewhere(height, width, depth):
    image, mask = corner(np.zeros((height, width, 3), depth), np.zeros((height, width), np.uint8), "binary")
    assert separation(image, mask > 0) == pytest.approx(1)
    assert separation(image, mask[::-1, ::-1] > 0) < 0.5
