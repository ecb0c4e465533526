"""Records that others may have written: typed values, or a sentence with file, key, fault and what to do."""

import json

import pytest

from kagglekit.errors import RunError
from kagglekit.runs import folder as folders
from kagglekit.runs import reading, record
from kagglekit.runs.history import read_history
from kagglekit.runs.ledger import describe
from tests.helpers import MANIFEST, RESULT, run_folder


@pytest.fixture
def run(tmp_path):
    """A finished run."""
    return run_folder(tmp_path, "a" * 12)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{}", r"result\.json: damaged: object missing required field metric"),
        (b"[]", r"result\.json: damaged: holds list, not an object"),
        (b"\xff\xfe", r"result\.json: damaged: 'utf-8' codec"),
        (b'{"validation": ', r"result\.json: damaged: Expecting value"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, r"result\.json: damaged: is nested more than 64 levels deep"),
        (json.dumps(RESULT | {"metric": 5}).encode(), r"result\.json: damaged: metric: expected str, got int"),
        (json.dumps(RESULT | {"seconds": {"total": "x"}}).encode(), r"seconds\.total: expected float, got str"),
        (json.dumps(RESULT | {"seconds": {}}).encode(), r"seconds: object missing required field total"),
        (json.dumps(RESULT | {"validation": {"value": True}}).encode(), r"validation\.value: expected float, got bool"),
        (json.dumps(RESULT | {"validation": {"value": float("nan")}}).encode(), "NaN is no number of JSON"),
    ],
)
def test_each_fault_of_a_result_is_a_sentence_with_its_key(run, content, fault):
    (run / folders.RESULT).write_bytes(content)
    with pytest.raises(RunError, match=fault):
        describe(run)


def test_a_sentence_says_what_to_do(run):
    with pytest.raises(RunError, match=r"result\.json: damaged: .*; do this and that$"):
        record.read_result(run, record.COMPARED, "do this and that")
    with pytest.raises(RunError, match=r"result\.json: damaged: .*greater_is_better; run it again with --again$"):
        record.read_result(run, record.COMPARED)
    with pytest.raises(RunError, match=r"manifest\.json: damaged: .*; remove the folder, or make it anew"):
        record.read_manifest(run, record.WHOLE_MANIFEST)


def test_keys_that_nobody_reads_stay_as_they_are_when_a_record_is_changed(run):
    before = MANIFEST | {"mine": {"more": [1]}}
    (run / folders.MANIFEST).write_text(json.dumps(before))
    record.amend(run / folders.MANIFEST, recipe_identity="x")
    assert folders.read_json(run / folders.MANIFEST) == before | {"recipe_identity": "x"}
    assert record.read_manifest(run).recipe_identity == "x"


def test_what_is_damaged_is_named_once_and_passed_over(tmp_path, capsys):
    good, odd, gone = (tmp_path / name / folders.MANIFEST for name in ("good", "odd", "gone"))
    for path, text in ((good, json.dumps(MANIFEST)), (odd, '{"identity": []}')):
        path.parent.mkdir()
        path.write_text(text)
    found = reading.sound([odd, gone, good], lambda path: reading.read(path, record.Manifest))
    assert [path for path, _ in found] == [good]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and f"{odd}: damaged" in lines[0] and "gone: has no manifest.json" in lines[1]
    assert all(line.startswith("note: ") and line.endswith("(passed over)") for line in lines)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\xff\xfe", r"data\.txt: damaged: is no UTF-8 text"),
        (b"0123456789abcdef  a.jpg\nnonsense\n", r"data\.txt: damaged: line 2 is no hash with a name"),
        (b"xyz  a.jpg\n", r"data\.txt: damaged: line 1 is no hash with a name"),
    ],
)
def test_lists_of_hashes_that_are_damaged_say_where(tmp_path, text, fault):
    (tmp_path / "data.txt").write_bytes(text)
    with pytest.raises(RunError, match=fault):
        folders.read_hashes(tmp_path / "data.txt")


def test_lists_of_hashes_hold_names_of_any_bytes_on_a_line_each(tmp_path):
    names = {"a b.jpg": "0" * 16, "\udcbb\udce7.jpg": "1" * 16, "two\nlines.jpg": "2" * 16, "\u2028.jpg": "3" * 16}
    folders.write_hashes(tmp_path / "data.txt", names)
    assert folders.read_hashes(tmp_path / "data.txt") == {folders.shown_name(n): h for n, h in names.items()}
    assert len((tmp_path / "data.txt").read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("epoch,lr\n0,fast\n", r"history\.csv: damaged: line 2: could not convert"),
        ("lr\n0.1\n", "line 2: 'epoch'"),
        ("epoch,lr\n0,0.1,0.2\n", "more cells than columns"),
        ("epoch,seconds\n0,inf\n", "seconds: inf is no time"),
    ],
)
def test_a_history_that_is_damaged_names_the_line(tmp_path, text, fault):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(RunError, match=fault):
        read_history(tmp_path)


def test_a_record_of_another_competition_than_its_recipe_is_of_two_runs(run):
    result = RESULT | {
        "members": [{"file": "x", "epoch": 0, "fold": 0, "weight": 1.0}],
        "views": [],
        "pictures": {"channels": 3, "depth": "uint8", "tiling": None},
        "postprocess": {"name": "x", "settings": {}},
    }
    folders.write_json(run / folders.RESULT, result)
    record.check_run(run)
    (run / folders.RECIPE).write_text('competition = "other"\n')
    with pytest.raises(RunError, match=r"manifest\.json: says competition toy, recipe\.toml beside it says other"):
        record.check_run(run)
    (run / folders.RECIPE).write_text('competition = "toy"\n')
    folders.write_json(run / folders.MANIFEST, MANIFEST | {"recipe": {"competition": "other"}})
    with pytest.raises(RunError, match="the files are of two runs"):
        record.check_run(run)
