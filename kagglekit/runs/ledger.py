"""The ledger: an SQLite index over run folders. The folders are the truth; the index can be rebuilt from them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kagglekit.errors import KagglekitError, RunError
from kagglekit.files import write_database
from kagglekit.runs import folder as folders
from kagglekit.runs.reading import pass_over
from kagglekit.runs.record import read_manifest, read_result, read_validated
from kagglekit.runs.record_parts import Score

COLUMNS = (
    "run",
    "competition",
    "identity",
    "fidelity",
    "status",
    "score",
    "low",
    "high",
    "metric",
    "test_score",
    "seconds",
    "started",
    "path",
)


class Column(NamedTuple):
    """A column of the tables of runs: its title, its text of a ledger row, and the number that it is sorted by."""

    title: str
    text: Callable[[Mapping[str, Any]], str]
    number: Callable[[Mapping[str, Any]], float | None] | None = None


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


# What `kk runs` and the page over all runs show, in this order; the run comes first.
SHOWN = (
    Column("competition", lambda row: row["competition"]),
    Column("fidelity", lambda row: row["fidelity"] or ""),
    Column("status", lambda row: row["status"] or ""),
    Column("score", lambda row: _digits(row["score"]), lambda row: row["score"]),
    Column(
        "95% interval", lambda row: "" if row["low"] is None else f"{_digits(row['low'])} .. {_digits(row['high'])}"
    ),
    Column("test", lambda row: _digits(row["test_score"]), lambda row: row["test_score"]),
    Column(
        "minutes",
        lambda row: "" if row["seconds"] is None else f"{row['seconds'] / 60:.1f}",
        lambda row: row["seconds"],
    ),
    Column("started", lambda row: (row["started"] or "").replace("T", " ").rstrip("Z")),
)

NOT_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
PATIENCE = 60.0  # seconds that a writer waits for another
UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class Ledger:
    """Rows of runs below one runs folder. Safe to use from several processes at once."""

    def __init__(self, root: Path):
        self.root = Path(root)
        self.path = self.root / "ledger.db"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction on the ledger; raises sqlite3.DatabaseError for one that is not as we make it."""
        connection = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            _set_wal(connection)
            if _columns(connection) != COLUMNS:
                raise sqlite3.DatabaseError("holds no table of runs")
            with connection:
                yield connection
        finally:
            connection.close()

    def record(self, folder: Path, needed: bool = True) -> None:
        """Enter the run of `folder` as its files describe it now; a ledger that is damaged or emptied is rebuilt.

        Raises RunError where nothing can be written, unless that is not `needed`.
        """
        try:
            row = describe(folder)
            if not self.path.exists():
                self.rebuild()
            with self._open() as connection:
                _insert(connection, [row])
        except sqlite3.DatabaseError as error:
            if needed or _kind(error) not in UNWRITABLE:
                self._mend(error)

    def rebuild(self) -> int:
        """Make the ledger anew from the run folders; returns how many it found.

        The old one goes only when the new one is whole. Raises RunError where there is no room for it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            try:
                return self._refill(self.path)
            except sqlite3.DatabaseError as error:
                if _kind(error) in NOT_DAMAGE:
                    raise
            return self._replace()
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from error

    def _replace(self) -> int:
        """A new file in the place of a damaged one."""
        found = 0

        def fill(temporary: Path) -> None:
            nonlocal found
            found = self._refill(temporary)

        write_database(self.path, fill)
        return found

    def _refill(self, path: Path) -> int:
        """All runs, in one transaction: whoever looks, or is killed, finds the rows of before or those of now."""
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            connection.execute("begin immediate")  # before the folders are read: nobody enters a run in between
            rows = self._described()
            connection.execute("drop table if exists runs")
            names = ", ".join(f"{c} primary key" if c == "run" else c for c in COLUMNS)
            connection.execute(f"create table runs ({names})")
            _insert(connection, rows)
            connection.execute("commit")
        finally:
            connection.close()
        return len(rows)

    def _described(self) -> list[dict[str, Any]]:
        """The rows that the folders give; a run whose files are damaged is named and passed over."""
        rows = []
        for folder in sorted(self._folders()):
            try:
                rows.append(describe(folder))
            except (KagglekitError, OSError) as error:
                pass_over(error)
        return rows

    def _folders(self) -> Iterator[Path]:
        """The folders of runs; unpacked bundles are left out, for what others measured was not run here."""
        found = (path.parent for path in self.root.glob(f"*/*/{folders.MANIFEST}"))
        return (folder for folder in found if folder.parent.name != folders.BUNDLES)

    def rows(self, competition: str | None = None) -> list[dict[str, Any]]:
        """All runs, the newest first. Runs that died are listed as interrupted.

        Where the ledger can be neither read nor made the folders are read instead: they are the truth.
        """
        if not self.root.exists():
            return []
        try:
            found = self._read()
        except (sqlite3.DatabaseError, OSError, RunError) as error:
            if self.path.is_dir():
                raise self._fault(error) from error
            found = sorted(self._described(), key=lambda row: row["run"])
            found.sort(key=lambda row: row["started"], reverse=True)
        rows = [r for r in found if competition in (None, r["competition"]) and (self.root / r["path"]).exists()]
        for row in rows:
            if row["status"] == "running" and not folders.is_running(self.root / row["path"]):
                row["status"] = "interrupted"
        return rows

    def _read(self, again: bool = False) -> list[dict[str, Any]]:
        if not self.path.exists():
            self.rebuild()
        try:
            with self._open() as connection:
                found = connection.execute(
                    f"select {', '.join(COLUMNS)} from runs order by started desc, run"
                ).fetchall()
        except sqlite3.DatabaseError as error:
            if again:
                raise
            self._mend(error)
            return self._read(again=True)
        if not found and not again and any(self._folders()):  # somebody emptied it
            self.rebuild()
            return self._read(again=True)
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]

    def paths(self, *states: str) -> list[Path]:
        """The folders of the runs in one of these states, the newest first."""
        return [self.root / row["path"] for row in self.rows() if row["status"] in states]

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        if _kind(error) in NOT_DAMAGE:
            raise self._fault(error) from error
        self.rebuild()

    def _fault(self, error: Exception) -> RunError:
        if isinstance(error, RunError):
            return error
        return RunError(f"{self.path}: {error}; check its rights, the free space and who else uses it")


def _kind(error: sqlite3.DatabaseError) -> int | None:
    """What SQLite calls it: the low byte of its code is the kind, the rest its detail; None for errors of our own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _set_wal(connection: sqlite3.Connection) -> None:
    """Readers never wait for a writer. The first one to say so may meet writers, for whom SQLite does not wait then."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
            return
        except sqlite3.OperationalError as error:
            if _kind(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _columns(connection: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for _, name, *_ in connection.execute("pragma table_info(runs)"))


def _insert(connection: sqlite3.Connection, rows: list[dict[str, Any]]) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    connection.executemany(f"insert or replace into runs values ({marks})", [[row[c] for c in COLUMNS] for row in rows])


def describe(folder: Path) -> dict[str, Any]:
    """The ledger row of a run folder; raises RunError for a folder that is no run."""
    manifest = read_manifest(folder)
    row = dict.fromkeys(COLUMNS) | {
        "run": f"{manifest.competition}/{folder.name}",
        "competition": manifest.competition,
        "identity": manifest.identity,
        "fidelity": manifest.fidelity,
        "status": "running",
        "started": manifest.started,
        "path": f"{folder.parent.name}/{folder.name}",
    }
    done = folders.is_done(folder)
    if not done and not (folder / folders.VALIDATED).exists():
        return row
    if done:
        result = read_result(folder)
        test = result.test.value if result.test else None
        return row | _scores(result.validation) | {
            "status": "done", "metric": result.metric, "test_score": test, "seconds": result.seconds.spent
        }  # fmt: skip
    trial = read_validated(folder)
    return row | _scores(trial.validation) | {
        "status": "trial", "metric": trial.metric, "seconds": trial.seconds.spent
    }  # fmt: skip


def _scores(score: Score | None) -> dict[str, float | None]:
    return {"score": score.value, "low": score.low, "high": score.high} if score else {}
