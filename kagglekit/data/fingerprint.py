"""The identity of data by content: a hash over every file's bytes, so that a moved folder is the same data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kagglekit.errors import DataError
from kagglekit.files import write_text
from kagglekit.types import Track, untracked

CHUNK = 1 << 20
HASH = re.compile("[0-9a-f]{32}")


def fingerprint(root: Path, files: Iterable[Path], cache: Path | None = None, track: Track = untracked) -> str:
    """16 hex digits over the relative names and contents of `files` below `root`; order does not matter.

    `cache` is a folder where hashes are kept by (size, modification time), an accelerator only. Raises DataError.
    """
    return root_of(hash_tree(root, files, cache, track))


def root_of(tree: Mapping[str, str]) -> str:
    """16 hex digits over names and the hashes of their contents."""
    state = hashlib.blake2b(digest_size=8)
    for name, content in sorted(tree.items()):
        state.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))  # names hold any bytes
    return state.hexdigest()


def hash_tree(root: Path, files: Iterable[Path], cache: Path | None = None, track: Track = untracked) -> dict[str, str]:
    """Name below `root` -> hash of the content of each file; arguments as for `fingerprint`."""
    root = Path(root)
    memory = _Memory(cache / f"hashes-{_name(root)}.json" if cache else None)
    files = sorted({Path(f) for f in files})

    def one(path: Path) -> tuple[str, str]:
        try:
            return path.relative_to(root).as_posix(), memory.hash(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
        pairs = list(track(pool.map(one, files, chunksize=64), len(files), "hashing the data"))
    memory.save()
    return dict(pairs)


def hash_file(path: Path) -> str:
    """32 hex digits of a file's bytes (blake2b)."""
    state = hashlib.blake2b(digest_size=16)
    with Path(path).open("rb") as stream:
        while chunk := stream.read(CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _name(root: Path) -> str:
    return hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()


class _Memory:
    """Hashes seen before; a file counts as unchanged while its size and modification time are."""

    def __init__(self, path: Path | None):
        self.path = path
        self.known_hashes: dict[str, list] = {}
        self.dirty = False
        if path and path.exists():
            import msgspec

            try:  # somebody else's, or half of one: it is made anew
                found = msgspec.convert(json.loads(path.read_bytes()), dict[str, tuple[int, int, str]])
                self.known_hashes = {name: list(one) for name, one in found.items() if HASH.fullmatch(one[2])}
            except (OSError, ValueError, RecursionError, msgspec.ValidationError):
                self.known_hashes = {}

    def hash(self, path: Path) -> str:
        stat = path.stat()
        key, stamp = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
        known = self.known_hashes.get(key)
        if known and known[:2] == stamp:
            return known[2]
        content = hash_file(path)
        self.known_hashes[key] = [*stamp, content]
        self.dirty = True
        return content

    def save(self) -> None:
        if self.path and self.dirty:
            write_text(self.path, json.dumps(self.known_hashes))
