"""Files are there whole or not at all, whatever happens while they are written."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from kagglekit.files import remove_unfinished, write_bytes, write_text, write_with


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


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    names = []
    write_with(tmp_path / "deep" / "file", lambda temporary: names.append(temporary.name))
    (litter := tmp_path / "deep" / names[0]).touch()  # what is left when the process dies at this point
    kept = [tmp_path / "deep" / "file", tmp_path / "a.part", tmp_path / ".hidden"]
    for path in kept[1:]:
        path.touch()
    remove_unfinished(tmp_path)
    assert not litter.exists() and all(path.exists() for path in kept)
