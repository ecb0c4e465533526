"""The ledger: an index that never says anything but what the run folders say, and is made anew when it is damaged."""

import json
import sqlite3
import subprocess
import sys

import pytest

from kagglekit import RunError
from kagglekit.runs import folder as folders
from kagglekit.runs.ledger import COLUMNS, Ledger, describe
from tests.helpers import ROOT, environment, run_folder

RECORD = """
import sys
from pathlib import Path
from kagglekit.runs.ledger import Ledger
from tests.helpers import run_folder

runs, worker, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in range(count):
    Ledger(runs).record(run_folder(runs, f"{worker}{i:03}", started=f"2026-01-{i + 1:02}T00:00:00Z"))
"""


@pytest.fixture
def runs(tmp_path):
    """An empty place for runs."""
    return tmp_path / "runs"


def filled(runs, count: int = 4) -> Ledger:
    """A ledger with this many runs of two competitions, the last of them unfinished."""
    ledger = Ledger(runs)
    for i in range(count):
        competition = ("toy", "other")[i % 2]
        started = f"2026-02-{i + 1:02}T00:00:00Z"
        ledger.record(run_folder(runs, f"run{i}", competition, i < count - 1, 0.1 * i, started=started))
    return ledger


def test_where_nothing_was_run_there_is_nothing_and_nothing_is_made(runs):
    assert Ledger(runs).rows() == [] and not runs.exists()


def test_a_run_is_listed_as_its_files_describe_it(runs):
    folder = run_folder(runs, "abc-2", value=0.25)
    Ledger(runs).record(folder)
    [row] = Ledger(runs).rows()
    assert row == {
        "run": "toy/abc-2",
        "competition": "toy",
        "identity": "abc",
        "fidelity": "demo",
        "status": "done",
        "score": 0.25,
        "low": 0.4,
        "high": 0.6,
        "metric": "mean IoU",
        "test_score": None,
        "seconds": 60.0,
        "started": "2026-01-02T03:04:05Z",
        "path": "toy/abc-2",
    }
    assert tuple(row) == COLUMNS and describe(folder) == row


def test_the_newest_run_comes_first_and_a_competition_can_be_chosen(runs):
    ledger = filled(runs)
    assert [r["run"] for r in ledger.rows()] == ["other/run3", "toy/run2", "other/run1", "toy/run0"]
    assert [r["run"] for r in ledger.rows("toy")] == ["toy/run2", "toy/run0"]
    assert ledger.rows("nobody") == []


def test_every_name_that_is_listed_finds_its_run(runs):
    rows = filled(runs).rows()
    assert [folders.find(row["run"], runs) for row in rows] == [runs / row["path"] for row in rows] and len(rows) == 4


def test_a_run_that_ends_replaces_its_row(runs):
    ledger = filled(runs, 1)
    assert [r["status"] for r in ledger.rows()] == ["interrupted"]
    (runs / "toy" / "run0" / "result.json").write_text((run_folder(runs, "x") / "result.json").read_text())
    ledger.record(runs / "toy" / "run0")
    assert [(r["run"], r["status"]) for r in ledger.rows()] == [("toy/run0", "done")]


def test_a_run_that_is_held_is_running_and_one_that_nobody_holds_was_interrupted(runs):
    ledger = filled(runs)
    with folders.held(runs / "other" / "run3", pytest.fail):
        assert [r["status"] for r in ledger.rows()] == ["running", "done", "done", "done"]
    assert [r["status"] for r in ledger.rows()] == ["interrupted", "done", "done", "done"]


def test_a_rebuilt_ledger_equals_the_one_that_grew(runs):
    ledger = filled(runs, 7)
    grown = ledger.rows()
    assert ledger.rebuild() == 7
    assert ledger.rows() == grown and len(grown) == 7
    ledger.path.unlink()
    assert Ledger(runs).rows() == grown


def test_a_deleted_run_is_no_longer_listed(runs):
    ledger = filled(runs)
    for path in (runs / "toy" / "run0").iterdir():
        path.unlink()
    (runs / "toy" / "run0").rmdir()
    assert "toy/run0" not in [r["run"] for r in ledger.rows()]
    assert ledger.rebuild() == 3


