"""Sample data of a competition, drawn once and kept."""

from __future__ import annotations

import os
from pathlib import Path

from kagglekit import progress
from kagglekit.runs.folder import home
from kagglekit.solution import Solution


def sample_folder(solution: Solution, count: int, seed: int) -> Path:
    """The folder with `count` sample pictures of the competition, drawn now if it is not there.

    Lies in `KAGGLEKIT_SAMPLES`, else `samples` beside the runs; the name tells count and seed.
    """
    from filelock import FileLock

    parent = Path(os.environ.get("KAGGLEKIT_SAMPLES") or home().parent / "samples")
    root = parent / f"{solution.competition.id}-{count}-seed{seed}"
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / f".{root.name}.lock"):
        if not root.exists():
            progress.say(f"no --data given: drawing {count} sample pictures into {root}")
            draw(solution, root, count, seed)
    return root


def draw(solution: Solution, root: Path, count: int, seed: int) -> None:
    """Let the competition draw its sample data."""
    solution.sample(root, count, seed, progress.track)
