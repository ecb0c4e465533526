"""Runs as MLflow runs, an experiment for each competition, in any store that MLflow knows."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kagglekit.errors import KagglekitError, RunError, UsageError
from kagglekit.files import write_database
from kagglekit.publish.export.records import Record
from kagglekit.runs import folder as folders
from kagglekit.runs.locks import alone

MOST_METRICS, MOST_PARAMS = 1000, 100  # in one request
MOST_TEXT = 6000  # characters of a param
KEY, DIGEST = "kagglekit.key", "kagglekit.digest"
# In an address: what stands before the host, and values in the query that are called secret. A path has no user.
USER = re.compile(r"(?<=://)(?!/)[^\s'\"]*@")
SECRET = re.compile(r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)

Item = TypeVar("Item")


def store_of(out: str | None) -> str:
    """The tracking URI: what is asked for, else `MLFLOW_TRACKING_URI`, else a database below the runs.

    A folder means the database mlflow.db in it, a name that ends in .db that file.
    """
    if out is None and (known := os.environ.get("MLFLOW_TRACKING_URI")):
        return known
    if out and ("://" in out or out.startswith("file:") or out == "databricks"):
        return out
    store_path = Path(out) if out else folders.home()
    store_path = store_path if store_path.suffix == ".db" else store_path / "mlflow.db"
    return f"sqlite:///{store_path.resolve()}"


def shown(text: str) -> str:
    """An address, or a message with one, without user, password and other secrets."""
    return SECRET.sub(r"\1***", USER.sub("***@", text))


def command_to_open(uri: str) -> str:
    """How to see the runs of a store: the address of a server, or the command that serves a database."""
    if uri.startswith(("http:", "https:", "databricks")):
        return shown(uri)
    return f"mlflow ui --backend-store-uri {shown(uri)} (of the package mlflow)"


def export(records: list[Record], uri: str, track) -> int:
    """Write each record as a run of the store at `uri`; returns how many were written.

    A run that was made of the same record is left alone; one of an older state, or one whose export was interrupted, is
    deleted and written anew. Raises UsageError where MLflow is missing, RunError where the store refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # an export tells nobody but the store
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own 7 take minutes for a mistyped address
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UsageError(f"--to mlflow needs a package: pip install 'kagglekit[mlflow]' ({error})") from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    _check_file(uri)
    try:
        with alone(uri, f"writes to {shown(uri)}"):  # two that make a database break each other's
            _make_database(uri)
            client = MlflowClient(tracking_uri=uri)
            return sum(_write(client, one) for one in track(records, len(records), "writing runs"))
    except KagglekitError:
        raise
    except Exception as error:  # every store has errors of its own
        first = str(error).partition("\n")[0]
        raise RunError(
            f"{shown(uri)}: {type(error).__name__}: {shown(first)}; check the store, or name another one with -o"
        ) from error


def _check_file(uri: str) -> None:
    """Make the folder of a database file; RunError for one that cannot be opened, MLflow would try for minutes."""
    if not uri.startswith("sqlite:///"):
        return
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("select count(*) from sqlite_master").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise RunError(f"{uri}: {error}; check the folder and its rights, or name another one with -o") from error


def _make_database(uri: str) -> None:
    """Let MLflow make a new database beside its place, and move it there whole.

    It makes tables in many steps, and one that was killed in between can never be used again. A database that no run
    was ever written to is made anew if it is such a one.
    """
    path = _database(uri)
    if path is None or (path.exists() and not _is_half_made(path)):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def fill(temporary: Path) -> None:
        store = SqlAlchemyStore(f"sqlite:///{temporary}", "./mlruns")
        store.engine.dispose()
        with contextlib.closing(sqlite3.connect(temporary)) as connection:  # all of it into the one file
            connection.execute("pragma journal_mode=delete")

    write_database(path, fill)


def _is_half_made(path: Path) -> bool:
    """Is it empty, or did MLflow not end making it? Only of one without any run can that be said."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        known = "runs" not in tables or not connection.execute("select count(*) from runs").fetchone()[0]
        ours = {"experiments", "runs", "alembic_version"}
        return known and (not tables or (bool(tables & ours) and not _opens(path)))


def _opens(path: Path) -> bool:
    """Does MLflow open it? Asked of a copy, because opening goes on with what was begun."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        with contextlib.closing(sqlite3.connect(path)) as one, contextlib.closing(sqlite3.connect(copy)) as other:
            one.backup(other)
        try:
            SqlAlchemyStore(f"sqlite:///{copy}", folder).engine.dispose()
        except Exception:  # every step of making it has errors of its own
            return False
    return True


def _database(uri: str) -> Path | None:
    """The file of a database of SQLite."""
    plain = uri.startswith("sqlite:///") and "?" not in uri and "#" not in uri and "%" not in uri
    return Path(uri.removeprefix("sqlite:///")) if plain else None


def _write(client: Any, record: Record) -> bool:
    """One run, unless it is there; what an interrupted export left beside it is deleted."""
    from mlflow.entities import Param, RunTag

    experiment = _experiment(client, f"kagglekit/{record.tags['competition']}")
    there = client.search_runs([experiment], f"tags.`{KEY}` = '{record.key}'")
    if same := [run for run in there if run.data.tags.get(DIGEST) == record.digest]:
        _delete(client, [run for run in there if run is not same[0]])
        return False
    tags = {f"kagglekit.{key}": value for key, value in record.tags.items()} | {KEY: record.key}
    started = _milliseconds(record.started)
    run = client.create_run(experiment, start_time=started, tags=tags, run_name=record.tags["run"]).info.run_id
    for some in _chunks([Param(key, _text(value)) for key, value in record.params.items()], MOST_PARAMS):
        client.log_batch(run, params=some)
    for some in _chunks(list(_metrics(record)), MOST_METRICS):
        client.log_batch(run, metrics=some)
    client.set_terminated(run, "FINISHED", end_time=_milliseconds(record.ended))
    client.log_batch(run, tags=[RunTag(DIGEST, record.digest)])  # last: it says that nothing is missing
    _delete(client, there)
    return True


def _delete(client: Any, runs: Iterable[Any]) -> None:
    for run in runs:
        client.delete_run(run.info.run_id)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name)
    if found.lifecycle_stage != "active":
        raise RunError(f"MLflow experiment {name} was deleted in this store; restore it, or name another store with -o")
    return found.experiment_id


def _metrics(record: Record) -> Iterator[Any]:
    from mlflow.entities import Metric

    for name, points in record.curves.items():
        for epoch, value, at in points:
            yield Metric(name, value, _milliseconds(at), epoch)
    for name, value in record.final.items():
        yield Metric(f"final/{name}", value, _milliseconds(record.ended), 0)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."


def _chunks(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