DAMAGE = {
    "garbage": lambda path: path.write_bytes(b"not a database at all" * 200),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "page overwritten": lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096),
    "other columns": lambda path: (
        path.unlink(),
        sqlite3.connect(path).execute("create table runs (run primary key, score)").connection.close(),
    ),
    "empty": lambda path: path.write_bytes(b""),
    "no table": lambda path: sqlite3.connect(path).executescript("drop table runs").connection.close(),
    "no column but one": lambda path: (
        sqlite3.connect(path).executescript("drop table runs; create table runs (run)").connection.close()
    ),
    "another database": lambda path: (
        path.unlink(),
        sqlite3.connect(path).executescript("create table other (a)").connection.close(),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_ledger_is_made_anew_when_it_is_written(runs, damage):
    ledger = filled(runs)
    expected = ledger.rows()
    DAMAGE[damage](ledger.path)
    ledger.record(run_folder(runs, "new", started="2027"))
    rows = ledger.rows()
    assert rows[0]["run"] == "toy/new"
    assert rows[1:] == expected


def test_a_ledger_whose_rows_somebody_deleted_is_made_anew_when_it_is_read(runs):
    ledger = filled(runs)
    expected = ledger.rows()
    sqlite3.connect(ledger.path, isolation_level=None).execute("delete from runs").connection.close()
    assert ledger.rows() == expected and len(expected) == 4


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_ledger_is_made_anew_when_it_is_read(runs, damage):
    ledger = filled(runs)
    expected = ledger.rows()
    DAMAGE[damage](ledger.path)
    assert ledger.rows() == expected and len(expected) == 4


@pytest.mark.parametrize("content", ['{"competition": ', "{}", "[]", '{"competition": "toy"}'])
@pytest.mark.parametrize("name", ["manifest.json", "result.json"])
def test_a_run_with_damaged_files_is_passed_over_and_the_others_are_listed(runs, name, content):
    ledger = filled(runs)
    (runs / "toy" / "run0" / name).write_text(content)
    assert ledger.rebuild() == 3
    assert len(ledger.rows()) == 3


@pytest.mark.parametrize("seconds", ["null", "[1]", '"x"'])
def test_a_damaged_trial_is_passed_over_when_the_ledger_is_made_anew(runs, seconds):
    filled(runs)
    trial = run_folder(runs, "odd", done=False)
    score = '{"value": 0.5, "low": 0.4, "high": 0.6}'
    (trial / "validated.json").write_text(f'{{"validation": {score}, "metric": "m", "seconds": {seconds}}}')
    assert Ledger(runs).rebuild() == 4


def test_paths_are_those_of_the_states_asked_for_without_unpacked_bundles_of_others(runs):
    for name, when, more in (("a", 1, {}), ("b", 2, {}), ("c", 3, {"done": False})):
        run_folder(runs, name, started=f"2026-01-0{when}T00:00:00Z", **more)
    run_folder(runs, "d", "bundles")
    ledger = Ledger(runs)
    assert ledger.rebuild() == 3
    assert ledger.paths("done") == [runs / "toy/b", runs / "toy/a"]
    assert ledger.paths("interrupted") == [runs / "toy/c"] and ledger.paths() == []


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR | 10 << 8]
)
def test_a_ledger_that_is_locked_or_on_a_full_disk_is_an_error_and_not_thrown_away(runs, monkeypatch, code):
    ledger = filled(runs)
    before = ledger.path.read_bytes()

    def fails(connection, rows):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr("kagglekit.runs.ledger._insert", fails)
    with pytest.raises(RunError, match=r"ledger\.db: database or disk is full; check its rights, the free space"):
        ledger.record(runs / "toy" / "run0")
    assert ledger.path.read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "cut off", None])
def test_a_ledger_that_cannot_be_made_anew_is_left_as_it_is_and_the_runs_are_listed_from_their_folders(
    runs, monkeypatch, damage
):
    ledger = filled(runs)
    expected = ledger.rows()
    if damage:
        DAMAGE[damage](ledger.path)
    before = ledger.path.read_bytes()

    def full(connection, rows):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr("kagglekit.runs.ledger._insert", full)
    with pytest.raises(RunError, match="database or disk is full; check its rights, the free space"):
        ledger.rebuild()
    assert ledger.path.read_bytes() == before and ledger.rows() == expected
    assert [p.name for p in runs.iterdir() if p.name.endswith(".part")] == []


def test_runs_are_listed_where_nothing_can_be_written(runs, monkeypatch):
    ledger = filled(runs)
    expected = ledger.rows()

    def refuse(*_, **__):
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    monkeypatch.setattr("kagglekit.runs.ledger.sqlite3.connect", refuse)
    assert ledger.rows() == expected and len(expected) == 4
    ledger.record(runs / "toy" / "run0", needed=False)
    with pytest.raises(RunError, match="attempt to write a readonly database; check its rights"):
        ledger.record(runs / "toy" / "run0")


def test_a_folder_where_the_ledger_should_be_is_an_error_and_no_endless_loop(runs):
    (runs / "ledger.db").mkdir(parents=True)
    with pytest.raises(RunError, match=r"ledger\.db: unable to open database file"):
        Ledger(runs).rows()


def test_processes_that_write_at_once_lose_nothing(runs):
    workers, count = 4, 12
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RECORD, str(runs), f"w{i}x", str(count)], cwd=ROOT, env=environment(runs.parent)
        )
        for i in range(workers)
    ]
    assert [process.wait(60) for process in started] == [0] * workers
    found = Ledger(runs).rows()
    assert len({r["run"] for r in found}) == len(found) == workers * count
    with sqlite3.connect(runs / "ledger.db") as connection:  # the file itself, not a rebuilt one
        assert connection.execute("select count(*) from runs").fetchone() == (workers * count,)
    connection.close()


def test_a_run_without_a_validation_score_is_listed(runs):
    folder = run_folder(runs, "abc")
    result = json.loads((folder / "result.json").read_text()) | {"validation": None, "test": {"value": 0.75}}
    (folder / "result.json").write_text(json.dumps(result))
    assert (describe(folder)["score"], describe(folder)["test_score"]) == (None, 0.75)


def test_readers_of_the_ledger_never_wait_for_a_writer(runs):
    ledger = filled(runs)
    writer = sqlite3.connect(ledger.path)
    assert writer.execute("pragma journal_mode").fetchone() == ("wal",)
    writer.execute("delete from runs")  # in a transaction that stays open
    assert len(ledger.rows()) == 4
    writer.close()


def test_a_bundle_of_somebody_else_is_no_run_of_ours_before_and_after_a_rebuild(tmp_path):
    ours = run_folder(tmp_path, "a" * 12)
    theirs = run_folder(tmp_path, "b" * 12)
    (tmp_path / "bundles").mkdir()
    theirs.rename(tmp_path / "bundles" / theirs.name)
    ledger = Ledger(tmp_path)
    ledger.record(ours)
    before = ledger.rows()
    assert ledger.rebuild() == 1
    assert ledger.rows() == before and [row["run"] for row in before] == [f"toy/{'a' * 12}"]
