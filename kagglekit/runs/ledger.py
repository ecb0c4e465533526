"""The ledger: an SQLite index over run folders. The folders are the truth; the index can be rebuilt from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kagglekit.errors import KagglekitError, RunError
from kagglekit.runs import folder as folders

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


NOT_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


class Ledger:
    """Rows of runs below one runs folder. Safe to use from several processes at once."""

    def __init__(self, root: Path):
        self.root = Path(root)
        self.path = self.root / "ledger.db"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.root.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            connection.execute("pragma journal_mode=wal")
            names = ", ".join(f"{c} primary key" if c == "run" else c for c in COLUMNS)
            connection.execute(f"create table if not exists runs ({names})")
            with connection:
                yield connection
        finally:
            connection.close()

    def record(self, folder: Path) -> None:
        """Enter the run of `folder` as its files describe it now; a damaged ledger is rebuilt."""
        try:
            self._insert([describe(folder)])
        except sqlite3.DatabaseError as error:
            self._mend(error)

    def rebuild(self) -> int:
        """Make the ledger anew from the run folders; returns how many it found."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        rows = []
        for path in sorted(self.root.glob(f"*/*/{folders.MANIFEST}")):
            try:
                rows.append(describe(path.parent))
            except (KagglekitError, LookupError, TypeError, AttributeError):
                continue  # a folder of something else, or a run whose files are damaged
        self._insert(rows)
        return len(rows)

    def rows(self, competition: str | None = None) -> list[dict[str, Any]]:
        """All runs, the newest first. Runs that died are listed as interrupted."""
        if not self.root.exists():
            return []
        if not self.path.exists():
            self.rebuild()
        try:
            with self._open() as connection:
                found = connection.execute(
                    f"select {', '.join(COLUMNS)} from runs order by started desc, run"
                ).fetchall()
        except sqlite3.DatabaseError as error:
            self._mend(error)
            return self.rows(competition)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
        rows = [r for r in rows if competition in (None, r["competition"]) and (self.root / r["path"]).exists()]
        for row in rows:
            if row["status"] == "running" and not folders.is_running(self.root / row["path"]):
                row["status"] = "interrupted"
        return rows

    def paths(self, *states: str) -> list[Path]:
        """The folders of the runs in one of these states, the newest first.

        A ledger that was rebuilt knows unpacked bundles too; they are left out, for what others measured was not run
        here.
        """
        found = [self.root / row["path"] for row in self.rows() if row["status"] in states]
        return [path for path in found if path.parent.name != folders.BUNDLES]

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        if error.sqlite_errorcode & 0xFF in NOT_DAMAGE:  # the low byte is the kind, the rest its detail
            raise RunError(f"{self.path}: {error}; check its rights, the free space and who else uses it") from error
        self.rebuild()

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        with self._open() as connection:
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(
                f"insert or replace into runs values ({marks})", [[row[c] for c in COLUMNS] for row in rows]
            )


def describe(folder: Path) -> dict[str, Any]:
    """The ledger row of a run folder; raises RunError for a folder that is no run."""
    manifest = folders.read_json(folder / folders.MANIFEST)
    row = dict.fromkeys(COLUMNS) | {
        "run": f"{manifest['competition']}/{folder.name}",
        "competition": manifest["competition"],
        "identity": manifest["identity"],
        "fidelity": manifest.get("fidelity"),
        "status": "running",
        "started": manifest["started"],
        "path": f"{folder.parent.name}/{folder.name}",
    }
    if not folders.is_done(folder) and (folder / folders.VALIDATED).exists():
        trial = folders.read_json(folder / folders.VALIDATED)
        score = trial["validation"]
        row |= {
            "status": "trial",
            **{"score": score["value"], "low": score["low"], "high": score["high"], "metric": trial["metric"]},
            "seconds": sum(trial["seconds"].values()),
        }
    if folders.is_done(folder):
        result = folders.read_json(folder / folders.RESULT)
        score = result["validation"] or {"value": None, "low": None, "high": None}
        row |= {
            "status": "done",
            "score": score["value"],
            "low": score["low"],
            "high": score["high"],
            "metric": result["metric"],
            "test_score": (result["test"] or {}).get("value"),
            "seconds": result["seconds"]["total"],
        }
    return row
