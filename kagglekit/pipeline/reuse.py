"""What differs only in what follows training need not train again: a run takes over the checkpoints of another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from kagglekit.errors import KagglekitError
from kagglekit.pipeline.prepare import EVERYTHING
from kagglekit.runs import folder as folders
from kagglekit.runs.record import (
    WHOLE_VALIDATED,
    TakenOver,
    read_manifest,
    read_taken_over,
    read_validated,
    write_taken_over,
)
from kagglekit.train.checkpoint import epoch_path
from kagglekit.train.trained import Epoch
from kagglekit.types import Member

CHECKPOINTS = "checkpoints"


def take_over(folder: Path, training: str) -> str:
    """Link the checkpoints of another run with the same `training` (see `training_identity`) into `folder`.

    Returns the name of the run that trained it, or "" where none has all of its checkpoints. Nothing is shared but the
    files' content: each run may be removed without the other.
    """
    for path in sorted(folder.parent.glob(f"*/{folders.MANIFEST}")):
        donor = path.parent
        try:
            if donor == folder or read_manifest(donor).training != training:
                continue
            if not (donor / folders.VALIDATED).exists():
                continue
            record = read_validated(donor, WHOLE_VALIDATED)
            for member in members_of(donor, record.history, 0):
                _link(member.path, folder / member.path.relative_to(donor))
        except (KagglekitError, OSError):  # damaged, or going away now: not this run's matter
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
            continue
        # Those of schema 0 also said which run it was.
        observed = {name: value for name, value in record.observed.items() if name not in ("run", "trained")}
        found = taken_over(donor) or TakenOver(
            run=donor.name, history=record.history, weights=record.weights, observed=observed
        )
        write_taken_over(folder, found)
        return found.run
    return ""


def taken_over(folder: Path) -> TakenOver | None:
    """The training that a run took over, if it did and all checkpoints are still there."""
    try:
        found = read_taken_over(folder)
        members_of(folder, found.history if found else (), 0)
    except (KagglekitError, OSError):  # damaged, or incomplete: it trains itself
        return None
    return found


def members_of(folder: Path, history: Iterable[Epoch], fold: int) -> list[Member]:
    """All checkpoints of a run in the order of its history; raises FileNotFoundError naming one that is gone.

    `fold` is the one that was held out where the history does not say: where it is of one network.
    """
    found = []
    for row in history:
        folder_of_part = folder / CHECKPOINTS / ("" if row.fold is None else name_of(row.fold))
        held_out = fold if row.fold is None else row.fold
        found.append(Member(epoch_path(folder_of_part, row.epoch), row.epoch, held_out, row.valid_score))
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
