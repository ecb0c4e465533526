"""The entry points of one group, read from the `entry_points.txt` of installed distributions.

The same answer as `importlib.metadata.entry_points(group=...)` gives for distributions on disk (a test compares them),
without its import: that alone takes as long as all the rest of `kk list`. Distributions inside zip files are not seen.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class EntryPoint(NamedTuple):
    """A line `name = value` of a group, and the distribution that it belongs to."""

    name: str
    value: str
    distribution: str
    version: str

    def load(self) -> Any:
        """Import the module (or the attribute behind a colon) that `value` names."""
        module, _, attribute = self.value.partition(":")
        loaded = importlib.import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            loaded = getattr(loaded, part)
        return loaded


def entry_points(group: str) -> Iterator[EntryPoint]:
    """All entry points of `group`; of two distributions with one name the first on `sys.path` counts."""
    seen: set[str] = set()
    for folder in dict.fromkeys(entry for entry in sys.path if isinstance(entry, str)):
        try:
            names = sorted(
                entry.name for entry in os.scandir(folder or ".") if entry.name.endswith((".dist-info", ".egg-info"))
            )
        except (OSError, ValueError):  # not there, or no name that a folder can have
            continue
        for name in names:
            distribution, _, rest = name.removesuffix("-info").rpartition(".")[0].partition("-")
            key = re.sub(r"[-_.]+", "-", distribution).lower()
            if key not in seen:
                seen.add(key)
                yield from _read(Path(folder or ".", name, "entry_points.txt"), group, key, rest.split("-")[0])


def _read(path: Path, group: str, distribution: str, version: str) -> Iterator[EntryPoint]:
    try:
        # Any package may have one that is no UTF-8: what it says to others must not end what is said to us.
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield EntryPoint(name.strip(), value.partition("[")[0].strip(), distribution, version)
