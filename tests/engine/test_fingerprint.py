"""The identity of data: what the files hold and what they are called, nothing else."""

import json
import os
import shutil

import pytest

from kagglekit.data import fingerprint as module
from kagglekit.data.fingerprint import fingerprint, hash_file
from kagglekit.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Five files in two folders."""
    base = tmp_path / "data"
    for i in range(5):
        path = base / f"part{i % 2}" / f"{i}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([i]) * (1000 + i))
    return base


def files(root):
    return sorted(p for p in root.rglob("*") if p.is_file())


def test_times_do_not_count(root):
    before = fingerprint(root, files(root))
    for path in files(root):
        os.utime(path, (1, 1))
    assert fingerprint(root, files(root)) == before


def test_a_moved_folder_is_the_same_data(root, tmp_path):
    before = fingerprint(root, files(root))
    moved = tmp_path / "elsewhere" / "deep"
    shutil.copytree(root, moved)
    assert fingerprint(moved, files(moved)) == before


def test_the_order_and_repetition_of_files_do_not_count(root):
    listed = files(root)
    assert fingerprint(root, listed[::-1]) == fingerprint(root, listed) == fingerprint(root, listed + listed[:2])


def test_one_changed_byte_changes_it(root):
    seen = {fingerprint(root, files(root))}
    for path in files(root):
        data = bytearray(path.read_bytes())
        data[500] ^= 1
        path.write_bytes(data)
        seen.add(fingerprint(root, files(root)))
    assert len(seen) == 1 + 5


def test_a_new_name_changes_it_and_the_old_name_restores_it(root):
    before = fingerprint(root, files(root))
    path = files(root)[0]
    renamed = path.rename(path.with_name("other.bin"))
    assert fingerprint(root, files(root)) != before
    renamed.rename(path)
    assert fingerprint(root, files(root)) == before


def test_two_files_that_swap_their_contents_change_it(root):
    before = fingerprint(root, files(root))
    a, b = files(root)[:2]
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    assert fingerprint(root, files(root)) != before


def test_a_file_more_or_less_changes_it(root):
    listed = files(root)
    assert fingerprint(root, listed) != fingerprint(root, listed[:-1])
    assert fingerprint(root, []) != fingerprint(root, listed)


def test_files_that_were_seen_before_are_not_read_again(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    read = []
    monkeypatch.setattr(module, "hash_file", lambda path: read.append(path) or hash_file(path))
    first = fingerprint(root, files(root), cache)
    assert len(read) == 5
    assert fingerprint(root, files(root), cache) == first
    assert len(read) == 5


def test_a_changed_file_is_read_again_although_it_is_known(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    before = fingerprint(root, files(root), cache)
    path = files(root)[2]
    path.write_bytes(b"x" * path.stat().st_size)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    read = []
    monkeypatch.setattr(module, "hash_file", lambda path: read.append(path) or hash_file(path))
    after = fingerprint(root, files(root), cache)
    assert read == [path]
    assert after != before
    assert after == fingerprint(root, files(root))


def test_a_file_that_became_longer_at_the_same_time_is_read_again(root, tmp_path):
    cache = tmp_path / "cache"
    before = fingerprint(root, files(root), cache)
    path = files(root)[0]
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b"!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint(root, files(root), cache) not in (before,)
    assert fingerprint(root, files(root), cache) == fingerprint(root, files(root))


@pytest.mark.parametrize(
    "garbage", ["", "{", "not json", "{}", "[]", "5", "null", '{"a": 5}', '{"a": [1, 2]}', "[" * 3000, "\x00"]
)
def test_a_damaged_cache_costs_time_and_nothing_else(root, tmp_path, garbage):
    cache = tmp_path / "cache"
    first = fingerprint(root, files(root), cache)
    (memory,) = cache.glob("hashes-*.json")
    memory.write_text(garbage)
    assert fingerprint(root, files(root), cache) == first
    assert len(json.loads(memory.read_text())) == 5


def test_a_cache_whose_hashes_somebody_changed_to_no_hashes_is_made_anew(root, tmp_path):
    cache = tmp_path / "cache"
    first = fingerprint(root, files(root), cache)
    (memory,) = cache.glob("hashes-*.json")
    memory.write_text(json.dumps({name: [*row[:2], "short"] for name, row in json.loads(memory.read_text()).items()}))
    assert fingerprint(root, files(root), cache) == first


def test_names_that_are_no_utf_8_are_part_of_the_fingerprint(tmp_path):
    odd, other = (os.fsdecode(name) for name in (b"\xbb\xe7.jpg", b"\xbb\xe8.jpg"))
    marks = []
    for name in (odd, other):
        root = tmp_path / name  # the folder may have such a name too
        root.mkdir()
        (root / name).write_bytes(b"x")
        marks.append(fingerprint(root, [root / name], tmp_path / "cache"))
    assert marks[0] != marks[1] and len(set(map(len, marks))) == 1


def test_two_folders_do_not_share_a_memory(root, tmp_path):
    cache = tmp_path / "cache"
    other = tmp_path / "other"
    shutil.copytree(root, other)
    assert fingerprint(root, files(root), cache) == fingerprint(other, files(other), cache)
    assert len(list(cache.glob("hashes-*.json"))) == 2


def test_a_file_that_cannot_be_read_is_named(root):
    gone = root / "gone.bin"
    with pytest.raises(DataError, match=r"gone\.bin: cannot be read: No such file"):
        fingerprint(root, [*files(root), gone])
    with pytest.raises(DataError, match=r"part0: cannot be read: Is a directory"):
        fingerprint(root, [root / "part0"])


def test_large_files_are_hashed_in_pieces_to_the_same_end(tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(100_000))
    whole = hash_file(path)
    monkeypatch.setattr(module, "CHUNK", 777)
    assert hash_file(path) == whole
    assert len(whole) == 32


def test_progress_is_reported_per_file(root):
    seen = []

    def track(items, total, description):
        for item in items:
            seen.append((total, description))
            yield item

    fingerprint(root, files(root), track=track)
    assert seen == [(5, "hashing the data")] * 5
