"""Runs as TensorBoard logs: scalars by epoch, final scores, settings as hparams, the pictures of the run's page."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.export.records import Record
from kagglekit.files import write_text

MARK = "kagglekit.json"  # in each log folder, written last: what it was made of
PICTURES = 12  # at most, of one run
STALE = 24 * 3600  # seconds after which nobody writes an unfinished log any more


def export(records: list[Record], out: Path, track) -> int:
    """Write a log folder `out`/COMPETITION/RUN for each record; returns how many were written.

    A folder that was made of the same record is left as it is, an older state of the same run is replaced whole. Where
    another computation of the same experiment has the name, as in folders that people share, the run gets a folder
    RUN.KEY. Raises UsageError where the package is missing or a folder of something else stands in the way.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(f"--to tensorboard needs a package: pip install 'kagglekit[tensorboard]' ({error})") from None
    written, place = 0, _workplace(Path(out))
    for record in track(records, len(records), "writing logs"):
        if _mark_in(_target(Path(out), record)) == _mark(record):
            continue
        part = place / _part_name(Path(out), secrets.token_hex(4))
        part.mkdir()
        try:
            _fill(SummaryWriter, record, part)
            write_text(part / MARK, json.dumps(_mark(record)) + "\n")
            # Asked again: another person's run may have taken the name in the meantime.
            _put(part, _target(Path(out), record), place / _part_name(Path(out), secrets.token_hex(4)), record)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        written += 1
    return written


def _target(out: Path, record: Record) -> Path:
    """The folder of a run: the one it has, else the one named like the run, else one with its key in the name."""
    plain = out / record.name
    own = plain.with_name(f"{plain.name}.{record.key}")
    mark = _mark_in(plain)
    taken = mark is not None and mark.get("key") != record.key
    return own if taken or own.exists() else plain


def _mark_in(folder: Path) -> dict[str, str] | None:
    """What a log folder was made of, None where there is none; raises UsageError for a folder of something else."""
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        if not folder.exists():
            return None
        raise UsageError(f"{folder}: is there and was not written by kk export; name another folder with -o")
    return found


def _mark(record: Record) -> dict[str, str]:
    return {"run": record.name, "key": record.key, "digest": record.digest}


def _put(part: Path, target: Path, old: Path, record: Record) -> None:
    """Move a whole log to its place, and the older one first to `old`; another export of the run may be quicker."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with suppress(FileNotFoundError):
            target.rename(old)
        part.rename(target)
    except OSError:
        if _mark_in(target) != _mark(record):
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _workplace(out: Path) -> Path:
    """Where logs are written before they are whole: beside `out`, because TensorBoard also reads hidden folders in it.

    Within `out` where that is a disk of its own or its parent is not ours to write. What killed processes left is
    removed.
    """
    out.mkdir(parents=True, exist_ok=True)
    real = out.resolve()
    beside = real.stat().st_dev == real.parent.stat().st_dev and os.access(real.parent, os.W_OK | os.X_OK)
    place = real.parent if beside else real
    for left in place.iterdir():
        ours = re.fullmatch(_part_name(out, "[0-9a-f]{8}", re.escape), left.name)
        with suppress(FileNotFoundError):  # another export may be tidying too
            if ours and left.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(left, ignore_errors=True)
    return place


def _part_name(out: Path, mark: str, quote=str) -> str:
    return quote(f".{out.resolve().name}.") + mark + quote(".part")


def _fill(make_writer, record: Record, folder: Path) -> None:
    settings = {key: _plain(value) for key, value in (record.params | _facts(record)).items()}
    with make_writer(str(folder)) as writer:
        for name, points in record.curves.items():
            for epoch, value, time_of in points:
                writer.add_scalar(name, value, epoch, walltime=time_of)
        # "." puts the settings into this run; by default they would make a run of their own beside it.
        final = {f"final/{name}": value for name, value in record.final.items()}
        writer.add_hparams(settings, final, run_name=".")
        for number, (caption, pixels) in enumerate(_pictures(record.folder)):
            writer.add_image(f"{number:02d} {caption}", pixels, 0, walltime=record.ended, dataformats="HWC")


def _facts(record: Record) -> dict[str, str]:
    """Of the tags those by which people sort runs."""
    return {f"run.{key}": record.tags[key] for key in ("kind", "preset", "drawn_data", "data_fingerprint")}


def _plain(value):
    """Hparams are numbers, truth values and text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _pictures(folder: Path):
    """(caption, uint8 `[H, W, 3]`) of the pictures on the run's page."""
    import numpy as np
    from PIL import Image

    from kagglekit.writeup.pictures import pictures_of

    for picture in pictures_of(folder / "report.html")[:PICTURES]:
        yield picture.alt, np.asarray(Image.open(io.BytesIO(picture.content)).convert("RGB"))
