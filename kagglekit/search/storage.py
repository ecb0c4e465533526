"""A second home of a search, in any folder or object store: what a resume on another machine begins from."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import RunError, UsageError

EVERY = 30.0  # seconds between two copies of the record
SEARCH, RESULT, WINNER, PAGE, RECORD = "search.json", "result.json", "winner.toml", "report.html", "trials.db"


@dataclass
class Storage:
    """Copies of the search in `folder` below `url` (a folder, or any URL that fsspec knows, such as s3://bucket/tune)."""

    url: str
    folder: Path
    _pushed: float = field(default=0.0, init=False)
    _files: Any = field(default=None, init=False, repr=False)
    _root: str = field(default="", init=False)

    def __post_init__(self):
        import fsspec

        try:
            self._files, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"--storage {self.url}: {error}") from error
        self._root = f"{root.rstrip('/')}/{self.folder.name}"

    def check(self) -> None:
        """Raise RunError where the storage cannot be written."""
        probe = f"{self._root.rpartition('/')[0]}/.kagglekit-probe"
        try:
            self._files.makedirs(probe.rpartition("/")[0], exist_ok=True)
            with self._files.open(probe, "wb") as file:
                file.write(b"kagglekit")
            self._files.rm(probe)
        except Exception as error:  # every file system has errors of its own
            raise RunError(f"--storage {self.url}: cannot be written: {type(error).__name__}: {error}") from error

    def fetch(self) -> None:
        """Copy the search here if it is there and not here; raises RunError where that fails."""
        try:
            self._files.makedirs(self._root, exist_ok=True)
            if not (self.folder / SEARCH).exists() and self._files.exists(f"{self._root}/{SEARCH}"):
                for name in (SEARCH, RESULT, WINNER, PAGE, RECORD):
                    if self._files.exists(f"{self._root}/{name}"):
                        self._files.get(f"{self._root}/{name}", str(self.folder / name))
        except Exception as error:  # every file system has errors of its own
            raise RunError(f"--storage {self.url}: cannot be used: {type(error).__name__}: {error}") from error

    def push_soon(self, connection: sqlite3.Connection) -> None:
        """Copy the record, at most every half minute; a storage that cannot be reached now does not end a search."""
        if time.monotonic() - self._pushed < EVERY:
            return
        try:
            self.push(connection)
        except Exception as error:  # every file system has errors of its own
            self._pushed = time.monotonic()
            progress.say(f"--storage {self.url}: {type(error).__name__}: {error}; tried again later")

    def push(self, connection: sqlite3.Connection, run: Path | None = None) -> None:
        """Copy the record, whole whenever somebody reads it, what was made of it, and a run folder with its weights."""
        copy = self.folder / ".trials.copy"
        with contextlib.closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
        self._files.put(str(copy), f"{self._root}/{RECORD}.new")
        self._files.mv(f"{self._root}/{RECORD}.new", f"{self._root}/{RECORD}")
        copy.unlink()
        for name in (SEARCH, RESULT, WINNER, PAGE):
            if (self.folder / name).exists():
                self._files.put(str(self.folder / name), f"{self._root}/{name}")
        if run and run.is_dir():
            self._files.put(str(run), f"{self._root}/runs/{run.name}", recursive=True)
        self._pushed = time.monotonic()

    def push_last(self, connection: sqlite3.Connection, run: Path | None) -> None:
        """`push` at the end of a search; raises RunError where it fails, since nobody would try again."""
        try:
            self.push(connection, run)
        except Exception as error:  # every file system has errors of its own
            raise RunError(
                f"--storage {self.url}: the search is done and lies in {self.folder}, but could not be copied: "
                f"{type(error).__name__}: {error}; the same command tries again"
            ) from error
