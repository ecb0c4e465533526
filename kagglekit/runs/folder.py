"""Run folders: `runs/<competition>/<identity>`, `-2`, `-3` ... for repeats; who may write one; what state it is in."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from kagglekit.errors import RunError, UsageError, did_you_mean
from kagglekit.files import write_text

RESULT, MANIFEST, RECIPE = "result.json", "manifest.json", "recipe.toml"
DATA, CODE = "data.txt", "code.txt"  # hash and name of each file that a run read, and of each source it ran
FOLDS = "folds.json"
VALIDATED = "validated.json"  # of a trial: trained and validated, the test part left for later
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
    return int(number) if number.isdigit() else 1


def next_repeat(base: Path) -> Path:
    """The folder that a further repeat of the experiment gets."""
    existing = repeats(base)
    return base.with_name(f"{base.name}-{_number(base, existing[-1]) + 1}") if existing else base


def competition_of(manifest: Mapping[str, Any]) -> str:
    """The competition that a manifest names; raises RunError where that is no plain name of a folder.

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
        raise RunError(f"{MANIFEST}: competition {name!r} is no plain name; the record is damaged or was tampered with")
    return name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises RunError for a missing or damaged file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent}: has no {path.name}; it is not a run, or it never started") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged: holds {type(found).__name__}, not an object")
    return found


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-like value, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_hashes(path: Path, hashes: Mapping[str, str]) -> None:
    """A line "hash  name" per file, as checksum tools write it."""
    write_text(path, "".join(f"{content}  {name}\n" for name, content in sorted(hashes.items())))


def read_hashes(path: Path) -> dict[str, str]:
    """Name -> hash; raises RunError for a missing file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RunError(f"{path.parent}: has no {path.name}; it was made by an older version") from None
    return {name: content for content, _, name in (line.partition("  ") for line in lines)}


def is_done(folder: Path) -> bool:
    """Has the run ended well?"""
    return (folder / RESULT).exists()


def is_running(folder: Path) -> bool:
    """Does a living process hold the experiment of this run?"""
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_path(folder))
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock_path(folder: Path) -> Path:
    base = folder.name.split("-")[0]
    return folder.parent / f".{base}.lock"


@contextmanager
def held(base: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the experiment of `base`; waits, saying for whom, while another living process does."""
    from filelock import FileLock, Timeout

    base.parent.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(_lock_path(base)), base.parent / f".{base.name.split('-')[0]}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = note.read_text() if note.exists() else "another process"
        say(f"{holder} is at this experiment; waiting for its result (Ctrl-C leaves it undisturbed)")
        lock.acquire()
    try:
        note.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


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
