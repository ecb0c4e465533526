"""The records of a run, a search or an ablation, read once and typed: values of `kinds`, or a sentence.

Others may have written them: they come with bundles and shared folders. What a sentence names is the file, the key, the
fault and what to do.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from kagglekit import progress
from kagglekit.errors import KagglekitError, RunError
from kagglekit.runs import folder as folders
from kagglekit.runs.kinds import Fold, Manifest, Predicting, Result, Validated

Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind], advice: str = "") -> Kind:
    """The JSON object of a file as `kind`; raises RunError that names the file, the key, the fault and `advice`."""
    return typed(folders.read_json(path), kind, path, advice)


def typed(found: Any, kind: type[Kind], who: object, advice: str = "") -> Kind:
    """The same value, known to be of `kind`; raises RunError."""
    import msgspec

    try:
        msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at ")
        key = place.strip("`").removeprefix("$").lstrip(".")
        said = fault[:1].lower() + fault[1:].replace("`", "")
        more = f"; {advice or 'remove the folder, or make it anew by repeating its command'}"
        raise RunError(f"{who}: damaged: {key + ': ' if key else ''}{said}{more}") from error
    return found


def manifest(folder: Path) -> Manifest:
    """The manifest of a run, whose competition is a plain name; raises RunError."""
    path = folder / folders.MANIFEST
    found = folders.read_json(path)
    folders.competition_of(found, path)
    return typed(found, Manifest, path)


def check_run(folder: Path) -> None:
    """Raise RunError unless a finished run can be used: its records are whole, of one competition, and predict.

    A recipe that was edited since is another matter: `kk reproduce` says so.
    """
    from kagglekit import recipe as recipes

    said = manifest(folder)
    result(folder)
    if not predicting(folder)["members"]:
        raise RunError(f"{folder / folders.RESULT}: damaged: members: nobody predicts; run it again with --again")
    named = recipes.load(folder / folders.RECIPE).get("competition")
    if named != said["competition"] or said.get("recipe", {}).get("competition", named) != named:
        raise RunError(
            f"{folder / folders.MANIFEST}: says competition {said['competition']}, {folders.RECIPE} beside it says "
            f"{named}; the files are of two runs, so take the folder from where it was made once more"
        )


def result(folder: Path) -> Result:
    """The result of a finished run; raises RunError."""
    found = read(folder / folders.RESULT, Result)
    if "total" not in found["seconds"]:
        raise RunError(f"{folder / folders.RESULT}: damaged: seconds: total is missing; run it again with --again")
    return found


def folds(folder: Path) -> dict[str, Fold]:
    """The samples on both sides of each split; raises RunError."""
    return read(folder / folders.FOLDS, dict[str, Fold])


def predicting(folder: Path) -> Predicting:
    """Who predicts, and how; raises RunError."""
    return read(folder / folders.RESULT, Predicting, "run it again with --again")


def seconds_of(found: Result | Validated) -> float:
    """All the seconds that a record tells of."""
    return found["seconds"]["total"] if "total" in found["seconds"] else sum(found["seconds"].values())


def history(folder: Path) -> list[dict[str, float]]:
    """The epochs of `history.csv`, empty cells left out; none where there is no such file. Raises RunError."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    rows, reader = [], csv.DictReader(io.StringIO(text_of(path)))
    try:
        for row in reader:
            if None in row:
                raise ValueError("more cells than columns")
            values = {name: float(cell) for name, cell in row.items() if cell not in (None, "")}
            whole = {name: int(row[name]) for name in ("epoch", "fold") if name == "epoch" or row.get(name)}
            if not math.isfinite(values.get("seconds", 0.0)):
                raise ValueError(f"seconds: {row['seconds']} is no time")
            rows.append(values | whole)
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise RunError(f"{path}: damaged: line {reader.line_num}: {error}; run it again with --again") from error
    return rows


def text_of(path: Path, advice: str = "save it as UTF-8") -> str:
    """The text of a file; raises RunError for one that is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start}); {advice}") from error


def sound(paths: Iterable[Path], kind: type[Kind]) -> Iterator[tuple[Path, Kind]]:
    """The records that can be read; of each other one a line says what is wrong, and it is passed over.

    Somebody else's damage must not end what is done with all the rest.
    """
    for path in paths:
        try:
            yield path, read(path, kind)
        except (KagglekitError, OSError) as error:
            pass_over(error)


def pass_over(error: Exception) -> None:
    """Say what is wrong with a record that is passed over."""
    progress.say(f"note: {error} (passed over)")
