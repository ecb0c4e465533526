"""Sample data of a competition, drawn once and kept."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from kagglekit import progress
from kagglekit.errors import UsageError
from kagglekit.files import write_text
from kagglekit.plugin.solution import Solution
from kagglekit.runs.folder import home
from kagglekit.runs.locks import alone
from kagglekit.runs.record import Manifest

MARK = ".drawn"  # in a folder of sample data, so that no score on it is taken for one on a contest's images


def is_drawn(root: Path) -> bool:
    """Are these sample data that a competition drew itself?"""
    return (Path(root) / MARK).is_file()


def was_drawn(manifest: Manifest) -> bool:
    """Was a run made of drawn data? Folders of older versions have no mark; then the name they were given tells."""
    name = Path(manifest.data).name
    given = rf"{re.escape(manifest.competition)}-\d+-seed\d+"
    return bool(manifest.drawn) or re.fullmatch(given, name) is not None


def _mark(solution: Solution, root: Path, count: int, seed: int) -> None:
    write_text(root / MARK, f"{solution.competition.id}: {count} images, seed {seed}\n")


def _draw(solution: Solution, root: Path, count: int, seed: int) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    solution.sample(root, count, seed, progress.track)
    _mark(solution, root, count, seed)


def sample_folder(solution: Solution, count: int, seed: int) -> Path:
    """The folder with `count` sample images of the competition, drawn now if it is not there.

    Lies in `KAGGLEKIT_SAMPLES`, else `samples` beside the runs; the name tells count and seed.
    """
    parent = Path(os.environ.get("KAGGLEKIT_SAMPLES") or home().parent / "samples")
    root = parent / f"{solution.competition.id}-{count}-seed{seed}"
    with alone(str(root.resolve()), f"draws into {root}"):
        if not root.exists():
            progress.say(f"no --data given: drawing {count} sample images into {root}")
            _draw(solution, root, count, seed)
        elif not is_drawn(root):
            with suppress(OSError):  # a folder that is shared for reading keeps its name, which tells too
                _mark(solution, root, count, seed)
    return root


def draw(solution: Solution, root: Path, count: int, seed: int) -> None:
    """Let the competition draw sample data into a new folder; raises UsageError when it holds something."""
    with alone(str(root.resolve()), f"draws into {root}"):
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UsageError(f"{root}: exists and is not empty; name a new folder")
        _draw(solution, root, count, seed)
