"""What is exported of a run, read from its folder; and which runs are meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import structs

from kagglekit.errors import KagglekitError, RunError, UsageError
from kagglekit.files import printable
from kagglekit.pipeline.reuse import name_of
from kagglekit.pipeline.sample_data import was_drawn
from kagglekit.publish.reproduce import flat
from kagglekit.recipe import digest
from kagglekit.runs import folder as folders
from kagglekit.runs.history import read_history
from kagglekit.runs.ledger import Ledger
from kagglekit.runs.record import Result, Validated, read_manifest, read_result, read_validated
from kagglekit.runs.search_record import read_search
from kagglekit.train.trained import Epoch

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
    result = read_search(search / folders.RESULT, ("competition", "trials"))
    folders.competition_of({"competition": result.competition}, search / folders.RESULT)
    names = [step.run for trial in result.trials for step in trial.steps if step.run]
    below = folders.home() / result.competition
    found = [below / name for name in dict.fromkeys(names) if (below / name / folders.VALIDATED).is_file()]
    if not found:
        raise RunError(f"search {search.name}: none of its trials has a run folder below {below}; nothing to export")
    return found


def record_of(folder: Path) -> Record:
    """What a run's files say; raises RunError for one that is neither finished nor a finished trial."""
    manifest = read_manifest(folder)
    competition = manifest.competition
    done = folders.is_done(folder)
    if not done and not (folder / folders.VALIDATED).is_file():
        raise RunError(f"run {folder.name} has not finished; go on with it by repeating its command")
    result = read_result(folder) if done else read_validated(folder)
    try:
        started = datetime.fromisoformat(manifest.started.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError) as error:
        raise RunError(f"{folder / folders.MANIFEST}: damaged: started: {error}; run it anew with --again") from error
    total = result.seconds.spent
    final = _scores(result) | {f"seconds/{part}": value for part, value in result.seconds.parts().items()}
    final["seconds/total"] = float(total)
    if not all(map(math.isfinite, final.values())):
        raise RunError(f"run {folder.name}: damaged: its seconds are no numbers")
    tags = {
        "competition": competition,
        "run": folder.name,
        "identity": manifest.identity,
        "metric": result.metric,
        "preset": manifest.fidelity,
        "kind": "run" if done else "trial",
        "data": manifest.data,
        "data_fingerprint": manifest.data_fingerprint,
        "drawn_data": "true" if was_drawn(manifest) else "not recorded" if manifest.drawn is None else "false",
        "code": manifest.code,
        "command": manifest.command,
    }
    tags = {key: printable(value) for key, value in tags.items()}
    params = {k: printable(v) if isinstance(v, str) else v for k, v in flat(manifest.recipe).items()}
    curves = _curves(read_history(folder), started)
    return Record(folder, f"{competition}/{folder.name}", params, curves, final, tags, started, started + total)


def _scores(result: Result | Validated) -> dict[str, float]:
    """`validation`, `validation/low` ... of the scores that there are."""
    found = {}
    test = result.test if isinstance(result, Result) else None
    for part, score in (("validation", result.validation), ("test", test)):
        for key, value in structs.asdict(score).items() if score else ():
            if value is not None and math.isfinite(value):
                found[part if key == "value" else f"{part}/{key}"] = float(value)
    return found


def _curves(history: list[Epoch], started: float) -> dict[str, list[tuple[int, float, float]]]:
    """The columns of a history by name; with several folds, which are trained one after another, `fold-N/name`."""
    curves: dict[str, list[tuple[int, float, float]]] = {}
    clock = started
    for row in history:
        clock += row.seconds or 0.0
        prefix = "" if row.fold is None else f"{name_of(row.fold)}/"
        for name, value in row.as_dict().items():
            if name not in AXES and value is not None and math.isfinite(value):
                curves.setdefault(prefix + name, []).append((row.epoch, value, clock))
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
