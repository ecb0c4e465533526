"""From a data set to splits: who trains, who validates, what is dropped, when damage stops a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from kagglekit import DataError, Finding, RecipeError, Tiling, hookimpl
from kagglekit.data.codecs.mask_png import to_text
from kagglekit.errors import PluginError
from kagglekit.pipeline.job import job_of
from kagglekit.pipeline.prepare import EVERYTHING, prepare
from kagglekit.types import Problem
from tests.helpers import bringing, build, competition, solution, techniques_of
from tests.toy_data import Discs, discs


@dataclass(frozen=True)
class Distrust:
    """Distrusts the samples whose ids end in `digit`."""

    name: ClassVar[str] = "distrust"
    digit: str = "3"

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """Those samples are dropped from training."""
        found = yield
        return [*found, *(Finding(s.id, "digit", 1.0) for s in dataset.train if s.id.endswith(self.digit))]


@dataclass(frozen=True)
class Mend:
    """Proposes a mask that is full for the samples whose ids end in 3; `rows` more of them than the image has."""

    name: ClassVar[str] = "mend"
    rows: ClassVar[int] = 0

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """Those samples are relabelled."""
        found = yield
        for sample in dataset.train:
            if sample.id.endswith("3"):
                full = np.ones((sample.size[0] + self.rows, sample.size[1]), np.uint8)
                found = [*found, Finding(sample.id, "mend", 1.0, "relabel", mask=to_text(full, "binary"))]
        return found


class MendToo(Mend):
    """Does the same again."""

    name: ClassVar[str] = "mend-too"


class Misfit(Mend):
    """Proposes masks of another size."""

    name: ClassVar[str] = "misfit"
    rows: ClassVar[int] = 1


def prepared(data: Discs, *kinds, **recipe):
    """What a toy run on `data` works on."""
    registry = build(
        toy=bringing("toy", competition=competition("toy"), __file__=__file__), extra=techniques_of(*kinds)
    )
    chosen = {"fidelity": {"image_size": 32, "fraction": 1.0, "epochs": 1}, "folds": 4} | recipe
    chosen = {"techniques": [kind.name for kind in kinds]} | chosen
    return prepare(solution(registry, **chosen), data, "mark")


def ids(samples) -> set[str]:
    return {sample.id for sample in samples}


def test_one_fold_is_held_out_and_all_others_train():
    data = discs(24)
    found = prepared(data, fold=1)
    (part,) = found.splits
    assert part.fold == 1 and len(part.train) == 18 and len(part.validation) == 6
    assert ids(part.train) | ids(part.validation) == ids(data.train)
    assert not ids(part.train) & ids(part.validation)
    assert not {s.group for s in part.train} & {s.group for s in part.validation}
    assert found.counts() == {"train": 18, "validation": 6, "test": 0, "skipped": 0}


def test_with_all_folds_every_sample_is_held_out_exactly_once():
    data = discs(24)
    found = prepared(data, fold="all")
    assert [part.fold for part in found.splits] == [0, 1, 2, 3]
    held = [s.id for part in found.splits for s in part.validation]
    assert sorted(held) == sorted(ids(data.train)) and len(found.validation) == 24
    assert all(not ids(part.train) & ids(part.validation) for part in found.splits)
    assert found.counts()["train"] == 24


def test_a_refit_holds_fold_0_out_and_then_trains_on_everything():
    data = discs(24)
    one, other = prepared(data, fold="refit").splits
    (alone,) = prepared(data, fold=0).splits
    assert one == alone
    assert other.fold == EVERYTHING and ids(other.train) == ids(data.train) and list(other.validation) == []


def test_a_smaller_fraction_trains_on_fewer_and_validates_on_the_same():
    data = discs(40)
    (whole,) = prepared(data).splits
    (part,) = prepared(data, fidelity={"image_size": 32, "fraction": 0.25, "epochs": 1}).splits
    assert len(part.train) == 8 and ids(part.train) < ids(whole.train) and ids(part.validation) == ids(whole.validation)


def test_a_relabelled_sample_teaches_its_new_mask_and_is_validated_by_its_old_one():
    data = discs(40)
    found = prepared(data, Mend, fold="all")
    mended = {s.id for s in data.train if s.id.endswith("3")}
    assert found.counts()["relabelled"] == len(mended) and not found.skipped
    for part in found.splits:
        assert set(part.labels) == mended & ids(part.train) and not set(part.labels) & ids(part.validation)
        lessons = found.store.relabelled(part.labels)
        for sample in data.train:
            image, mask = lessons.read(sample)
            stored = found.store.read(sample)
            assert np.array_equal(image, stored[0]) and (stored[1] == 0).any()
            assert mask.all() if sample.id in part.labels else np.array_equal(mask, stored[1])


def test_training_reads_the_new_masks_and_validation_the_old():
    data = discs(40)
    found = prepared(data, Mend)
    registry = build(toy=bringing("toy", competition=competition("toy"), __file__=__file__), extra=techniques_of(Mend))
    (part,) = found.splits
    job = job_of(solution(registry, techniques=["mend"]), found, part, Path("unused"))
    assert all(job.store.read(sample)[1].all() == (sample.id in part.labels) for sample in part.train)
    assert not any(job.store.read(draw.sample)[1].all() for draw in job.validation)


def test_what_is_dropped_is_not_relabelled():
    found = prepared(discs(40), Mend, Distrust)
    assert found.counts() == prepared(discs(40), Distrust).counts()


def test_a_proposed_mask_must_fit_its_image_and_be_the_only_one():
    with pytest.raises(DataError, match=r"^mend: s\d+3: 49x64 pixels; expected 48x64"):
        prepared(discs(40), Misfit)
    with pytest.raises(PluginError, match=r"s\d+3: another rule proposes a mask, too; leave one of them out"):
        prepared(discs(40), Mend, MendToo)


def test_images_seen_through_windows_take_no_other_mask():
    data = discs(24)
    data.tiling = Tiling(reduce=1)
    with pytest.raises(PluginError, match="seen through windows"):
        prepared(data, Mend)


def test_distrusted_samples_leave_training_and_stay_in_validation():
    data = discs(40)
    clean, found = prepared(data), prepared(data, Distrust)
    assert ids(found.splits[0].validation) == ids(clean.splits[0].validation)
    gone = ids(clean.splits[0].train) - ids(found.splits[0].train)
    assert gone == {i for i in ids(clean.splits[0].train) if i.endswith("3")} and gone
    assert all("digit" in found.skipped[i] for i in gone)


def test_rules_are_asked_once_for_the_same_data_and_again_for_other_settings():
    asked = []

    @dataclass(frozen=True)
    class Counted(Distrust):
        @hookimpl(wrapper=True)
        def kk_clean(self, dataset):
            asked.append(self.digit)
            return [*(yield), Finding("s003", "digit", 1.0, detail="ends badly", related=("s004",))]

    first, again = prepared(discs(40), Counted), prepared(discs(40), Counted, lr=0.5)
    assert asked == ["3"] and first.skipped == again.skipped == {"s003": "digit: ends badly"}
    prepared(discs(40), Counted, seed=1)
    assert asked == ["3"], "whoever learns from them, labels are the same"
    prepared(discs(40), Counted, techniques=[{"name": "distrust", "settings": {"digit": "4"}}])
    assert asked == ["3", "4"]


def test_a_damaged_image_is_left_out_with_its_reason_and_many_stop_the_run():
    data = Discs(discs(40).samples, damaged=("s007",))
    found = prepared(data, max_damaged=0.05)
    assert "s007" not in ids([*found.splits[0].train, *found.splits[0].validation])
    assert "this image is broken" in found.skipped["s007"]
    with pytest.raises(
        DataError, match=r"1 training images or labels \(2\.5%\) are damaged.*\n  s007: s007: this image"
    ):
        prepared(Discs(discs(40).samples, damaged=("s007",)), max_damaged=0.01)


def test_what_the_index_found_damaged_counts_without_being_read():
    broken = Problem("s999", "label unreadable", "nonsense", damaged=True)
    data = Discs(discs(40).samples, problems=[broken])
    with pytest.raises(DataError, match="s999: nonsense"):
        prepared(data, max_damaged=0.01)
    assert prepared(Discs(discs(40).samples, problems=[broken]), max_damaged=0.05).skipped["s999"].startswith("label")


def test_too_few_images_for_both_sides_are_said_with_the_fold():
    samples = discs(4).samples
    damaged = tuple(s.id for s in samples if s.group == "group0")
    with pytest.raises(DataError, match=r"training and \d validation images are left of fold"):
        prepared(Discs(samples, damaged=damaged), folds=2, fold="all", max_damaged=1.0)


def test_a_test_image_that_cannot_be_read_stops_nothing_unless_there_are_many():
    test = discs(30).samples[-4:]
    data = Discs(discs(20).samples, damaged=(test[0].id,), test=test)
    found = prepared(data, max_damaged=0.3)
    assert found.skipped[test[0].id].startswith("test image, gets an empty mask: ")
    with pytest.raises(DataError, match=r"1 test images \(25\.0%\) are damaged"):
        prepared(Discs(discs(20).samples, damaged=(test[0].id,), test=test), max_damaged=0.1)


def test_of_tiled_test_images_only_a_corner_is_read_before_training():
    boxes = []

    class Watched(Discs):
        def read_image(self, sample, box=None):
            boxes.append((sample.id, box))
            return super().read_image(sample, box)

    test = discs(24, ((96, 96),)).samples[-2:]
    data = Watched(discs(20, ((96, 96),)).samples, test=test, tiling=Tiling(reduce=2))
    found = prepared(data)
    assert found.store.tiling == Tiling(reduce=2) and found.store.shape(data.train[0]) == (48, 48)
    read = {id: box for id, box in boxes if id in ids(test)}
    assert len(read) == 2 and all((box.height, box.width) == (1, 1) for box in read.values())


def test_images_that_nobody_can_show_stop_a_run_before_anything_is_decoded():
    data = discs(20)
    data.depth = "uint16"
    with pytest.raises(RecipeError, match="uint16 pixels"):
        prepared(data)
    assert data.reads == []


@pytest.mark.parametrize("fold", [4, 7])
def test_a_fold_that_does_not_exist_is_refused_with_those_that_do(fold):
    with pytest.raises(RecipeError, match=r"fold=\d does not exist with folds=4; use 0\.\.3, all or refit"):
        prepared(discs(20), fold=fold)
