"""Opening a bundle, the file in which a run is handed on (`publish.pack` writes it).

Opening one trusts nothing: names, kinds and sizes are checked before a byte is written, and what is written stays in a
folder named by the content.
"""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath

from kagglekit.errors import DataError, RecipeError, RunError, UsageError
from kagglekit.files import printable, unfinished, write_text
from kagglekit.runs import folder as folders
from kagglekit.runs.record import amend, check_run, read_manifest, read_predicting

SUFFIX = ".kkbundle"
ATTACHED = "attached"  # files that techniques name
SAFE = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)*")
KINDS = (".toml", ".json", ".csv", ".txt", ".safetensors")
MOST_FILES = 2000
MOST_BYTES = 64 * 2**30
MOST_TEXT = 512 * 2**20  # of a file that is no weights
BOMB = 200  # times that a file may grow when it is unpacked
CHUNK = 1 << 20


def is_bundle(name: str | Path) -> bool:
    """Is a bundle meant? Raises UsageError if there is no such file."""
    if Path(name).suffix != SUFFIX:
        return False
    if not Path(name).is_file():
        raise UsageError(f"{name}: no such bundle; kk bundle RUN makes one")
    return True


def find(name: str) -> Path:
    """The folder of a run by name, or of a bundle, which is unpacked below the runs."""
    return unpack(Path(name)) if is_bundle(name) else folders.find(name)


def unpack(path: Path) -> Path:
    """The folder of a bundle's run, unpacked unless it is there; raises DataError for what is no safe bundle."""
    from kagglekit.data.fingerprint import hash_file

    target = folders.home() / folders.BUNDLES / hash_file(path)[:12]
    if folders.is_done(target):
        return target
    try:
        with unfinished(target, folder=True, ours=True) as part:  # two may unpack one bundle at once
            with zipfile.ZipFile(path) as archive:
                for entry in checked(path, archive):
                    _extract(path, archive, entry, part)
            _check_contents(path, part, target)
            with suppress(OSError):  # somebody else was quicker
                part.rename(target)
        if not folders.is_done(target):
            raise RunError(f"{target}: stands in the way and is no run; remove it")
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise DataError(f"{path}: is damaged, or no bundle: {printable(error)}") from error
    except OSError as error:
        # bz2 says nothing of damaged data; an invalid argument is a place before the begin of the file.
        if error.errno in (None, errno.EINVAL):
            raise DataError(f"{path}: is damaged, or no bundle: {printable(error)}") from error
        if error.filename is None:
            error.filename = str(target)  # a full disk does not say where
        raise
    return target


def checked(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The entries of an archive; raises DataError if one could leave its folder, run, or fill the disk."""
    entries, seen = archive.infolist(), set()
    if len(entries) > MOST_FILES:
        raise DataError(f"{path}: holds {len(entries)} files, more than the {MOST_FILES} of any bundle")
    for entry in entries:
        name = entry.filename
        if not SAFE.fullmatch(name) or ".." in PurePosixPath(name).parts:
            raise DataError(f"{path}: {name!r} is no name that a bundle may hold")
        if entry.external_attr >> 28 not in (0, 0o10):  # kinds of files other than plain ones: links, devices
            raise DataError(f"{path}: {name} is no plain file")
        if PurePosixPath(name).suffix not in KINDS:
            raise DataError(f"{path}: {name}: a bundle holds {', '.join(KINDS)} and nothing else")
        if name.lower() in seen:
            raise DataError(f"{path}: {name} is there twice")
        if not name.endswith(".safetensors"):
            if entry.file_size > MOST_TEXT or entry.file_size > 10_000 + BOMB * entry.compress_size:
                raise DataError(f"{path}: {name} would grow to {entry.file_size:,} bytes; that is no record of a run")
        elif entry.file_size > 10_000 + 4 * entry.compress_size:
            raise DataError(f"{path}: {name} would grow to {entry.file_size:,} bytes; weights do not")
        seen.add(name.lower())
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        raise DataError(f"{path}: would take {total:,} bytes, more than any bundle")
    free = shutil.disk_usage(path.parent).free
    if total > free:
        raise DataError(f"{path}: takes {total:,} bytes unpacked, {free:,} are free")
    return entries


def _extract(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, part: Path) -> None:
    """Write one entry, and not a byte more than it says it has."""
    target = part / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as source, target.open("xb") as sink:
        while chunk := source.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise DataError(f"{path}: {entry.filename} is larger than it says")
            sink.write(chunk)


def _check_contents(path: Path, part: Path, target: Path) -> None:
    """Is it a finished run whose weights are all there, inside? Then its settings name the files that came along."""
    try:
        for name in (folders.RECIPE, folders.MANIFEST, folders.RESULT):
            if not (part / name).is_file():
                raise DataError(f"{path}: has no {name}; it is no bundle of a run (`kk bundle RUN` makes one)")
        check_run(part)
        for member in read_predicting(part).members:
            inside(part, member.file)
        _point_at_attached(part, target)
    except (RunError, RecipeError) as error:
        said = printable(error).replace(f"{part}/", "")
        raise DataError(f"{path}: its record is damaged: {said}") from error


def inside(folder: Path, name: str) -> Path:
    """`folder/name`, a file that lies in it; raises RunError otherwise."""
    try:
        found = (folder / name).resolve()
        lies = found.is_relative_to(folder.resolve()) and found.is_file()
    except (ValueError, OSError):  # a name with a NUL, or one that is too long
        lies = False
    if not lies:
        raise RunError(f"run {folder.name}: {printable(name)} is no file of this run")
    return found


def _point_at_attached(part: Path, target: Path) -> None:
    """Let settings that name a file name the one that came along."""
    extra = {file.stem: file.name for file in (part / ATTACHED).iterdir()} if (part / ATTACHED).is_dir() else {}
    if not extra:
        return
    from kagglekit.recipe import validate

    manifest = read_manifest(part)
    if not manifest.recipe:
        return
    techniques = [
        {"name": one.name, "settings": one.settings | {
            key: str(target / ATTACHED / extra[f"{one.name}.{key}"])
            for key in one.settings if f"{one.name}.{key}" in extra
        }}
        for one in manifest.techniques
    ]  # fmt: skip
    tree = manifest.recipe | ({"techniques": techniques} if techniques else {})
    try:
        recipe = validate(tree)
    except RecipeError as error:
        raise RunError(f"{folders.MANIFEST}: damaged: {error}") from error
    amend(part / folders.MANIFEST, recipe=tree, recipe_identity=recipe.identity())
    write_text(part / folders.RECIPE, recipe.to_toml())


def recipe_in(target: str) -> str:
    """The recipe file of a bundle, or `target` itself: what `kk run` takes."""
    return str(find(target) / folders.RECIPE) if is_bundle(target) else target
