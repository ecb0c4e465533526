"""Files by the names that labels give them, whichever way accented and Korean letters are composed.

A name can be written in composed letters (NFC, as most programs do) or in parts (NFD, as macOS does); both look alike.
They are compared composed.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def composed(name: str) -> str:
    """The name in composed letters (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def by_name(names: Iterable[str]) -> dict[str, str]:
    """Composed name -> the name as it is; of two that look alike the composed one counts."""
    found: dict[str, str] = {}
    for name in names:
        key = composed(name)
        if key == name or key not in found:
            found[key] = name
    return found


def lookup(values: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    """The values of those of `names` that `values` holds, by the names as they are asked for."""
    keys = by_name(values)
    return {name: values[keys[composed(name)]] for name in names if composed(name) in keys}


def paired(images: Sequence[Path], others: Sequence[Path]) -> tuple[dict[Path, Path], dict[Path, list[Path]]]:
    """(image -> the file beside it, image -> files of which any may be meant) by name, or by name without ending.

    A file of the image's own name is its own. One of another ending is, where no other file or image is called so.
    """
    same = {composed(path.name): path for path in others}
    exact = {path: same[composed(path.name)] for path in images if composed(path.name) in same}
    taken, free = set(exact.values()), defaultdict(list)
    rivals: Counter[str] = Counter()
    for path in others:
        if path not in taken:
            free[composed(path.stem)].append(path)
    rivals.update(composed(path.stem) for path in images if path not in exact)
    found, doubtful = dict(exact), {}
    for path in images:
        stem = composed(path.stem)
        if path in exact or stem not in free:
            continue
        if len(free[stem]) == rivals[stem] == 1:
            found[path] = free[stem][0]
        else:
            doubtful[path] = free[stem]
    return found, doubtful


def find(folder: Path, name: str) -> Path:
    """The path of `name`, which may have folders in it, below `folder`: as it is on disk, or plainly joined if nothing
    is there."""
    path = Path(folder) / name
    if name.isascii() or path.exists():
        return path
    at = Path(folder)
    for part in Path(name).parts:
        if not (at / part).exists():
            try:
                part = _listed(str(at), at.stat().st_mtime_ns).get(composed(part), part)
            except OSError:
                return path
        at /= part
    return at if at.exists() else path


@lru_cache(maxsize=64)
def _listed(folder: str, stamp: int) -> Mapping[str, str]:
    """Names in a folder by what they are composed; kept while the folder is unchanged."""
    return by_name(path.name for path in Path(folder).iterdir())
