"""Copies of images: which are found, which one of a group is kept, and the rest of a group of samples."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from kagglekit import Finding, RecipeError, hookimpl
from kagglekit.data.duplicates import correlation
from kagglekit.plugin.solution import make_technique
from kagglekit.types import Tiling
from kagglekit_techniques import GroupFindings, NearDuplicates
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.techniques.flawed import Flawed

COPIES = {5: 4, 11: 30, 17: 30}


def distrusting(*names: str, action: str = "drop") -> type:
    """A technique that distrusts these samples."""

    @dataclass(frozen=True)
    class Distrust:
        """Distrusts some samples."""

        name: ClassVar[str] = "distrust"

        @hookimpl(wrapper=True)
        def kk_clean(self):
            found = yield
            return [*found, *(Finding(name, "distrust", 1.0, action) for name in names)]

    return Distrust


def clean(dataset, *kinds: type, settings=None) -> list[Finding]:
    """The findings of a solution with these techniques, `settings` those of the last."""
    registry = build(toy=bringing("toy", competition=competition()), extra=techniques_of(*kinds))
    specs = [{"name": kind.name, "settings": (settings or {}) if kind is kinds[-1] else {}} for kind in kinds]
    return list(solution(registry, techniques=specs).clean(dataset))


def test_of_every_group_of_copies_all_but_one_are_dropped_and_know_each_other():
    found = {one.sample: one for one in clean(Flawed(36, copies=COPIES), NearDuplicates)}
    assert set(found) == {"s005", "s017", "s030"}  # the first by name is kept
    assert found["s005"].related == ("s004",) and set(found["s030"].related) == {"s011", "s017"}
    assert all(one.action == "drop" and one.rule == "near-duplicates" for one in found.values())
    assert "s011, which is kept" in found["s017"].detail


def test_a_copy_whose_label_is_distrusted_is_not_the_one_that_is_kept():
    found = clean(Flawed(36, copies=COPIES), distrusting("s004", "s011"), NearDuplicates)
    assert {one.sample for one in found if one.rule == "near-duplicates"} == {"s004", "s011", "s030"}
    merely_shown = clean(Flawed(36, copies=COPIES), distrusting("s004", action="keep"), NearDuplicates)
    assert "s005" in {one.sample for one in merely_shown}


def test_within_groups_only_copies_of_one_group_count():
    assert [
        one.sample for one in clean(Flawed(36, copies=COPIES), NearDuplicates, settings={"within_group": True})
    ] == ["s005"]


def test_images_without_copies_and_damaged_ones_are_left_alone():
    assert clean(Flawed(36), NearDuplicates) == []
    assert clean(Flawed(36, copies={5: 4}, damaged=("s004",)), NearDuplicates) == []
    assert clean(Flawed(0), NearDuplicates) == []


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint8"), (6, "uint8"), (3, "uint16")])
def test_copies_are_found_at_any_depth_and_number_of_channels(channels, depth):
    found = clean(Flawed(36, copies=COPIES, channels=channels, depth=depth), NearDuplicates)
    # In the red channel alone, in which all blobs are equally bright, two more pairs of these images are alike.
    assert {one.sample for one in found} - {"s014", "s032"} == {"s005", "s017", "s030"}


def test_copies_of_large_images_are_found_by_reading_them_in_bands():
    dataset = Flawed(8, copies={5: 4}, size=(700, 300), tiling=Tiling(reduce=2))
    assert [one.sample for one in clean(dataset, NearDuplicates)] == ["s005"]


def test_correlation_is_that_of_numpy_and_flat_images_are_like_flat_ones_only():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 9, 50)).astype(np.uint8)
    expected = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(correlation(a, b), expected, atol=1e-5)
    flat = np.zeros((1, 50), np.uint8)
    assert correlation(flat, flat + 9) == 1 and correlation(flat, a[:1]) == 0


@pytest.mark.parametrize("settings", [{"distance": 16}, {"distance": -1}, {"similarity": 1.5}])
def test_settings_that_cannot_be_searched_are_refused(settings):
    with pytest.raises(RecipeError, match=r"techniques\.near-duplicates: "):
        make_technique(NearDuplicates, settings)


def test_a_group_most_of_whose_labels_are_distrusted_is_distrusted_as_a_whole():
    dataset = Flawed(12, group_size=4)
    found = clean(dataset, distrusting("s000", "s002", "s003", "s004", "s005"), GroupFindings)
    ours = [one for one in found if one.rule == "group-findings"]
    assert [one.sample for one in ours] == ["s001"]
    assert ours[0].related == ("s000", "s002", "s003") and ours[0].detail == "3 of the 4 labels of g0 are distrusted"
    half = clean(dataset, distrusting("s004", "s005"), GroupFindings, settings={"share": 0.5})
    assert {one.sample for one in half if one.rule == "group-findings"} == {"s006", "s007"}


def test_one_distrusted_label_says_nothing_of_its_group_unless_asked_for_and_shown_ones_do_not_count():
    dataset = Flawed(12, group_size=2)
    assert len(clean(dataset, distrusting("s000"), GroupFindings, settings={"share": 0.5})) == 1
    asked = clean(dataset, distrusting("s000"), GroupFindings, settings={"share": 0.5, "least": 1})
    assert asked[1].sample == "s001"
    shown = clean(dataset, distrusting("s000", "s001", action="keep"), GroupFindings, settings={"share": 0.5})
    assert [one.rule for one in shown] == ["distrust"] * 2


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.1}, {"least": 0}])
def test_shares_out_of_range_are_refused(settings):
    with pytest.raises(RecipeError, match=r"techniques\.group-findings: share must lie in 0\.\.1"):
        make_technique(GroupFindings, settings)
