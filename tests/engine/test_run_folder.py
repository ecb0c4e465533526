"""Run folders: their names, who holds them, what state they are in, how they are found."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kagglekit import DataError, RunError, hookimpl, progress
from kagglekit.errors import UsageError
from kagglekit.pipeline.sample_data import is_drawn, sample_folder, was_drawn
from kagglekit.runs import folder as folders
from kagglekit.runs.record import Manifest
from tests.helpers import ROOT, environment, run_folder, toy

HOLD = """
import sys, time
from pathlib import Path
from kagglekit.runs.folder import held

with held(Path(sys.argv[1]), lambda text: print("said", text, flush=True)):
    print("holds", flush=True)
    if len(sys.argv) > 2:
        sys.stdin.read()
print("left", flush=True)
"""


def holder(base: Path, *arguments: str) -> subprocess.Popen:
    """A process that holds the experiment of `base`; with a further argument until its stdin is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(base), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(base.parent),
    )


@pytest.fixture
def base(tmp_path) -> Path:
    """The folder of an experiment that does not exist yet."""
    return tmp_path / "runs" / "toy" / "abcdef123456"


def test_runs_and_cache_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "r"))
    monkeypatch.setenv("KAGGLEKIT_CACHE", str(tmp_path / "c"))
    assert (folders.home(), folders.cache()) == (tmp_path / "r", tmp_path / "c")
    monkeypatch.delenv("KAGGLEKIT_RUNS")
    monkeypatch.delenv("KAGGLEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (folders.home(), folders.cache()) == (Path("runs"), tmp_path / "kagglekit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folders.cache() == Path.home() / ".cache" / "kagglekit"


def test_repeats_are_numbered_from_two(base):
    assert folders.repeats(base) == [] and folders.next_repeat(base) == base
    expected = []
    for number in range(1, 13):
        path = folders.next_repeat(base)
        assert path.name == (base.name if number == 1 else f"{base.name}-{number}")
        path.mkdir(parents=True)
        expected.append(path)
        assert folders.repeats(base) == expected


@pytest.mark.parametrize("deleted", [1, 2, 3])
def test_a_deleted_repeat_never_makes_a_new_one_meet_an_old_one(base, deleted):
    paths = [base, base.with_name(f"{base.name}-2"), base.with_name(f"{base.name}-3")]
    for path in paths:
        path.mkdir(parents=True)
    paths.pop(deleted - 1).rmdir()
    assert folders.repeats(base) == paths
    assert not folders.next_repeat(base).exists()


def test_other_experiments_and_stray_folders_are_no_repeats(base):
    for name in (base.name, f"{base.name}-x", f"{base.name}7", f"x{base.name}-2"):
        base.with_name(name).mkdir(parents=True)
    assert folders.repeats(base) == [base]


def test_a_run_is_done_once_its_result_is_there(base):
    folder = run_folder(base.parent.parent, base.name, done=False)
    assert not folders.is_done(folder)
    folders.write_json(folder / folders.RESULT, {"x": 1})
    assert folders.is_done(folder) and folders.read_json(folder / folders.RESULT) == {"x": 1}


def test_a_missing_or_damaged_json_file_is_a_run_error_with_its_place(tmp_path):
    with pytest.raises(RunError, match=r"has no result\.json; it is not a run, or it never started"):
        folders.read_json(tmp_path / "result.json")
    (tmp_path / "result.json").write_text('{"a": ')
    with pytest.raises(RunError, match=r"result\.json: damaged: .*line 1 column 7"):
        folders.read_json(tmp_path / "result.json")


def test_a_number_that_json_does_not_have_is_never_written(tmp_path):
    with pytest.raises(ValueError):
        folders.write_json(tmp_path / "result.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_waits_for_the_first_and_says_for_whom(base):
    first = holder(base, "until told")
    assert first.stdout.readline() == "holds\n"
    assert folders.is_running(base)
    second = holder(base)
    said = second.stdout.readline()
    assert said.startswith(f"said process {first.pid} on ") and "waiting for its result" in said
    time.sleep(0.2)
    assert second.poll() is None
    first.communicate("")
    assert second.communicate(timeout=30)[0] == "holds\nleft\n"
    assert not folders.is_running(base)


def test_a_dead_process_holds_nothing(base):
    first = holder(base, "until killed")
    assert first.stdout.readline() == "holds\n"
    first.kill()
    first.wait()
    assert (base.parent / f".{base.name}.holder").exists()  # its note is still there
    assert not folders.is_running(base)
    assert holder(base).communicate(timeout=30)[0] == "holds\nleft\n"


def test_an_experiment_and_its_repeats_share_one_lock_and_others_have_their_own(base):
    with folders.held(base, pytest.fail):
        assert folders.is_running(base) and folders.is_running(base.with_name(base.name + "-2"))
        assert not folders.is_running(base.with_name("0123456789ab"))
    assert not folders.is_running(base)


def test_an_experiment_is_let_go_after_an_error_and_its_note_is_gone(base):
    with pytest.raises(ZeroDivisionError), folders.held(base, pytest.fail):
        note = base.parent / f".{base.name}.holder"
        assert note.read_text().startswith(f"process {os.getpid()} on ")
        _ = 1 / 0
    assert not note.exists() and not folders.is_running(base)


@pytest.fixture
def three(tmp_path) -> Path:
    """A runs folder with three runs, two of one experiment."""
    for name, competition in (("abc111", "toy"), ("abc111-2", "toy"), ("abd222", "other")):
        run_folder(tmp_path / "runs", name, competition)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("abd222", "other/abd222"),
        ("abd", "other/abd222"),
        ("other/abd222", "other/abd222"),
        ("other/ab", "other/abd222"),
        ("abc111", "toy/abc111"),
        ("toy/abc111", "toy/abc111"),
        ("abc111-", "toy/abc111-2"),
    ],
)
def test_a_run_is_found_by_its_id_or_the_beginning_of_it(three, name, found):
    assert folders.find(name, three) == three / found


