"""A run as one file that can be handed on: recipe, record and weights, never data, never code."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from kagglekit import progress
from kagglekit.clean import decisions
from kagglekit.errors import DataError, RunError
from kagglekit.files import write_with
from kagglekit.runs import folder as folders
from kagglekit.runs.bundle import ATTACHED, SUFFIX, inside
from kagglekit.runs.history import HISTORY
from kagglekit.runs.record import read_manifest, read_predicting

KEPT = (folders.RECIPE, folders.MANIFEST, folders.RESULT, folders.VALIDATED, folders.FOLDS, folders.DATA, folders.CODE,
        HISTORY)  # fmt: skip


def pack(folder: Path, out: Path | None = None) -> Path:
    """Write the bundle of a finished run, to `out` or into its folder; raises RunError."""
    if not folders.is_done(folder):
        raise RunError(f"run {folder.name} has not finished; go on with it by repeating its command")
    out = out or folder / f"{folder.parent.name}-{folder.name}{SUFFIX}"
    if out.is_dir():
        out = out / f"{folder.parent.name}-{folder.name}{SUFFIX}"
    members = read_predicting(folder).members
    names = [name for name in KEPT if (folder / name).is_file()] + [member.file for member in members]
    missing = [name for name in names if not _is_file(folder / name)]
    if missing:
        raise RunError(f"run {folder.name}: {missing[0]} is gone; run it again with --again")
    for member in members:
        inside(folder, member.file)

    def fill(temporary: Path) -> None:
        # Weights do not get smaller by compression, and storing them keeps packing as fast as the disk.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                kind = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
                archive.write(folder / name, name, compress_type=kind)
            for key, path in attached(folder):
                archive.write(path, f"{ATTACHED}/{key}{path.suffix}")

    write_with(out, fill)
    for key, path in attached(folder):
        if masks := _masks_of(path):
            progress.say(
                f"{key}: the masks of {len(masks)} relabelled samples stay here: masks are data. Whoever may have them "
                f"puts them beside the unpacked {path.name}"
            )
    return out


def _masks_of(path: Path) -> dict[str, Path]:
    """The masks that a file names, if it is one of decisions."""
    try:
        found = decisions.read(path)
    except DataError:
        return {}
    return found.masks(signed=True) | found.masks(signed=False)


def attached(folder: Path) -> Iterator[tuple[str, Path]]:
    """(technique.setting, file) of the settings of techniques that name a file of text."""
    for technique in read_manifest(folder).techniques:
        for key, value in technique.settings.items():
            path = Path(value) if isinstance(value, str) and value else None
            if path is not None and path.suffix in (".toml", ".json", ".csv", ".txt") and _is_file(path):
                yield f"{technique.name}.{key}", path


def _is_file(path: Path) -> bool:
    """Is it a file? Names in records may hold what no name of a file can."""
    try:
        return path.is_file()
    except (ValueError, OSError):
        return False
