"""Files are there whole or not at all, whatever happens while they are written."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import files
from kagglekit.files import (
    from_spreadsheet,
    locked,
    new_folder,
    printable,
    remove_unfinished,
    spreadsheet_safe,
    unfinished,
    write_bytes,
    write_text,
    write_with,
)
from tests.helpers import ROOT


@pytest.fixture
def old(tmp_path) -> Path:
    """A file with old content, alone in its folder."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


def only(path: Path) -> bool:
    """Is `path` the only thing in its folder, hidden files counted?"""
    return list(path.parent.iterdir()) == [path]


def test_a_new_file_replaces_the_old_one_and_leaves_no_litter(old):
    write_text(old, "new ä\n")
    assert old.read_bytes() == "new ä\n".encode() and only(old)


def test_folders_on_the_way_are_made(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c", b"\0\xff")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"\0\xff"


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOSPC, "")])
def test_a_writer_that_fails_half_way_leaves_the_old_file_and_no_litter(old, error):
    def half(temporary):
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)) as caught:
        write_with(old, half)
    assert caught.value is error
    assert old.read_text() == "old" and only(old)


def test_a_writer_that_fails_leaves_nothing_where_nothing_was(tmp_path):
    def fail(temporary):
        raise ValueError

    with pytest.raises(ValueError):
        write_with(tmp_path / "file", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fills_up_late_leaves_the_old_file_and_passes_its_error_on(old, monkeypatch, call):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_text(old, "new")
    assert caught.value.errno == errno.ENOSPC
    assert old.read_text() == "old" and only(old)


def test_the_content_is_on_the_disk_before_the_name_is_given(old, monkeypatch):
    steps = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("flush"), real_fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("rename"), real_replace(self, to))[1])
    write_text(old, "new")
    assert steps == ["flush", "rename"] and old.read_text() == "new"


def test_a_reader_meets_the_old_file_or_the_new_one_and_never_half_of_one(old):
    contents = {b"a" * 100_000, b"b" * 70_000}
    write_bytes(old, b"a" * 100_000)
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(old.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for content in contents:
            write_bytes(old, content)
    stop.set()
    reader.join()
    assert seen and seen <= contents


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_rights_that_an_ordinary_one_would_have(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "x")
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
        assert os.umask(mask) == mask  # reading the mask has not changed it
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_an_error_of_the_disk(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write_text(tmp_path / "file", "x")


def test_a_file_where_a_folder_should_be_is_an_error_of_the_disk(old):
    with pytest.raises(OSError):
        write_text(old / "below", "x")
    assert old.read_text() == "old"


def test_a_full_disk_names_the_file_that_was_to_be_written(old):
    def full(temporary):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*file\.txt") as caught:
        write_with(old, full)
    assert caught.value.filename == str(old) and only(old)


def test_a_name_as_long_as_a_disk_takes_can_be_written(tmp_path):
    for name in ("a" * 255, "가" * 85, "b" * 251 + ".png"):
        write_text(tmp_path / name, "x")
    assert len(list(tmp_path.iterdir())) == 3


KILLED = """
import os, sys
from pathlib import Path
from kagglekit.files import unfinished

with unfinished(Path(sys.argv[1]), folder=len(sys.argv) > 2) as place:
    print(place.name, flush=True)
    sys.stdin.read(1) or os.kill(os.getpid(), 9)
"""


def writer(path: Path, *more: str) -> subprocess.Popen:
    """A process that is at writing a file (or a folder); a byte lets it end, a closed pipe is a kill -9."""
    command = [sys.executable, "-c", KILLED, str(path), *more]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip().endswith(".part")
    return process


def test_what_killed_processes_left_goes_at_the_next_use_and_what_living_ones_write_stays(tmp_path):
    dead, alive = writer(tmp_path / "one.kkbundle"), writer(tmp_path / "two.kkbundle")
    folder = writer(tmp_path / "logs", "folder")
    for process in (dead, folder):
        process.stdin.close()
        assert process.wait() == -9
    assert len(list(tmp_path.glob(".*.part"))) == 3
    write_text(tmp_path / "other.txt", "x")
    left = sorted(p.name for p in tmp_path.glob(".*.part"))
    assert len(left) == 2 and left[0].startswith(".logs.") and left[1].startswith(".two.kkbundle.")
    alive.communicate("x")
    assert alive.returncode == 0 and [p.name[:6] for p in tmp_path.glob(".*.part")] == [".logs."]
    files._tidied.clear()
    with unfinished(tmp_path / "logs", folder=True) as mine:
        assert list(tmp_path.glob(".*.part")) == [mine]
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("사진.jpg", "사진.jpg"),
        (os.fsdecode("사진.jpg".encode("euc-kr")), r"\udcbb\udce7\udcc1\udcf8.jpg"),
        ("\ud800", r"\ud800"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\rb\x00\x9b", r"a\rb\x00\x9b"),
        ("zero\u200bwidth", "zero\u200bwidth"),
    ],
)
def test_every_name_can_be_shown(tmp_path, name, shown):
    assert printable(name) == shown and printable(name).encode()
    write_text(tmp_path / "any", name)
    assert (tmp_path / "any").read_bytes().decode()


@given(st.text(st.sampled_from("'=+-@\t\rab1")))
def test_no_cell_is_a_formula_and_each_comes_back(text):
    safe = spreadsheet_safe(text)
    assert not safe.startswith(tuple("=+-@\t\r")) and from_spreadsheet(safe) == text
    assert safe == text or safe == f"'{text}"


def test_numbers_are_no_formulas():
    assert spreadsheet_safe(-1.5) == -1.5 and spreadsheet_safe("1-2") == "1-2"


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    names = []
    write_with(tmp_path / "deep" / "file", lambda temporary: names.append(temporary.name))
    (litter := tmp_path / "deep" / names[0]).touch()  # what is left when the process dies at this point
    kept = [tmp_path / "deep" / "file", tmp_path / "a.part", tmp_path / ".hidden"]
    for path in kept[1:]:
        path.touch()
    remove_unfinished(tmp_path)
    assert not litter.exists() and all(path.exists() for path in kept)


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(OSError, match="half way"), new_folder(tmp_path / "made") as part:
        (part / "one.txt").write_text("1")
        assert not (tmp_path / "made").exists()
        raise OSError("half way")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "made").mkdir()
    with new_folder(tmp_path / "made") as part:
        (part / "one.txt").write_text("1")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "one.txt"]
    with pytest.raises(FileExistsError, match="exists and is not empty"), new_folder(tmp_path / "made"):
        pass


def test_who_has_to_wait_for_a_lock_is_told_first_and_may_refuse(tmp_path):
    told, inside = [], threading.Event()

    def hold():
        with locked(tmp_path / "lock"):
            inside.set()
            while not told:
                time.sleep(0.01)

    def refuse():
        raise RuntimeError("busy")

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait()
    with pytest.raises(RuntimeError, match="busy"), locked(tmp_path / "lock", refuse):
        pass
    with locked(tmp_path / "lock", lambda: told.append("busy")):
        assert told == ["busy"]
    holder.join()
    with locked(tmp_path / "lock", refuse):
        assert told == ["busy"], "a free lock is nobody's to wait for"