def test_a_run_is_found_by_its_path(three, monkeypatch):
    assert folders.find(str(three / "toy" / "abc111"), Path("nowhere")) == three / "toy" / "abc111"
    monkeypatch.chdir(three / "toy")
    assert folders.find("abc111-2", Path("nowhere")) == three / "toy" / "abc111-2"
    monkeypatch.chdir(three / "toy" / "abc111")
    for name in (".", "../abc111"):
        assert folders.find(name, Path("nowhere")) == three / "toy" / "abc111", "a run has a name wherever one stands"


def test_the_beginning_of_several_runs_names_them_all(three):
    with pytest.raises(UsageError, match="ab is the beginning of several runs: abc111, abc111-2, abd222; give more"):
        folders.find("ab", three)


def test_an_unknown_run_is_answered_with_a_near_one(three):
    with pytest.raises(UsageError, match=r"no run is named abd223 below .*; did you mean abd222\?"):
        folders.find("abd223", three)


@pytest.mark.parametrize("exists", [True, False])
def test_where_there_are_no_runs_that_is_said(tmp_path, exists):
    if exists:
        (tmp_path / "runs").mkdir()
    with pytest.raises(UsageError, match=r"no run is named abc below .*runs; there are none yet"):
        folders.find("abc", tmp_path / "runs")


def test_a_folder_without_a_manifest_is_no_run(three):
    (three / "toy" / "fff").mkdir()
    with pytest.raises(UsageError, match="no run is named fff"):
        folders.find("fff", three)


def test_json_is_written_in_a_form_that_people_can_read(tmp_path):
    folders.write_json(tmp_path / "x.json", {"b": 1, "a": [1]})
    text = (tmp_path / "x.json").read_text()
    assert text.endswith("\n") and text.count("\n") > 3 and list(json.loads(text)) == ["b", "a"]


def drawing(calls: list, fail: bool = False):
    """The toy competition, which notes each drawing of sample data in `calls`."""

    @hookimpl
    def kk_sample(root, count, seed):
        calls.append((root.name, count, seed))
        if fail:
            raise DataError("no pencil")
        root.mkdir()
        return root

    return toy(kk_sample=kk_sample)


def test_sample_data_are_drawn_once_and_kept_by_count_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KAGGLEKIT_SAMPLES", str(tmp_path))
    calls: list = []
    with progress.console(progress.Console()):
        first = sample_folder(drawing(calls), 8, 0)
        assert first == tmp_path / "toy-8-seed0" and sample_folder(drawing(calls), 8, 0) == first
        assert sample_folder(drawing(calls), 8, 1) != first != sample_folder(drawing(calls), 9, 0)
    assert calls == [("toy-8-seed0", 8, 0), ("toy-8-seed1", 8, 1), ("toy-9-seed0", 9, 0)]
    assert capsys.readouterr().err.count("no --data given: drawing ") == 3


def test_sample_data_of_an_older_version_get_the_mark_that_they_lack(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_SAMPLES", str(tmp_path))
    calls: list = []
    root = sample_folder(drawing(calls), 8, 0)
    written = (root / ".drawn").read_bytes()
    (root / ".drawn").unlink()
    assert not is_drawn(root)
    assert sample_folder(drawing(calls), 8, 0) == root and len(calls) == 1
    assert is_drawn(root) and (root / ".drawn").read_bytes() == written


def test_sample_data_that_cannot_be_marked_are_used_all_the_same(tmp_path, monkeypatch):
    def refuse(path, text):
        raise PermissionError(path)

    monkeypatch.setenv("KAGGLEKIT_SAMPLES", str(tmp_path))
    root = sample_folder(drawing([]), 8, 0)
    (root / ".drawn").unlink()
    monkeypatch.setattr("kagglekit.pipeline.sample_data.write_text", refuse)
    assert sample_folder(drawing([]), 8, 0) == root


@pytest.mark.parametrize(
    ("manifest", "drawn"),
    [
        ({"drawn": True, "data": "/d/mine"}, True),
        ({"drawn": False, "data": "/d/mine"}, False),
        ({"drawn": False, "data": "/s/toy-240-seed0"}, True),
        ({"data": "/s/toy-240-seed0"}, True),
        ({"data": "/s/toy-240-seed0x"}, False),
        ({}, False),
    ],
)
def test_a_run_was_made_of_drawn_data_if_it_noted_so_or_the_folder_is_named_so(manifest, drawn):
    assert was_drawn(Manifest(competition="toy", identity="0", started="", **manifest)) is drawn


def test_sample_data_lie_beside_the_runs_where_nothing_else_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLEKIT_SAMPLES")
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    assert sample_folder(drawing([]), 8, 0) == tmp_path / "samples" / "toy-8-seed0"


def test_sample_data_that_could_not_be_drawn_are_drawn_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_SAMPLES", str(tmp_path))
    calls: list = []
    with pytest.raises(DataError, match="no pencil"):
        sample_folder(drawing(calls, fail=True), 8, 0)
    assert sample_folder(drawing(calls), 8, 0).is_dir() and len(calls) == 2
