"""One experiment, computed once: which folder a request gets, what a known result says, who is blamed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kagglekit.errors import DataError, PluginError
from kagglekit.metrics import MeanIoU
from kagglekit.pipeline import experiment
from kagglekit.pipeline.experiment import choose_folder, forget_refused, known_result
from kagglekit.pipeline.prepare import refuse_damage
from kagglekit.pipeline.request import Request
from kagglekit.runs import folder as folders
from kagglekit.runs.record import plain
from kagglekit.runs.record_parts import Score
from tests.helpers import MANIFEST, read_only

KNOWN = {
    "title": "Toy",
    "metric": "mean IoU",
    "validation": {"value": 0.5, "low": 0.4, "high": 0.6, "count": 3},
    "test": None,
    "seconds": {"total": 1.0},
    "weights": "none",
    "submission": {"file": "s.json"},
}


def made(base: Path, *states: str) -> list[Path]:
    """Folders of one experiment: "done" or "cut short", the first without a number."""
    folders = []
    for number, state in enumerate(states, 1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(MANIFEST | {"recipe_identity": "r"}))
        if state == "done":
            (folder / "result.json").write_text("{}")
        folders.append(folder)
    return folders


def request(again: bool = False, resume: bool = False) -> Request:
    solution = SimpleNamespace(
        recipe=SimpleNamespace(identity=lambda: "r"), competition=SimpleNamespace(metric=MeanIoU())
    )
    return Request(solution, Path("data"), again=again, resume=resume)


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "toy" / "abcdef"


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(experiment.progress, "say", lines.append)
    return lines


def test_a_new_experiment_gets_the_plain_folder(base, said):
    assert choose_folder(base, request()) == base and said == []


def test_a_finished_experiment_is_returned_and_again_gets_the_next_number(base):
    made(base, "done")
    assert choose_folder(base, request()) == base
    assert choose_folder(base, request(again=True)) == base.with_name("abcdef-2")


def test_an_interrupted_experiment_goes_on_and_says_so(base, said):
    made(base, "cut short")
    assert choose_folder(base, request()) == base
    assert "interrupted; going on with it" in said[0]


def test_an_interrupted_repeat_does_not_stand_before_the_finished_result(base, said):
    first, second = made(base, "done", "cut short")
    assert choose_folder(base, request()) == first
    assert choose_folder(base, request(resume=True)) == second
    assert choose_folder(base, request(again=True)) == second


def test_resume_without_anything_to_resume_says_so_and_starts(base, said):
    assert choose_folder(base, request(resume=True)) == base
    assert "nothing to resume" in said[0]


def test_an_interrupted_run_of_other_code_is_named_and_left_alone(base, said):
    made(base.with_name("999999"), "cut short")
    assert choose_folder(base, request()) == base
    assert "run 999999 of this recipe was interrupted, but data or code have changed since" in said[0]


def test_a_damaged_manifest_of_another_run_stops_nothing(base):
    (other,) = made(base.with_name("999999"), "cut short")
    (other / "manifest.json").write_text("{")
    assert choose_folder(base, request()) == base


def test_a_truth_that_came_later_is_used_to_score_the_submission_that_is_there(base, said, monkeypatch):
    from kagglekit import types
    from kagglekit.predict import submission

    base.mkdir(parents=True)
    (base / "result.json").write_text(json.dumps(KNOWN))
    asked, found = [], types.Score(0.5, 0.4, 0.6, 2)
    monkeypatch.setattr(submission, "score_file", lambda path, *rest: asked.append(path) or found)
    dataset = SimpleNamespace(answers={"a": 1, "b": 2})
    first = known_result(request(), dataset, base)
    assert first.test == Score(value=0.5, low=0.4, high=0.6, count=2)
    assert known_result(request(), dataset, base) == first
    assert json.loads((base / "result.json").read_text()) == KNOWN | {"test": plain(first.test)}
    assert asked == [base / "s.json"]


def test_a_result_that_began_with_fallback_weights_says_so(base, said):
    base.mkdir(parents=True)
    weights = "none: random initial weights (imagenet could not be fetched: no connection to the model hub)"
    (base / "result.json").write_text(json.dumps(KNOWN | {"weights": weights}))
    known_result(request(), SimpleNamespace(answers={}), base)
    assert "--again tries once more" in said[0] and weights in said[0]


def test_the_folder_of_a_run_that_was_refused_goes_and_one_with_a_checkpoint_stays(base):
    (refused,) = made(base, "cut short")
    forget_refused(refused)
    assert not refused.exists()
    (begun,) = made(base, "cut short")
    (begun / "checkpoints").mkdir()
    (begun / "checkpoints" / "epoch-000.safetensors").touch()
    forget_refused(begun)
    assert begun.exists()


def test_a_known_result_is_given_where_nothing_can_be_written(base, said, monkeypatch):
    from kagglekit.predict import submission
    from kagglekit.types import Score

    base.mkdir(parents=True)
    (base / "result.json").write_text(json.dumps(KNOWN))
    monkeypatch.setattr(submission, "score_file", lambda *_: Score(0.5, 0.4, 0.6, 1))
    with read_only(base.parent):
        with folders.held(base, said.append):
            found = known_result(request(), SimpleNamespace(answers={"a": 1}), base)
        assert found.test.value == 0.5 and json.loads((base / "result.json").read_text())["test"] is None
        with pytest.raises(OSError), folders.held(base.with_name("other"), said.append):
            pytest.fail("an experiment without a result has to be written")


def test_an_error_out_of_a_plugins_code_names_the_plugin():
    from kagglekit.plugin.registry import blaming, discover

    plugin = discover().plugins["hair-seg"]
    with pytest.raises(PluginError, match=r"plugin hair-seg \(kagglekit-hair-seg .*\): TypeError"), blaming([plugin]):
        plugin.module.Settings(min_area="many")
    with pytest.raises(ZeroDivisionError), blaming([plugin]):
        1 / 0  # noqa: B018 - the exception is the point
    with pytest.raises(DataError, match="as it is"), blaming([plugin]):
        raise DataError("as it is")


@pytest.mark.parametrize(("share", "stops"), [(0.0, False), (0.01, False), (0.0101, True), (1.0, True)])
def test_damage_above_what_is_allowed_stops_with_names_and_a_way_on(share, stops):
    damaged = {f"p{i}.jpg": "truncated" for i in range(7)}
    if not stops:
        refuse_damage("test images", damaged, share, 0.01)
        return
    with pytest.raises(DataError) as error:
        refuse_damage("test images", damaged, share, 0.01)
    text = str(error.value)
    assert text.startswith(f"7 test images ({share:.1%}) are damaged") and text.count("truncated") == 5
    assert f"-o max_damaged={min(1, 1.1 * share):.2g}" in text
