"""Runs as TensorBoard logs: scalars by epoch, final scores, settings as hparams, the pictures of the run's page."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.export.records import Record
from kagglekit.files import write_text

MARK = "kagglekit.json"  # in each log folder, written last: what it was made of
PICTURES = 12  # at most, of one run


def export(records: list[Record], out: Path, track) -> int:
    """Write a log folder `out`/COMPETITION/RUN for each record; returns how many were written.

    A folder that was made of the same record is left as it is, another one is replaced whole. Raises UsageError where
    the package is missing or a folder of something else stands in the way.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(f"--to tensorboard needs a package: pip install 'kagglekit[tensorboard]' ({error})") from None
    written = 0
    for record in track(records, len(records), "writing logs"):
        target = Path(out) / record.name
        if target.exists():
            if not (target / MARK).is_file():
                raise UsageError(f"{target}: is there and was not written by kk export; name another folder with -o")
            if (target / MARK).read_text(encoding="utf-8") == _mark(record):
                continue
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            _fill(SummaryWriter, record, part)
            write_text(part / MARK, _mark(record))
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        written += 1
    return written


def _mark(record: Record) -> str:
    return json.dumps({"run": record.name, "digest": record.digest}) + "\n"


def _fill(make_writer, record: Record, folder: Path) -> None:
    settings = {key: _plain(value) for key, value in (record.params | _facts(record)).items()}
    with make_writer(str(folder)) as writer:
        for name, points in record.curves.items():
            for epoch, value in points:
                writer.add_scalar(name, value, epoch, walltime=record.at[epoch])
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
