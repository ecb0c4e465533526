"""What differs only in what follows training need not train again: a run takes over the checkpoints of another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kagglekit.errors import KagglekitError
from kagglekit.pipeline.prepare import EVERYTHING
from kagglekit.runs import folder as folders
from kagglekit.runs import records
from kagglekit.runs.kinds import Trained, WholeValidated
from kagglekit.train.checkpoint import epoch_path
from kagglekit.types import Member

TRAINED = "trained.json"  # in the folder of a run that trained nothing itself: whose training it has
CHECKPOINTS = "checkpoints"


class Training(NamedTuple):
    """A finished training: its run, its epochs (one dict each), the weights it began with, what live objects said."""

    run: str
    history: list[dict[str, Any]]
    weights: str
    seen: dict[str, Any]


def take_over(folder: Path, training: str) -> str:
    """Link the checkpoints of another run with the same `training` (see `training_identity`) into `folder`.

    Returns the name of the run that trained it, or "" where none has all of its checkpoints. Nothing is shared but the
    files' content: each run may be removed without the other.
    """
    for path in sorted(folder.parent.glob(f"*/{folders.MANIFEST}")):
        donor = path.parent
        try:
            if donor == folder or records.manifest(donor).get("training") != training:
                continue
            if not (donor / folders.VALIDATED).exists():
                continue
            record = records.read(donor / folders.VALIDATED, WholeValidated)
            for member in members_of(donor, record["history"], 0):
                _link(member.path, folder / member.path.relative_to(donor))
        except (KagglekitError, OSError):  # damaged, or going away now: not this run's matter
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
            continue
        seen = {name: value for name, value in record.get("seen", {}).items() if name not in ("run", "trained")}
        found = taken_over(donor) or Training(donor.name, record["history"], record["weights"], seen)
        folders.write_json(folder / TRAINED, found._asdict())
        return found.run
    return ""


def taken_over(folder: Path) -> Training | None:
    """The training that a run took over, if it did and all checkpoints are still there."""
    path = folder / TRAINED
    if not path.exists():
        return None
    try:
        found = Training(**{name: records.read(path, Trained)[name] for name in Training._fields})
        members_of(folder, found.history, 0)
    except (KagglekitError, OSError):  # damaged, or incomplete: it trains itself
        return None
    return found


def members_of(folder: Path, history: list[Mapping[str, Any]], fold: int) -> list[Member]:
    """All checkpoints of a run in the order of its history; raises FileNotFoundError naming one that is gone.

    `fold` is the one that was held out where the history does not say: where it is of one network.
    """
    found = []
    for row in history:
        place = folder / CHECKPOINTS / (name_of(row["fold"]) if "fold" in row else "")
        found.append(Member(epoch_path(place, row["epoch"]), row["epoch"], row.get("fold", fold), row["valid_score"]))
    if gone := [member.path for member in found if not member.path.is_file()]:
        raise FileNotFoundError(gone[0].name)
    return found


def name_of(fold: int) -> str:
    """The folder of a fold's checkpoints, where several networks train."""
    return "everything" if fold == EVERYTHING else f"fold-{fold}"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
