"""What is exported of a run, read from its folder; and which runs are meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kagglekit.errors import KagglekitError, RunError, UsageError
from kagglekit.files import printable
from kagglekit.pipeline.reuse import name_of
from kagglekit.pipeline.sample_data import was_drawn
from kagglekit.publish.reproduce import flat
from kagglekit.recipe import digest
from kagglekit.runs import folder as folders
from kagglekit.runs import records
from kagglekit.runs.kinds import Validated
from kagglekit.runs.ledger import Ledger
from kagglekit.runs.records import read
from kagglekit.runs.search_kinds import SearchRuns

SEARCHES = "searches"  # below the runs
AXES = ("epoch", "fold")  # columns of a history that are no curves


@dataclass(frozen=True)
class Record:
    """One run: settings by dotted key, curves, final numbers, tags; times in Unix seconds.

    The points of a curve are (epoch from 0, value, time at which the epoch ended). `key` tells one computation from
    another of the same experiment; `digest` changes whenever anything of a record does.
    """

    folder: Path
    name: str
    params: dict[str, Any]
    curves: dict[str, list[tuple[int, float, float]]]
    final: dict[str, float]
    tags: dict[str, str]
    started: float
    ended: float

    @property
    def key(self) -> str:
        """16 hex digits of what never changes in a run; equal experiments of two people are two runs."""
        return digest([self.name, self.started])

    @property
    def digest(self) -> str:
        """16 hex digits."""
        curves = {name: [list(point) for point in points] for name, points in self.curves.items()}
        return digest([self.name, self.params, curves, self.final, self.tags])


def chosen(name: str | None, everything: bool) -> list[Path]:
    """The folders of the runs that are meant: one run, those of a search, or all that are finished; the oldest first.

    Raises UsageError for a name that is neither, RunError for a run or a search that has nothing to export.
    """
    if bool(name) == everything:
        raise UsageError("name a run or a search (`kk runs` lists runs), or give --all")
    home = folders.home()
    if everything:
        found = Ledger(home).paths("done", "trial")[::-1]
        if not found:
            raise RunError(f"no finished run below {home}; start one: kk run ID")
        return found
    search = home / SEARCHES / str(name)
    if (search / "search.json").is_file():
        return _of_search(search)
    return [folders.find(str(name))]


def _of_search(search: Path) -> list[Path]:
    """The runs that a search's trials left, each once."""
    if not (search / folders.RESULT).is_file():
        raise RunError(f"search {search.name} has no result yet; go on with it by repeating its command")
    result = read(search / folders.RESULT, SearchRuns)
    folders.competition_of(result, search / folders.RESULT)
    names = [step["run"] for trial in result["trials"] for step in trial["steps"] if step.get("run")]
    below = folders.home() / result["competition"]
    found = [below / name for name in dict.fromkeys(names) if (below / name / folders.VALIDATED).is_file()]
    if not found:
        raise RunError(f"search {search.name}: none of its trials has a run folder below {below}; nothing to export")
    return found


def record_of(folder: Path) -> Record:
    """What a run's files say; raises RunError for one that is neither finished nor a finished trial."""
    manifest = records.manifest(folder)
    competition = manifest["competition"]
    done = folders.is_done(folder)
    if not done and not (folder / folders.VALIDATED).is_file():
        raise RunError(f"run {folder.name} has not finished; go on with it by repeating its command")
    result = records.result(folder) if done else read(folder / folders.VALIDATED, Validated)
    try:
        started = datetime.fromisoformat(manifest["started"].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError) as error:
        raise RunError(f"{folder / folders.MANIFEST}: damaged: started: {error}; run it anew with --again") from error
    seconds, total = result["seconds"], records.seconds_of(result)
    final = _scores(result) | {f"seconds/{part}": float(value) for part, value in seconds.items()}
    final["seconds/total"] = float(total)
    if not all(map(math.isfinite, final.values())):
        raise RunError(f"run {folder.name}: damaged: its seconds are no numbers")
    tags = {
        "competition": competition,
        "run": folder.name,
        "identity": manifest["identity"],
        "metric": result["metric"],
        "preset": manifest.get("fidelity") or "",
        "kind": "run" if done else "trial",
        "data": manifest.get("data") or "",
        "data_fingerprint": manifest.get("data_fingerprint") or "",
        "drawn_data": "true" if was_drawn(manifest) else str(manifest.get("drawn", "not recorded")).lower(),
        "code": manifest.get("code") or "",
        "command": manifest.get("command") or "",
    }
    tags = {key: printable(value) for key, value in tags.items()}
    params = {k: printable(v) if isinstance(v, str) else v for k, v in flat(manifest.get("recipe") or {}).items()}
    curves = _curves(records.history(folder), started)
    return Record(folder, f"{competition}/{folder.name}", params, curves, final, tags, started, started + total)


def _scores(result: Mapping[str, Any]) -> dict[str, float]:
    """`validation`, `validation/low` ... of the scores that there are."""
    found = {}
    for part in ("validation", "test"):
        for key, value in (result.get(part) or {}).items():
            if value is not None and math.isfinite(value):
                found[part if key == "value" else f"{part}/{key}"] = float(value)
    return found


def _curves(history: list[dict[str, float]], started: float) -> dict[str, list[tuple[int, float, float]]]:
    """The columns of a history by name; with several folds, which are trained one after another, `fold-N/name`."""
    curves: dict[str, list[tuple[int, float, float]]] = {}
    clock = started
    for row in history:
        clock += row.get("seconds", 0.0)
        prefix = f"{name_of(row['fold'])}/" if "fold" in row else ""
        for name, value in row.items():
            if name not in AXES and math.isfinite(value):
                curves.setdefault(prefix + name, []).append((row["epoch"], value, clock))
    return curves


def records_of(paths: Iterable[Path], strict: bool) -> tuple[list[Record], list[str]]:
    """Records, and what is wrong with the runs that have none; with `strict` the first fault is raised instead."""
    found, faults = [], []
    for path in paths:
        try:
            found.append(record_of(path))
        except KagglekitError as error:
            if strict:
                raise
            faults.append(str(error))
    return found, faults
