"""Runs as TensorBoard logs: scalars by epoch, final scores, settings as hparams, the images of the run's page."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.files import unfinished, write_text
from kagglekit.parsing import from_json
from kagglekit.publish.export.records import Record

MARKER = "kagglekit.json"  # in each log folder, written last: what it was made of
IMAGES = 12  # at most, of one run


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
    written, workplace = 0, _workplace(Path(out))
    for record in track(records, len(records), "writing logs"):
        if _marker_in(_target(Path(out), record)) == _marker(record):
            continue
        with unfinished(workplace / Path(out).resolve().name, folder=True) as part:
            _fill(SummaryWriter, record, part)
            write_text(part / MARKER, json.dumps(_marker(record)) + "\n")
            # Asked again: another person's run may have taken the name in the meantime.
            with unfinished(workplace / Path(out).resolve().name, folder=True) as old:
                _put(part, _target(Path(out), record), old / "log", record)
        written += 1
    return written


def _target(out: Path, record: Record) -> Path:
    """The folder of a run: the one it has, else the one named like the run, else one with its key in the name."""
    plain = out / record.name
    own = plain.with_name(f"{plain.name}.{record.key}")
    marker = _marker_in(plain)
    taken = marker is not None and marker.get("key") != record.key
    return own if taken or own.exists() else plain


def _marker_in(folder: Path) -> dict[str, str] | None:
    """What a log folder was made of, None where there is none; raises UsageError for a folder of something else."""
    try:
        found = from_json((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        if not folder.exists():
            return None
        raise UsageError(f"{folder}: is there and was not written by kk export; name another folder with -o")
    return found


def _marker(record: Record) -> dict[str, str]:
    return {"run": record.name, "key": record.key, "digest": record.digest}


def _put(part: Path, target: Path, old: Path, record: Record) -> None:
    """Move a whole log to its place, and the older one first to `old`; another export of the run may be quicker."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with suppress(FileNotFoundError):
            target.rename(old)
        part.rename(target)
    except OSError:
        if _marker_in(target) != _marker(record):
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _workplace(out: Path) -> Path:
    """Where logs are written before they are whole: beside `out`, because TensorBoard also reads hidden folders in it.

    Within `out` where that is a disk of its own or its parent is not ours to write.
    """
    out.mkdir(parents=True, exist_ok=True)
    real = out.resolve()
    beside = real.stat().st_dev == real.parent.stat().st_dev and os.access(real.parent, os.W_OK | os.X_OK)
    return real.parent if beside else real


def _fill(make_writer, record: Record, folder: Path) -> None:
    """Write the log of a run into a folder; raises OSError, also for what the writer's thread meets."""
    faults: list[BaseException] = []
    shown, threading.excepthook = (
        threading.excepthook,
        lambda fault: faults.extend([fault.exc_value] if fault.exc_value else []),
    )
    try:
        _log(make_writer, record, folder)
    except OSError as error:
        faults.append(error)
    finally:
        threading.excepthook = shown
    # TensorBoard writes in a thread that ends with a traceback where the disk is full, and closes as if all were well.
    for fault in faults:
        if not isinstance(fault, OSError):
            raise fault
        raise OSError(fault.errno, fault.strerror or str(fault), str(folder.parent)) from fault


def _log(make_writer, record: Record, folder: Path) -> None:
    settings = {key: _plain(value) for key, value in (record.params | _facts(record)).items()}
    with make_writer(str(folder)) as writer:
        for name, points in record.curves.items():
            for epoch, value, time_of in points:
                writer.add_scalar(name, value, epoch, walltime=time_of)
        # "." puts the settings into this run; by default they would make a run of their own beside it.
        final = {f"final/{name}": value for name, value in record.final.items()}
        writer.add_hparams(settings, final, run_name=".")
        for number, (caption, pixels) in enumerate(_images(record.folder)):
            writer.add_image(f"{number:02d} {caption}", pixels, 0, walltime=record.ended, dataformats="HWC")


def _facts(record: Record) -> dict[str, str]:
    """Of the tags those by which people sort runs."""
    return {f"run.{key}": record.tags[key] for key in ("kind", "preset", "drawn_data", "data_fingerprint")}


def _plain(value):
    """Hparams are numbers, truth values and text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _images(folder: Path):
    """(caption, uint8 `[H, W, 3]`) of the images on the run's page."""
    import numpy as np
    from PIL import Image

    from kagglekit.publish.writeup.page_images import images_of

    for image in images_of(folder / "report.html")[:IMAGES]:
        yield image.alt, np.asarray(Image.open(io.BytesIO(image.content)).convert("RGB"))
