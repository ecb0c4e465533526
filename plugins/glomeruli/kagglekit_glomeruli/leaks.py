"""A guard against training on the test part: its truth was public for a while, and is in some copies of the data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from kagglekit import Problem
from kagglekit.api import hash_file

WHY = (
    "scores of a model that has seen the answers say nothing; the row is refused as training input (remove it from "
    "train.csv, or take the slide out of the sample submission if it is no test slide for you)"
)


def refuse_leaks(
    root: Path, encodings: Mapping[str, str], names: Collection[str], problems: list[Problem]
) -> dict[str, str]:
    """The rows of `train.csv` without those of test slides, by id or by content; each is listed with an explanation.

    Answer polygons `test/ID.json` are listed and never read.
    """
    tests = {id: root / "test" / f"{id}.tiff" for id in names}
    sizes = {path.stat().st_size: path for path in tests.values() if path.exists()}
    kept = {}
    for id, encoding in encodings.items():
        path = root / "train" / f"{id}.tiff"
        twin = sizes.get(path.stat().st_size) if path.exists() else None  # hashes gigabytes only where sizes agree
        if id in tests:
            problems.append(Problem(id, "leak", f"a test slide has a label in train.csv; {WHY}"))
        elif twin is not None and hash_file(path) == hash_file(twin):
            problems.append(Problem(id, "leak", f"{path.name} is the test slide {twin.name} byte for byte; {WHY}"))
        else:
            kept[id] = encoding
    for id in tests:
        answers = root / "test" / f"{id}.json"
        if answers.exists():
            problems.append(
                Problem(
                    id,
                    "answers beside a test slide",
                    f"{answers.name} holds the polygons of its glomeruli, which were public for a while; it is never "
                    "read, because scores of a model that has seen the answers say nothing",
                    skip=False,
                )
            )
    return kept
