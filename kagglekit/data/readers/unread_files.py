"""What lies among images and is not read as one: named, so that nobody wonders where it went."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from kagglekit.data.readers.images import SUFFIXES, is_file
from kagglekit.types import Problem

SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})  # what file managers leave behind
TEXTS = frozenset({".json", ".csv", ".tsv", ".txt", ".md", ".toml", ".yaml", ".yml", ".xml", ".html", ".npy", ".py"})
_NAMED = 5  # names that one line lists


def strangers(folder: Path, known: Iterable[Path] = ()) -> list[Path]:
    """What lies directly in `folder` and is not read as an image, sorted: files of other endings, folders, pipes.

    Left out are dot files, what file managers leave behind, texts and tables, and the data set's own files, `known`,
    with the folders that hold them. Empty where there is no such folder.
    """
    return _found(folder, _by_folder(known).get(str(folder), set()))


def stranger_problems(folders: Iterable[Path], known: Iterable[Path] = ()) -> list[Problem]:
    """A problem for each folder of images that holds something else: how much, and the first names."""
    found, ours = [], _by_folder(known)
    for folder in dict.fromkeys(folders):
        names = [path.name + "/" * path.is_dir() for path in _found(folder, ours.get(str(folder), set()))]
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            detail = f"{folder} holds {', '.join(names[:_NAMED])}{more}; neither other endings nor folders are read"
            found.append(Problem(folder.name, "not read", detail, skip=False))
    return found


def _by_folder(known: Iterable[Path]) -> dict[str, set[str]]:
    """Folder -> names in it that are known, folders on the way to a known file too."""
    ours: dict[str, set[str]] = {}
    for path in known:
        above, name = os.path.split(path)
        new = above not in ours
        ours.setdefault(above, set()).add(name)
        while new and name:
            above, name = os.path.split(above)
            new = above not in ours
            ours.setdefault(above, set()).add(name)
    return ours


def _found(folder: Path, ours: Collection[str]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / e.name for e in entries if e.name not in ours and _strange(e))
    except OSError:
        return []


def _strange(entry: os.DirEntry) -> bool:
    name, ending = entry.name.lower(), Path(entry.name).suffix.lower()
    if name.startswith(".") or name in SYSTEM:
        return False
    return not is_file(entry) or ending not in (SUFFIXES | TEXTS)
