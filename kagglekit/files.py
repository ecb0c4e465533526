"""Files that are there whole or not at all, and names that can be shown whatever bytes they hold."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: unfinished files of processes that were killed stay there
    fcntl = None

PART = re.compile(r"\..*\.[0-9a-f]{8}\.part", re.DOTALL)  # the name of what is not finished
LONGEST = 255  # bytes of a file's name on most disks
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a cell begins that a spreadsheet computes
_tidied: set[str] = set()  # folders whose unfinished files this process has looked at


def write_with(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill(temporary)` write a file beside `path`, flush it to disk and rename it over `path`.

    Whatever happens, `path` is the old file or the new one, never half of one. Errors of the disk pass through and name
    `path`.
    """
    path = Path(path)
    try:
        with unfinished(path) as temporary:
            fill(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # of a full disk nothing says which
            error.filename = str(path)
        raise


def write_database(path: Path, fill: Callable[[Path], object]) -> None:
    """`write_with` for what keeps files of its own beside the one it writes, as SQLite does: it gets a folder for them.

    What an older database left beside `path` goes just before, for it would be played into the new one.
    """
    path = Path(path)
    with unfinished(path, folder=True) as folder:
        fill(folder / path.name)
        with (folder / path.name).open("rb") as written:
            os.fsync(written.fileno())
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        (folder / path.name).replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    write_with(path, lambda temporary: temporary.write_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all; what is no Unicode (bytes in file names) with escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def unfinished(path: Path, folder: bool = False, ours: bool = False) -> Iterator[Path]:
    """A new hidden file (or folder) beside `path` to be renamed to it; gone after the block if it was not.

    It is locked while the process lives, so that the next who writes in the same place can tell it from what a process
    that was killed left there, and removes that: files, and folders to be renamed to `path`, or all where the place is
    `ours` alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tidy(path.parent, ours or path.name)
    temporary, lock = _begin(path, folder)
    try:
        yield temporary
    finally:
        _remove(temporary)
        if lock is not None:
            os.close(lock)


def _begin(path: Path, folder: bool) -> tuple[Path, int | None]:
    while True:
        name = os.fsdecode(os.fsencode(path.name)[: LONGEST - 15])
        temporary = path.with_name(f".{name}.{secrets.token_hex(4)}.part")
        if folder:
            temporary.mkdir()
        else:
            temporary.touch(exist_ok=False)
        if fcntl is None:
            return temporary, None
        with suppress(FileNotFoundError):  # somebody tidied it away before it was locked: once more
            lock = os.open(temporary, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks: nobody can remove it then either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, lock
            os.close(lock)


@contextmanager
def locked(path: Path, busy: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`; while another process does, wait, after `busy()`, which may raise instead."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if busy is not None:
            busy()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """A hidden folder beside `root` to write into, which becomes `root` at the end, or is removed after an error.

    Raises FileExistsError if `root` exists and is not empty.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not empty; choose another folder or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(root, folder=True) as part:
        yield part
        if root.exists():
            root.rmdir()
        part.rename(root)


def tidy(folder: Path, folders: str | bool) -> None:
    """Remove what processes that were killed left unfinished in `place` itself; once in the life of a process.

    Of `folders` those that were to become one of that name, or all of them, or none.
    """
    if fcntl is None or str(folder) in _tidied:
        return
    _tidied.add(str(folder))
    with suppress(OSError):  # what cannot be listed is not ours to tidy
        for path in folder.iterdir():
            wanted = folders is True or path.name[1:-14] == folders or not path.is_dir()
            if PART.fullmatch(path.name) and wanted:
                _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if fcntl is None:
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except OSError:  # its writer lives, or no lock can be had
        return
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed left below `folder`; no living process may be writing there."""
    for litter in Path(folder).rglob(".*.part"):
        _remove(litter)


def printable(name: object) -> str:
    """A name or a message as text that every stream and file takes.

    Bytes that are no UTF-8, and characters that steer a terminal, are shown as escapes.
    """
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() or c in "\n\t " else _escape(c) for c in text)


def _escape(character: str) -> str:
    # Spaces of other widths and joiners of scripts are no danger; only C0, C1 and the like steer terminals.
    return character.encode("unicode_escape").decode() if ord(character) < 0xA0 else character


def spreadsheet_safe(cell: object) -> object:
    """A cell of a CSV for people: text that a spreadsheet would take for a formula (`=1+1.png`) gets a `'` before it.

    `from_spreadsheet` takes it away again. Numbers stay as they are.
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def from_spreadsheet(cell: str) -> str:
    """The text of a cell that was written so that no spreadsheet takes it for a formula (`spreadsheet_safe`)."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
