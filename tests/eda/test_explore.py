"""Looking at a whole data folder: what is planted stands in the facts, whoever fails, however large it is."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from kagglekit import DataError, Finding, Problem, RecipeError, Sample, hookimpl, progress
from kagglekit.eda.excerpt import Excerpt
from kagglekit.eda.explore import ExploreRequest, examples, explore, see
from kagglekit.eda.suggest import suggestions
from kagglekit.errors import UsageError
from kagglekit.types import Tiling
from tests.eda.facts import facts as made_up
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.techniques.flawed import CLASSES, Flawed


@dataclass(frozen=True)
class Flags:
    """A rule that distrusts the first sample it is shown."""

    name: ClassVar[str] = "flags"

    @classmethod
    def by_default(cls, dataset):
        return True

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        return [*(yield), Finding(dataset.train[0].id, "flags/first", 1.0, detail=f"of {len(dataset.train)}")]


@dataclass(frozen=True)
class Dear:
    """A rule that would train networks."""

    name: ClassVar[str] = "dear"
    trains_networks: ClassVar[bool] = True

    @classmethod
    def by_default(cls, dataset):
        return True

    @hookimpl(wrapper=True)
    def kk_clean(self):
        yield
        raise AssertionError("asked for a first look")


@dataclass(frozen=True)
class Hopeful:
    """A technique that always has a reason, and spoils the facts for others."""

    name: ClassVar[str] = "hopeful"

    @classmethod
    def suggest(cls, facts):
        facts["counts"]["train"] = -1
        return f"{facts['title']} has data."


@dataclass(frozen=True)
class Silent:
    """A technique without a reason."""

    name: ClassVar[str] = "silent"

    @classmethod
    def suggest(cls, facts):
        assert facts["counts"]["train"] > 0
        return None


@dataclass(frozen=True)
class Picky(Hopeful):
    """A technique with a reason that does not fit the data."""

    name: ClassVar[str] = "picky"

    def check(self, dataset, competition):
        raise RecipeError("techniques.picky: not for these data")


@dataclass(frozen=True)
class Broken:
    """A technique whose reason fails."""

    name: ClassVar[str] = "broken"

    @classmethod
    def suggest(cls, facts):
        return facts["nothing"]


@dataclass(frozen=True)
class Wordy:
    """A technique that answers with something else than a sentence."""

    name: ClassVar[str] = "wordy"

    @classmethod
    def suggest(cls, facts):
        return 3


def with_test(data: Flawed, *copied: int) -> Flawed:
    """Test images that repeat these training images, and four of their own."""
    seeds = [*copied, 90, 91, 92, 93]
    data.test = tuple(Sample(f"t{i}", Path("x"), data.size, None) for i in range(len(seeds)))
    plain = data.read_image
    data.read_image = lambda sample, box=None: plain(
        replace(sample, label=seeds[int(sample.id[1:])]) if sample.id[0] == "t" else sample, box
    )
    return data


def solved(data, *kinds: type, technique: str = "", task: str = "binary"):
    """A solution over a data set in memory."""

    @hookimpl
    def kk_dataset(root):
        return data

    found = competition(task=task, classes=CLASSES[task])
    registry = build(toy=bringing("toy", competition=found, kk_dataset=kk_dataset), extra=techniques_of(*kinds))
    return solution(registry, techniques=[technique] if technique else [])


def explored(tmp_path, data, *kinds: type, most: int = 2000, **how) -> dict:
    """The facts as they stand in the file."""
    folder, facts = explore(ExploreRequest(solved(data, *kinds, **how), tmp_path, "kk eda toy", tmp_path / "out", most))
    assert json.loads((folder / "eda.json").read_text()) == json.loads(json.dumps(facts))
    assert (folder / "eda.html").stat().st_size < 5_000_000
    return facts


def test_the_facts_are_those_that_techniques_are_promised(tmp_path):
    found, promised = explored(tmp_path, with_test(Flawed(10))), made_up()
    assert set(found) == set(promised)
    for key, value in promised.items():
        if isinstance(value, dict):
            assert set(found[key]) == set(value), key
    assert set(found["balance"][0]) == set(promised["balance"][0])
    assert set(found["balance"][0]["regions"]) == set(promised["balance"][0]["regions"])


def test_what_is_planted_stands_in_the_facts(tmp_path):
    data = with_test(Flawed(24, copies={5: 4}), 7)
    data.problems = (Problem("x", "broken", "why"),)
    facts = explored(tmp_path, data, Flags, Dear)
    assert facts["counts"] == {"train": 24, "test": 5, "labelled": 24, "groups": 12, "skipped": 1}
    assert facts["copies"]["leaked"] == 1 and facts["copies"]["leaks"][0]["train"] == ["s007"]
    assert facts["copies"]["train"] == [["s004", "s005"]]
    assert facts["findings"]["asked"] == ["flags"] and facts["findings"]["worst"][0]["detail"] == "of 24"
    assert facts["balance"][0]["pictures"] == 1 and facts["groups"]["sizes"] == {"2": 12}
    assert facts["drift"]["verdict"] == "unknown" and facts["stands_out"][0]["head"] == "The parts share images."


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_every_kind_of_mask_is_looked_at(tmp_path, task):
    facts = explored(tmp_path, Flawed(8, task=task), task=task)
    names = list(CLASSES[task])[1 if task == "multiclass" else 0 :]
    assert [one["name"] for one in facts["balance"]] == names and len(facts["places"]) == len(names)
    assert facts["together"][-1][-1] == 8


def test_large_folders_are_sampled_the_same_way_each_time_and_rules_see_the_sample(tmp_path):
    data = Flawed(40)
    facts = explored(tmp_path, data, Flags, most=9)
    again = explored(tmp_path, data, Flags, most=9)
    for one in (facts, again):
        one.pop("seconds"), one.pop("made")
    assert facts == again and facts["sampled"]["train"] == 9 and facts["counts"]["train"] == 40
    assert facts["findings"]["worst"][0]["detail"] == "of 9"


def test_classes_that_samples_state_are_counted_over_all_of_them(tmp_path):
    data = Flawed(40, task="multilabel")
    data.train = [replace(s, classes=(1,) if s.label < 10 else ()) for s in data.train]
    facts = explored(tmp_path, data, most=8, task="multilabel")
    assert facts["sampled"]["classes_of_all"] and facts["labels_counted"] == 40
    assert [one["count"] for one in facts["balance"]] == [0, 10, 0]


def test_slides_are_only_read_by_window_and_their_labels_by_band(tmp_path):
    data = Flawed(3, size=(512, 400), tiling=Tiling(reduce=2))
    read, largest = data.read_image, []

    def by_window(sample, box=None):
        largest.append(box.height * box.width)
        return read(sample, box)

    data.read_image = by_window
    facts = explored(tmp_path, data, Flags, most=30)
    assert max(largest) <= (2 * facts["recipe"]["image_size"]) ** 2
    assert facts["copies"] is None and facts["findings"]["asked"] == [] and facts["sampled"]["labels"] == 3
    assert facts["sampled"]["windows"] and 0 < facts["sampled"]["with_objects"] <= 1


def test_damaged_images_are_left_out_and_told(tmp_path):
    facts = explored(tmp_path, Flawed(8, damaged=("s001", "s004")))
    assert facts["sampled"]["looked_train"] == 6
    assert "2 images could not be read" in facts["stands_out"][0]["text"]


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of the 2 training images that were tried can be read; `kk data check"):
        explored(tmp_path, Flawed(2, damaged=("s000", "s001")))


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        explored(tmp_path, Flawed(4))
    assert (tmp_path / "out").read_text() == "mine"


def test_labels_of_which_none_shows_anything_are_no_fault(tmp_path):
    facts = explored(tmp_path, Flawed(8, spoilt=dict.fromkeys(range(8), lambda mask: mask * 0)))
    assert facts["empty"] == 1 and facts["places"] == [[]] and facts["balance"][0]["count"] == 0


def test_deep_images_get_their_range_and_one_channel_is_enough(tmp_path):
    facts = explored(tmp_path, Flawed(8, channels=1, depth="uint16"))
    assert facts["intensity"]["depth"] == "uint16" and facts["intensity"]["channels"][0]["highest"] > 255


def test_examples_go_from_the_smallest_label_to_the_largest():
    data = Flawed(30)
    summaries = see(solved(data), data, data.train, (), 2000)
    shares = [data.read_mask(draw.sample).mean() for draw in examples(data, summaries)]
    assert len(shares) == 12 and shares == sorted(shares) and len(set(shares)) == 12


def test_techniques_say_why_they_may_help_and_cannot_spoil_the_facts_for_others(tmp_path):
    facts = explored(tmp_path, Flawed(6), Hopeful, Silent)
    assert [(one["technique"], one["why"]) for one in facts["suggestions"]] == [("hopeful", "Toy has data.")]
    assert facts["suggestions"][0]["command"] == f"kk ablate toy --data {tmp_path} --with hopeful --technique hopeful"
    assert facts["counts"]["train"] == 6


def test_suggested_commands_ask_for_the_same_recipe(tmp_path):
    words = ("toy", "--fidelity", "demo", "-o", "lr=0.1")
    finding_facts = suggestions(
        solved(Flawed(6), Hopeful), Flawed(6), {"title": "T", "counts": {"train": 6}}, tmp_path / "a b", words
    )
    expected = f"kk ablate toy --data '{tmp_path}/a b' --fidelity demo -o lr=0.1 --with hopeful --technique hopeful"
    assert finding_facts[0]["command"] == expected


def test_what_refuses_the_data_is_not_suggested_whatever_its_reason(tmp_path):
    assert [one["technique"] for one in explored(tmp_path, Flawed(6), Picky, Hopeful)["suggestions"]] == ["hopeful"]


def test_what_is_in_the_recipe_is_not_suggested(tmp_path):
    assert explored(tmp_path, Flawed(6), Hopeful, technique="hopeful")["suggestions"] == []


def test_a_technique_whose_reason_fails_is_named_and_stops_nothing(tmp_path):
    solution = solved(Flawed(6), Broken, Hopeful, Wordy)
    finding_facts = io.StringIO()
    with progress.console(progress.Console(finding_facts)):
        found = suggestions(solution, Flawed(6), {"title": "Toy", "counts": {"train": 6}}, tmp_path)
    assert [one["technique"] for one in found] == ["hopeful"]
    assert (
        "left out: plugin extra (dist-extra 1.0): suggest() of wordy returned 3; expected a sentence"
        in finding_facts.getvalue()
    )
    assert "suggest() of broken: KeyError: 'nothing'" in finding_facts.getvalue()


def test_an_excerpt_is_the_data_set_with_fewer_training_samples():
    data = Flawed(6)
    part = Excerpt(data, data.train[2:4])
    assert [s.id for s in part.train] == ["s002", "s003"] and part.channels == 3 and part.count == 6
    np.testing.assert_array_equal(part.read_mask(part.train[0]), data.read_mask(data.train[2]))
    np.testing.assert_array_equal(part.read_truth(part.train[0]), data.read_mask(data.train[2]))
    np.testing.assert_array_equal(part.read_image(part.train[0]), data.read_image(data.train[2]))
    assert part.regions(part.train[0], (4, 4)) == {}
