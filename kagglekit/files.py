"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_with(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill(temporary)` write a file beside `path`, flush it to disk and rename it over `path`.

    Whatever happens, `path` is the old file or the new one, never half of one. Errors of the disk pass through.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    temporary.touch(exist_ok=False)
    try:
        fill(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    write_with(path, lambda temporary: temporary.write_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed left below `folder`; no living process may be writing there."""
    for litter in Path(folder).rglob(".*.part"):
        litter.unlink(missing_ok=True)
