"""The record of a search: every trial, its settings, curve, cost and the hash of its weights, in one SQLite file.

Each change is on disk before the search acts on it, so that a search that was killed goes on where it was.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kagglekit.errors import RunError
from kagglekit.parsing import from_json
from kagglekit.search.propose import Config
from kagglekit.search.space import Params, Space, contains
from kagglekit.search.storage import RECORD

Status = Literal["done", "pruned", "failed"]
Key = tuple[int, int, int]  # rung, number of the configuration, repeat (the seed is the search's seed plus it)
TABLES = """
create table if not exists configs (number integer primary key, params text, origin text);
create table if not exists climbs (rung integer, number integer, why text, primary key (rung, number));
create table if not exists trials (
    rung integer, number integer, repeat integer, code text, stale integer default 0,
    status text, score real, seconds real, detail text, primary key (rung, number, repeat, code)
);
"""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. `seconds` of the device; `curve` the validation score of each epoch while training.

    `score` is that of the whole solution on validation, None for a failed trial. `images` are the scores of single
    validation images, kept on the last rung only. `variants`: what its network scores in other ways, by their names;
    `looks`: the same of settings after training that are not the recipe's, which may be the better ones; their score,
    images and params.
    `train` and `after` are the seconds of training and of judging those. `wall` is all the time that the trial took,
    `overhead` what its executor added to that, both in seconds. `full`: the disk was full, so that the failure says
    nothing of the settings; executors end the search instead of entering it.
    """

    status: Status
    score: float | None = None
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    run: str = ""
    weights: tuple[str, ...] = ()
    checkpoint: str = ""
    images: tuple[float, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)  # what the trial had to change of its recipe
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings_tried: dict[str, dict[str, Any]] = field(default_factory=dict)
    train: float = 0.0
    after: float = 0.0
    shared: bool = False
    wall: float = 0.0
    overhead: float | None = None
    full: bool = False

    def light(self) -> Outcome:
        """The same without what only reports need."""
        settings_tried = {
            name: {k: v for k, v in settings_name.items() if k != "images"}
            for name, settings_name in self.settings_tried.items()
        }
        return replace(self, images=(), notes=(), variants={}, settings_tried=settings_tried, error=self.error[:200])


@dataclass
class Trials:
    """The record below one folder; use it in one process at a time."""

    folder: Path
    code: str
    connection: sqlite3.Connection = field(init=False, repr=False)

    def __post_init__(self):
        path = Path(self.folder) / RECORD
        try:
            self.connection = sqlite3.connect(path, timeout=60)
            self.connection.execute("pragma journal_mode=wal")
            self.connection.execute("pragma synchronous=normal")  # safe against kill -9, which is what happens
            self.connection.executescript(TABLES)
        except sqlite3.Error as error:
            raise RunError(f"{path}: {error}; check its rights and the free space, or choose another --name") from error
        try:
            self.configs(), self.climbs(0), list(self._read("1", ()))
        except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
            self.connection.close()
            raise RunError(f"{path}: damaged: {error}; move it away, or choose another --name") from error

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        with suppress(sqlite3.Error):  # a full disk: it is written when the record is opened next
            self.connection.execute("pragma wal_checkpoint(truncate)")
        self.connection.close()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A transaction; raises RunError where it cannot be written."""
        try:
            with self.connection:
                yield
        except sqlite3.Error as error:
            path = Path(self.folder) / RECORD
            raise RunError(
                f"{path}: {error}; check its rights and the free space, then the same command goes on"
            ) from error

    def configs(self) -> list[Config]:
        """All proposals, in order."""
        rows = self.connection.execute("select number, params, origin from configs order by number")
        return [Config(number, _typed(from_json(params), Params), origin) for number, params, origin in rows]

    def add_configs(self, configs: Iterable[Config]) -> None:
        """Enter proposals."""
        with self._change():
            self.connection.executemany(
                "insert into configs values (?, ?, ?)", [(c.number, json.dumps(c.params), c.origin) for c in configs]
            )

    def climbs(self, rung: int) -> dict[int, str]:
        """Who was promoted to `rung`, and why; in the order they were."""
        rows = self.connection.execute("select number, why from climbs where rung = ? order by rowid", (rung,))
        return dict(rows.fetchall())

    def add_climbs(self, rung: int, climbing: Mapping[int, str]) -> None:
        """Enter promotions to `rung`."""
        with self._change():
            self.connection.executemany(
                "insert or ignore into climbs values (?, ?, ?)", [(rung, n, why) for n, why in climbing.items()]
            )

    def add(self, key: Key, outcome: Outcome) -> None:
        """Enter how a trial ended."""
        detail = asdict(outcome)
        status, score, seconds = (detail.pop(name) for name in ("status", "score", "seconds"))
        with self._change():
            self.connection.execute(
                "insert or replace into trials values (?, ?, ?, ?, 0, ?, ?, ?, ?)",
                (*key, self.code, status, score, seconds, json.dumps(detail)),
            )

    def light(self) -> dict[Key, Outcome]:
        """All trials that count, without the details that fill memory."""
        return {key: outcome.light() for key, outcome in self._read("stale = 0 and code = ?", (self.code,))}

    def all(self) -> dict[Key, Outcome]:
        """All trials that count, whole."""
        return dict(self._read("stale = 0 and code = ?", (self.code,)))

    def stale(self) -> list[Key]:
        """Trials of other code, or outside the present space: kept, listed, not counted."""
        rows = self.connection.execute(
            "select rung, number, repeat from trials where (stale = 1 or code != ?) and status = 'done'", (self.code,)
        )
        return rows.fetchall()

    def retire(self, numbers: Iterable[int]) -> None:
        """Take configurations out of the search; their trials remain as stale."""
        with self._change():
            for number in numbers:
                self.connection.execute("update trials set stale = 1 where number = ?", (number,))
                self.connection.execute("delete from climbs where number = ?", (number,))
                self.connection.execute("update configs set origin = 'retired' where number = ?", (number,))

    def forget_climbs(self) -> None:
        """Promotions that rested on trials which no longer count."""
        with self._change():
            self.connection.execute("delete from climbs")

    def _read(self, where: str, values: tuple) -> Iterable[tuple[Key, Outcome]]:
        rows = self.connection.execute(
            f"select rung, number, repeat, status, score, seconds, detail from trials where {where} order by 1, 2, 3",
            values,
        )
        for rung, number, repeat, status, score, seconds, detail in rows:
            known = {"status": status, "score": score, "seconds": seconds}
            yield (rung, number, repeat), _typed({**from_json(detail), **known}, Outcome)


def _typed(value: Any, kind: Any) -> Any:
    """JSON-like values as `kind`; raises ValueError for others."""
    import msgspec

    return msgspec.convert(value, kind)


def retire_outside(trials: Trials, space: Space, prior: bool) -> list[int]:
    """Take configurations that the present space could not have given out of the search; returns their numbers."""
    outside = [
        c.number
        for c in trials.configs()
        if c.origin != "retired"
        and not (prior and c.number == 0)
        and not (c.params.keys() == space.keys() and all(contains(space[key], c.params[key]) for key in space))
    ]
    trials.retire(outside)
    if outside:
        trials.forget_climbs()
    return outside
