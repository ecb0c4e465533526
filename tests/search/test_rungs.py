"""Rungs: written, checked, made by default; how many climb."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import UsageError
from kagglekit.plugin.registry import discover
from kagglekit.recipe import Recipe, compose
from kagglekit.search.rungs import Rung, check_rungs, climbers, default_rungs, middle_of, parse_rungs
from tests.helpers import competition


def test_rungs_are_read_as_size_part_and_epochs():
    assert parse_rungs("256:26%:4, 512:100%:14") == (Rung(256, 0.26, 4), Rung(512, 1.0, 14))
    assert [str(rung) for rung in parse_rungs("96:12.5%:1")] == ["96:12.5%:1"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("256", "expected SIZE:PART%:EPOCHS"),
        ("256:26:4", "expected SIZE:PART%:EPOCHS"),
        ("", "an empty rung"),
        ("256:26%:4,", "an empty rung"),
        ("100:26%:4", "multiple of 32"),
        ("256:0%:4", "greater than 0"),
        ("256:120%:4", "less than or equal to 1"),
        ("256:26%:0", "greater than or equal to 1"),
        ("512:100%:14,256:26%:4", "image size must not fall"),
        ("256:50%:4,256:26%:14", "fraction must not fall"),
        ("256:50%:4,512:50%:2", "epochs must not fall"),
        ("256:50%:4,256:50%:4", "the cost must rise"),
    ],
)
def test_a_wrong_ladder_is_refused_with_its_fault(text, fault):
    with pytest.raises(UsageError, match="--rungs") as error:
        parse_rungs(text)
    assert fault in str(error.value)


def test_default_rungs_end_at_the_recipe_and_rise_from_a_small_part_of_its_work():
    for _, found in discover().competitions.values():
        for preset in found.presets:
            recipe, _ = compose([("", {"competition": found.id}), ("", found.recipe), ("", found.presets[preset])])
            rungs = default_rungs(found, recipe, 320)
            assert check_rungs(rungs) == rungs and 2 <= len(rungs) <= 3
            assert rungs[-1] == Rung(recipe.fidelity.image_size, recipe.fidelity.fraction, recipe.fidelity.epochs)
            assert rungs[0].work <= rungs[-1].work / 8, (found.id, preset)


def test_the_trial_preset_is_the_lowest_rung_where_it_is_cheap():
    trial = {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 4}
    recipe = Recipe(competition="toy", fidelity={"image_size": 512, "fraction": 1.0, "epochs": 14})
    assert default_rungs(competition(presets={"trial": trial}), recipe, 190_000)[0] == Rung(256, 0.26, 4)
    small = Recipe(competition="toy", fidelity={"image_size": 256, "fraction": 1.0, "epochs": 4})
    assert default_rungs(competition(presets={"trial": trial}), small, 190_000)[0] == Rung(128, 0.25, 2)


def test_the_middle_rung_is_the_geometric_mean_where_that_trains_long_enough():
    recipe = Recipe(competition="toy", fidelity={"image_size": 512, "fraction": 1.0, "epochs": 14})
    low, middle, top = default_rungs(competition(), recipe, 190_000)
    assert (low, middle, top) == (Rung(256, 0.25, 7), Rung(352, 0.5, 9), Rung(512, 1.0, 14))


def test_where_few_images_make_few_steps_the_middle_rung_takes_steps_before_pixels():
    recipe = Recipe(competition="toy", fidelity={"image_size": 128, "fraction": 1.0, "epochs": 8})
    assert default_rungs(competition(), recipe, 288)[1] == Rung(64, 1.0, 6)  # 216 steps; 96:50%:5 has 90
    assert default_rungs(competition(), recipe, 640)[1] == Rung(96, 0.5, 5)  # 200 steps


@given(
    side=st.integers(1, 32).map(lambda n: 32 * n),
    fraction=st.floats(0.01, 1),
    epochs=st.integers(1, 100),
    images=st.integers(1, 10**6),
)
def test_default_rungs_are_a_ladder_whatever_the_recipe_and_the_data(side, fraction, epochs, images):
    recipe = Recipe(competition="toy", fidelity={"image_size": side, "fraction": fraction, "epochs": epochs})
    rungs = default_rungs(competition(), recipe, images)
    assert check_rungs(rungs) == rungs and 1 <= len(rungs) <= 3
    assert rungs[-1] == Rung(side, fraction, epochs)
    if len(rungs) == 3:
        geometric = middle_of(rungs[0], rungs[2], steps=1e9)
        assert rungs[1].work <= 1.5 * geometric.work, "but for whole epochs, more steps do not cost more"


def test_a_recipe_of_the_least_fidelity_has_one_rung():
    least = Recipe(competition="toy", fidelity={"image_size": 32, "fraction": 0.01, "epochs": 1})
    assert len(default_rungs(competition(), least, 320)) <= 2


def test_fewer_climb_at_every_rung_and_never_fewer_than_reach_the_top():
    assert climbers(16, 1, 3) == [16, 4, 1]
    assert climbers(16, 2, 2) == [16, 2]
    assert climbers(5, 5, 3) == [5, 5, 5]
    assert climbers(7, 1, 1) == [7]
    with pytest.raises(UsageError, match="--promote 3: there are only 2 trials"):
        climbers(2, 3, 2)
