"""Stores that several people share: nobody's run is lost, nothing is written elsewhere, no secret is shown."""

import errno
import json
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import files
from kagglekit.cli import kk
from kagglekit.errors import RunError, UsageError
from kagglekit.files import unfinished
from kagglekit.publish.export import to_mlflow, to_tensorboard
from kagglekit.publish.export.records import chosen, record_of, records_of
from kagglekit.runs import folder as folders
from kagglekit.types import untracked
from tests.helpers import kk as kk_process
from tests.test_export import HISTORY, ran, read_back, trial

LATER = "2026-01-03T03:04:05Z"
ELSEWHERE = ["../../../x", "/x", "..", ".", "", ".hidden", "a/b", "a\\b", "c:x", "a\nb", None, 5, ["toy"]]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty runs folder."""
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "runs"


def two_people(tmp_path) -> list[Path]:
    """The same experiment, computed by two people."""
    return [ran(tmp_path / who, started=when) for who, when in (("ada", "2026-01-02T03:04:05Z"), ("bob", LATER))]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_record_whose_competition_is_no_plain_name_is_exported_nowhere(home, tmp_path, name):
    folder = ran(home)
    folders.write_json(folder / "manifest.json", folders.read_json(folder / "manifest.json") | {"competition": name})
    precious = tmp_path / "x" / ("a" * 12)
    precious.mkdir(parents=True)
    (precious / "kagglekit.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    records, faults = records_of([folder], strict=False)
    assert records == [] and "is no plain name" in faults[0]
    with pytest.raises(RunError, match="is no plain name"):
        CliRunner().invoke(kk, ["export", str(folder), "--to", "tensorboard"], catch_exceptions=False)
    assert sorted(tmp_path.rglob("*")) == before


@given(st.text())
def test_a_name_that_is_taken_stays_one_component_of_a_path(name):
    try:
        taken = folders.competition_of({"competition": name})
    except RunError:
        return
    place = Path("/out") / taken / "run"
    assert place.parts == ("/", "out", taken, "run") and Path(os.path.normpath(place)) == place


def test_unpacked_bundles_are_not_exported_as_ones_own_runs(home):
    ran(home), trial(home, "b" * 12)
    theirs = ran(home, "c" * 12)
    (home / "bundles").mkdir()
    theirs.rename(home / "bundles" / theirs.name)
    assert sorted(path.name for path in chosen(None, True)) == ["a" * 12, "b" * 12]
    assert [path.name for path in chosen("ccc", False)] == ["c" * 12], "who names one means it"


def test_the_run_of_the_working_folder_has_its_name(home, monkeypatch):
    folder = ran(home)
    monkeypatch.chdir(folder)
    [path] = chosen(".", False)
    assert path == folder and record_of(path).name == f"toy/{'a' * 12}"


def test_data_that_were_drawn_are_tagged_so_even_where_a_run_did_not_note_it(home):
    assert record_of(ran(home, drawn=False, data="/s/toy-240-seed0")).tags["drawn_data"] == "true"
    assert record_of(ran(home, "b" * 12, drawn=False, data="/s/mine")).tags["drawn_data"] == "false"


def test_the_key_tells_computations_apart_and_stays_when_a_run_gets_more(home, tmp_path):
    ada, bob = two_people(tmp_path)
    assert record_of(ada).name == record_of(bob).name and record_of(ada).key != record_of(bob).key
    before = record_of(ada)
    (ada / "history.csv").write_text(HISTORY.replace("0.75", "0.76"))
    assert record_of(ada).key == before.key and record_of(ada).digest != before.digest


@pytest.mark.slow
def test_logs_of_two_people_stand_side_by_side_and_each_is_there_once(home, tmp_path):
    pytest.importorskip("tensorboard")
    ada, bob = two_people(tmp_path)
    out = tmp_path / "logs"
    for _ in range(2):
        written = [to_tensorboard.export([record_of(one)], out, untracked) for one in (ada, bob)]
    assert written == [0, 0]
    (bob / "history.csv").write_text(HISTORY.replace("0.75", "0.76"))
    assert to_tensorboard.export([record_of(bob)], out, untracked) == 1
    marks = {path.parent.name: json.loads(path.read_text())["key"] for path in out.rglob("kagglekit.json")}
    assert marks == {"a" * 12: record_of(ada).key, f"{'a' * 12}.{record_of(bob).key}": record_of(bob).key}
    values = [read_back(out / "toy" / name).Scalars("valid_score")[1].value for name in sorted(marks)]
    assert values == [pytest.approx(0.75), pytest.approx(0.76)]


@pytest.mark.slow
def test_what_is_being_written_lies_outside_the_logs_and_two_exports_at_once_both_end(home, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    out, seen, fill = tmp_path / "logs", [], to_tensorboard._fill

    def watched(writer, record, folder):
        seen.append(folder)
        fill(writer, record, folder)

    monkeypatch.setattr(to_tensorboard, "_fill", watched)
    record = record_of(ran(home))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: to_tensorboard.export([record], out, untracked), range(4)))
    assert len(set(seen)) == len(seen) > 0 and not any(path.is_relative_to(out) for path in seen)
    assert read_back(out / record.name).Scalars("train_loss") and not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_log_that_came_while_another_persons_was_written_stays(home, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    ada, bob = two_people(tmp_path)
    out, fill = tmp_path / "logs", to_tensorboard._fill

    def meanwhile(writer, record, folder):
        fill(writer, record, folder)
        monkeypatch.setattr(to_tensorboard, "_fill", fill)
        to_tensorboard.export([record_of(bob)], out, untracked)

    monkeypatch.setattr(to_tensorboard, "_fill", meanwhile)
    to_tensorboard.export([record_of(ada)], out, untracked)
    keys = [json.loads(path.read_text())["key"] for path in out.rglob("kagglekit.json")]
    assert sorted(keys) == sorted(record_of(one).key for one in (ada, bob))


def test_what_killed_exports_left_is_removed_when_nobody_can_be_at_it_any_more(home, tmp_path):
    pytest.importorskip("tensorboard")
    left, foreign = (tmp_path / f".{name}.part" for name in ("logs.0123abcd", "mine.0123abcd"))
    for folder in (left, foreign):
        folder.mkdir()
    with unfinished(tmp_path / "logs", folder=True) as young:  # of a process that lives
        files._tidied.clear()
        assert to_tensorboard.export([record_of(ran(home))], tmp_path / "logs", untracked) == 1
        assert not left.exists() and young.exists() and foreign.exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "runs") == [".mine.0123abcd.part", "logs"]


def test_a_disk_that_is_full_is_named_and_tensorboard_prints_no_traceback(home, tmp_path, monkeypatch, capfd):
    pytest.importorskip("tensorboard")
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        to_tensorboard.export([record_of(ran(home))], tmp_path / "logs", untracked)
    assert caught.value.filename == str(tmp_path) and "Traceback" not in capfd.readouterr().err
    assert list(tmp_path.rglob("*.part")) == [] and not (tmp_path / "logs" / "toy").exists()


@pytest.mark.slow
@pytest.mark.parametrize("state", ["empty", "some tables", "half way", "another's"])
def test_a_database_that_mlflow_did_not_end_making_is_made_anew(home, tmp_path, state):
    pytest.importorskip("mlflow")
    store = tmp_path / f"{state}.db"  # MLflow keeps what it opened by name
    uri = to_mlflow.store_of(str(store))
    if state in ("some tables", "half way"):
        made = tmp_path / f"made of {state}.db"
        to_mlflow.export([], to_mlflow.store_of(str(made)), untracked)
        shutil.copy(made, store)
        with sqlite3.connect(store) as connection:
            if state == "some tables":
                connection.execute("drop table alembic_version")
            else:  # in the middle of its steps: the number of an early one, the tables of the last
                connection.execute("update alembic_version set version_num = '451aebb31d03'")
        connection.close()
    elif state == "empty":
        store.touch()
    else:
        with sqlite3.connect(store) as connection:
            connection.execute("create table mine (a)")
        connection.close()
    record = record_of(ran(home))
    assert [to_mlflow.export([record], uri, untracked) for _ in range(2)] == [1, 0]
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name or "journal" in p.name] == []
    if state == "another's":
        with sqlite3.connect(store) as connection:
            assert connection.execute("select count(*) from mine").fetchone() == (0,)
        connection.close()


def test_logs_are_begun_within_their_folder_where_nothing_can_be_written_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(to_tensorboard.os, "access", lambda path, mode: False)
    assert to_tensorboard._workplace(tmp_path / "logs") == tmp_path / "logs"


@pytest.mark.parametrize("mark", ["[]", "{", None])
def test_a_folder_with_a_damaged_mark_is_not_overwritten(home, tmp_path, mark):
    pytest.importorskip("tensorboard")
    folder = tmp_path / "logs/toy" / ("a" * 12)
    folder.mkdir(parents=True)
    if mark:
        (folder / "kagglekit.json").write_text(mark)
    with pytest.raises(UsageError, match="was not written by kk export"):
        to_tensorboard.export([record_of(ran(home))], tmp_path / "logs", untracked)
    assert folder.is_dir()


@pytest.mark.slow
def test_mlflow_keeps_the_runs_of_two_people_and_drops_what_a_cut_replacement_left(home, tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow-skinny is not installed")
    store = to_mlflow.store_of(str(tmp_path / "shared"))
    assert not (tmp_path / "shared").exists(), "naming a store makes no folder"
    ada, bob = two_people(tmp_path)
    assert [to_mlflow.export([record_of(one)], store, untracked) for one in (ada, bob, ada, bob)] == [1, 1, 0, 0]
    client = tracking.MlflowClient(tracking_uri=store)

    def runs():
        found = client.search_runs([client.get_experiment_by_name("kagglekit/toy").experiment_id])
        return sorted((one.data.tags["kagglekit.key"], one.data.tags.get("kagglekit.digest", "")) for one in found)

    def wanted():
        return sorted((record_of(one).key, record_of(one).digest) for one in (ada, bob))

    assert runs() == wanted()
    (ada / "history.csv").write_text(HISTORY.replace("0.75", "0.76"))

    with monkeypatch.context() as patched:
        patched.setattr(tracking.MlflowClient, "delete_run", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            to_mlflow.export([record_of(ada)], store, untracked)
    assert len(runs()) == 3, "whole, and the older one not yet deleted"
    assert to_mlflow.export([record_of(ada)], store, untracked) == 0 and runs() == wanted()


@pytest.mark.slow
def test_two_exports_at_once_into_a_database_that_is_not_there_yet_both_end_and_write_each_run_once(home, tmp_path):
    pytest.importorskip("mlflow.tracking", reason="mlflow-skinny is not installed")
    ran(home)
    words = ["export", "--all", "--to", "mlflow", "-o", str(tmp_path / "new"), "--json"]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: kk_process(tmp_path, *words), range(2)))
    assert [one.returncode for one in both] == [0, 0], [one.stderr for one in both]
    assert sorted(json.loads(one.stdout)["written"] for one in both) == [0, 1]


ADDRESSES = {
    "https://ada:s3cret@example.org/x": "https://***@example.org/x",
    "postgresql://ada:s3c/r@et@db.example.org/mlflow": "postgresql://***@db.example.org/mlflow",
    "mysql://db/m?user=ada&password=s3cret&x=1": "mysql://db/m?user=ada&password=***&x=1",
    "https://example.org:5000": "https://example.org:5000",
    "sqlite:////home/a@b/mlflow.db": "sqlite:////home/a@b/mlflow.db",
    "databricks://profile": "databricks://profile",
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_an_address_is_shown_without_its_secrets(uri):
    assert to_mlflow.shown(uri) == ADDRESSES[uri]
    assert to_mlflow.shown(f"cannot reach {uri}") == f"cannot reach {ADDRESSES[uri]}"


def test_the_hint_names_a_server_itself_and_the_command_for_a_database():
    assert to_mlflow.command_to_open("http://example.org") == "http://example.org"
    assert to_mlflow.command_to_open("sqlite:////x/mlflow.db").startswith(
        "mlflow ui --backend-store-uri sqlite:////x/mlflow.db"
    )


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_verb_shows_no_password_whether_it_works_or_fails(home, monkeypatch, words):
    ran(home)
    uri = "https://ada:s3cret@example.org"
    command = ["export", "aaa", "--to", "mlflow", "-o", uri, *words]
    with monkeypatch.context() as patched:
        patched.setattr(to_mlflow, "export", lambda records, uri, track: len(records))
        done = CliRunner().invoke(kk, command, catch_exceptions=False)
    assert "https://***@example.org" in done.stdout and "s3cret" not in done.output
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow-skinny is not installed")

    def refuse(tracking_uri):
        raise ValueError(f"cannot reach {tracking_uri}")

    monkeypatch.setattr(tracking, "MlflowClient", refuse)
    with pytest.raises(RunError, match=r"https://\*\*\*@example\.org") as failed:
        CliRunner().invoke(kk, command, catch_exceptions=False)
    assert "s3cret" not in str(failed.value)
