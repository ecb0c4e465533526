"""Run folders: `runs/<competition>/<identity>`, `-2`, `-3` ... for repeats; who may write one; what state it is in."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from kagglekit.errors import RunError, UsageError, did_you_mean
from kagglekit.files import locked, printable, write_text
from kagglekit.parsing import from_json

RESULT, MANIFEST, RECIPE = "result.json", "manifest.json", "recipe.toml"
DATA, CODE = "data.txt", "code.txt"  # hash and name of each file that a run read, and of each source it ran
FOLDS = "folds.json"
VALIDATED = "validated.json"  # of a trial: trained and validated, the test part left for later
HASH = re.compile("[0-9a-f]{16,64}")
BUNDLES = "bundles"  # where bundles are unpacked, below the runs


def home() -> Path:
    """Where runs lie: `KAGGLEKIT_RUNS`, else `runs` in the working folder."""
    return Path(os.environ.get("KAGGLEKIT_RUNS") or "runs")


def cache() -> Path:
    """Where stores and hashes lie, shared by all projects of a user: `KAGGLEKIT_CACHE`, else `~/.cache/kagglekit`."""
    chosen = os.environ.get("KAGGLEKIT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kagglekit"


def repeats(base: Path) -> list[Path]:
    """The folders of one experiment that exist, oldest first: `base`, `base-2`, ..."""
    found = [p for p in base.parent.glob(f"{base.name}*") if p == base or _number(base, p) > 1]
    return sorted(found, key=lambda path: _number(base, path))


def _number(base: Path, path: Path) -> int:
    number = path.name.removeprefix(f"{base.name}-")
    return int(number) if number.isascii() and number.isdigit() else 1


def next_repeat(base: Path) -> Path:
    """The folder that a further repeat of the experiment gets."""
    existing = repeats(base)
    return base.with_name(f"{base.name}-{_number(base, existing[-1]) + 1}") if existing else base


def competition_of(manifest: Mapping[str, Any], path: Path | None = None) -> str:
    """The competition that a manifest (of `path`) names; raises RunError where that is no plain name of a folder.

    Manifests come with other people's bundles, and the name becomes part of paths.
    """
    name = manifest.get("competition")
    # The rules of Windows forbid all that those of other systems do: both slashes, and drives.
    if (
        not isinstance(name, str)
        or name != PureWindowsPath(name).name
        or not name.isprintable()
        or name[:1] in ("", ".")
    ):
        raise RunError(
            f"{path or MANIFEST}: competition {name!r} is no plain name; the record is damaged or was tampered with"
        )
    return name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises RunError for a missing or damaged file."""
    try:
        found = from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent}: has no {path.name}; it is not a run, or it never started") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged: holds {type(found).__name__}, not an object")
    return found


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-like value, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_hashes(path: Path, hashes: Mapping[str, str]) -> None:
    """A line "hash  name" per file, as checksum tools write it."""
    lines = (f"{content}  {shown_name(name)}\n" for name, content in sorted(hashes.items()))
    write_text(path, "".join(lines))


def shown_name(name: str) -> str:
    """The name of a file as lists of hashes have it: one line of UTF-8, whatever bytes it holds."""
    return printable(name).replace("\n", "\\n")


def read_hashes(path: Path) -> dict[str, str]:
    """Shown name -> hash; raises RunError for a missing or damaged file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path.parent}: has no {path.name}; it was made by an older version") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged: is no UTF-8 text: {error}; run it anew with --again") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        content, gap, name = line.partition("  ")
        if line and not (gap and name and HASH.fullmatch(content)):
            raise RunError(f"{path}: damaged: line {number} is no hash with a name; run it anew with --again")
        found |= {name: content} if line else {}
    return found


def is_done(folder: Path) -> bool:
    """Has the run ended well?"""
    return (folder / RESULT).exists()


def is_running(folder: Path) -> bool:
    """Does a living process hold the experiment of this run?"""
    from filelock import FileLock, Timeout

    path = _lock_path(folder)
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        if not is_read_only(error):
            raise
        return False  # nobody can write where we cannot


def _lock_path(folder: Path) -> Path:
    base = folder.name.split("-")[0]
    return folder.parent / f".{base}.lock"


def is_read_only(error: OSError) -> bool:
    """Does the error say that a folder can be read but not written?"""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def check_places() -> None:
    """Raise UsageError where runs, cache or samples can never lie, before any work is done."""
    for variable, folder in (("RUNS", home()), ("CACHE", cache()), ("SAMPLES", os.environ.get("KAGGLEKIT_SAMPLES"))):
        absolute = Path(folder or ".").absolute()
        for one in (absolute, *absolute.parents):
            if one.is_dir():
                break
            if one.exists() or one.is_symlink():
                kind = "a file" if one.exists() else "a link to nothing"
                raise UsageError(f"{one}: is {kind} where a folder belongs; name another one with KAGGLEKIT_{variable}")


@contextmanager
def held(base: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the experiment of `base`; waits, saying for whom, while another living process does.

    Where nothing can be written, an experiment with a result is not held: there is nothing to do but read it.
    """
    note = base.parent / f".{base.name.split('-')[0]}.holder"

    def busy() -> None:
        holder = note.read_text(errors="replace") if note.exists() else "another process"
        say(f"{holder} is at this experiment; waiting for its result (Ctrl-C leaves it undisturbed)")

    with ExitStack() as stack:
        try:
            stack.enter_context(locked(_lock_path(base), busy))
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            stack.callback(note.unlink, missing_ok=True)
        except OSError as error:
            # A result that is known is read without.
            if not is_read_only(error) or not any(is_done(one) for one in repeats(base)):
                raise
        yield


def find(name: str, root: Path | None = None) -> Path:
    """A run by its path, its id or the beginning of its id, with or without `COMPETITION/`; raises UsageError."""
    root = root or home()
    if (Path(name) / MANIFEST).exists():
        return Path(name).resolve()  # "." has no name of its own
    folders = [p.parent for p in root.glob(f"*/*/{MANIFEST}")]
    names = {p: (p.name, f"{p.parent.name}/{p.name}") for p in folders}
    exact = [p for p in folders if name in names[p]]
    near = exact or [p for p in folders if any(n.startswith(name) for n in names[p])]
    if not near:
        raise UsageError(
            f"no run is named {name} below "
            f"{root}{did_you_mean(name, (p.name for p in folders)) if folders else '; there are none yet'}"
        )
    if len(near) > 1:
        raise UsageError(
            f"{name} is the beginning of several runs: {', '.join(sorted(p.name for p in near))}; give more of it"
        )
    return near[0]
