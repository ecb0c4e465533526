"""The submission: the sample submission with every `polygon1` overwritten; order and other keys are kept."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from kagglekit import DataError, SubmissionError, SubmissionFormat
from kagglekit.api import did_you_mean, write_bytes
from kagglekit_hair_seg import polygon
from kagglekit_hair_seg.contest import SIZE
from kagglekit_hair_seg.labels import Point, read_document, to_array

NOTHING = np.zeros((3, 2), np.int32)  # how an empty prediction is written: three points at (0, 0)
EPSILONS = (0.0, 0.555, 0.8, 1.1, 1.5, 2.1, 3.0, 4.2, 6.0, 8.5, 12.0, 17.0, 24.0)  # pixels; 0.555 is the 2nd place's


@dataclass
class PolygonJson(SubmissionFormat):
    """Rows are int32 `[N, 2]` of (x, y)."""

    sample: Path
    min_area: int = 75
    max_points: int = 0
    max_bytes: int = 0
    filename: str = "submission.json"
    _names: list[str] = field(default_factory=list, repr=False)

    def names(self) -> list[str]:
        """File names in the order of the sample submission; raises DataError for repeated or missing names."""
        if not self._names:
            _, entries = read_document(self.sample)
            self._names = _checked_names(self.sample, entries, DataError)
        return self._names

    @property
    def loses(self) -> str:
        """What one polygon for each image cannot hold."""
        return f"regions and holes below {self.min_area} pixels, and a line of pixels for each bridge"

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """One closed-bridge polygon around all regions and holes, losing nothing but small parts and bridges."""
        points = polygon.trace(mask, 0.0, self.min_area)
        return points if len(points) else NOTHING

    def decode(self, row: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """uint8 `[H, W]` as labels are rasterised. Three points at one place are an empty mask, not a pixel."""
        if len(row) == 0 or (row == row[0]).all():
            return np.zeros(size, np.uint8)
        return polygon.fill(row, size)

    def shrink(self, rows: Mapping[str, np.ndarray], share: float = 1.0) -> Mapping[str, np.ndarray]:
        """The rows within `max_points` each and `max_bytes` in all, simplified where it costs least IoU.

        Every polygon has a ladder of simplifications with its IoU to the full one; steps are taken in the order of the
        IoU they cost per byte they save until the file fits. Raises SubmissionError when it cannot.
        """
        budget = (self.max_bytes - self._frame()) * share if self.max_bytes else float("inf")
        fits = all(not self.max_points or len(row) <= self.max_points for row in rows.values())
        if fits and sum(_bytes(row) for row in rows.values()) <= budget:
            return rows
        from kagglekit.api import track

        ladders = {
            name: _ladder(row, self.max_points) for name, row in track(rows.items(), len(rows), "simplifying polygons")
        }
        return _spend(ladders, budget)

    def _frame(self) -> int:
        """Bytes of the file without its points: names, other keys and punctuation of the sample submission."""
        document, entries = read_document(self.sample)
        for entry in entries:
            entry["polygon1"] = []
        return len(msgspec.json.encode(document))

    def write(self, path: Path, rows: Mapping[str, np.ndarray]) -> None:
        """Overwrite `polygon1` of every entry of the sample submission; raises SubmissionError for other ids."""
        document, entries = read_document(self.sample)
        known = set(self.names())
        for name in rows:
            if name not in known:
                raise SubmissionError(f"{path}: {name} is not in {self.sample}{did_you_mean(name, known)}")
        missing = [name for name in self.names() if name not in rows]
        if missing:
            raise SubmissionError(
                f"{path}: {len(missing)} images of {self.sample} have no prediction, the first is {missing[0]}"
            )
        for entry in entries:
            entry["polygon1"] = [{"x": int(x), "y": int(y)} for x, y in rows[entry["file_name"]]]
        write_bytes(path, msgspec.json.encode(document))

    def read(self, path: Path) -> dict[str, np.ndarray]:
        """Rows by file name; raises SubmissionError that names the entry with the first fault."""
        try:
            _, entries = read_document(path)
        except DataError as error:
            raise SubmissionError(str(error)) from None
        rows = {}
        for name, entry in zip(_checked_names(path, entries, SubmissionError), entries, strict=True):
            try:
                points = to_array(msgspec.convert(entry.get("polygon1"), list[Point]))
            except (msgspec.ValidationError, ValueError) as error:
                raise SubmissionError(f"{path}: {name}: polygon1: {error}") from None
            if len(points) < 3:
                raise SubmissionError(f"{path}: {name}: polygon1 has {len(points)} points; a polygon has at least 3")
            if points.min() < 0 or points.max() > 511:
                raise SubmissionError(f"{path}: {name}: a point lies outside the image (0..511)")
            if fault := polygon.too_much(points, SIZE):
                raise SubmissionError(f"{path}: {name}: polygon1: {fault}")
            rows[name] = points
        return rows


def _checked_names(path: Path, entries: list, error: type[Exception]) -> list[str]:
    names: list[str] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or "/" in name or "\\" in name:
            raise error(f"{path}: entry {index} has no usable file_name ({name!r})")
        if name in seen:
            raise error(f"{path}: {name} is listed twice (again in entry {index}); every image must be listed once")
        seen.add(name)
        names.append(name)
    if not names:
        raise error(f"{path}: lists no image")
    return names


def _bytes(row: np.ndarray) -> int:
    digits = 1 + np.floor(np.log10(np.maximum(row, 1))).astype(int)
    return int(digits.sum()) + len(row) * len('{"x":,"y":},') - 1


def _ladder(row: np.ndarray, max_points: int) -> list[tuple[int, float, np.ndarray]]:
    """(bytes, IoU lost, polygon), from the full polygon to the coarsest, each smaller than the one before."""
    size = (int(row[:, 1].max()) + 2, int(row[:, 0].max()) + 2)
    full = polygon.fill(row, size)
    rungs: list[tuple[int, float, np.ndarray]] = []
    for epsilon in EPSILONS:
        points = row if epsilon == 0 else polygon.trace(full, epsilon)
        if len(points) < 3 or (max_points and len(points) > max_points):
            continue
        again = polygon.fill(points, size)
        lost = 1 - np.count_nonzero(full & again) / max(1, np.count_nonzero(full | again))
        if not rungs or _bytes(points) < rungs[-1][0]:
            rungs.append((_bytes(points), float(lost), points))
    if not rungs:
        points = _coarsest(row, full, max_points)
        again = polygon.fill(points, size)
        rungs.append((_bytes(points), float(1 - (full & again).sum() / max(1, (full | again).sum())), points))
    return _convex(rungs)


def _coarsest(row: np.ndarray, full: np.ndarray, max_points: int) -> np.ndarray:
    """For shapes so ragged that every outline has too many points: the largest region alone, else the hull thinned."""
    import cv2

    for epsilon in EPSILONS:
        points = polygon.trace(full, epsilon, full.size + 1)
        if 3 <= len(points) <= max_points:
            return points
    hull = cv2.convexHull(row.astype(np.int32))[:, 0]
    # At least 3 points, one of them twice where the hull is a line.
    return hull[np.linspace(0, len(hull) - 1, max(3, min(len(hull), max_points))).astype(int)]


def _convex(rungs: list[tuple[int, float, np.ndarray]]) -> list[tuple[int, float, np.ndarray]]:
    """The rungs on the lower convex hull of loss over bytes: the only ones that a best division of bytes can use."""
    hull: list[tuple[int, float, np.ndarray]] = []
    for rung in rungs:
        while len(hull) >= 2 and (rung[1] - hull[-2][1]) * (hull[-2][0] - hull[-1][0]) <= (
            hull[-1][1] - hull[-2][1]
        ) * (hull[-2][0] - rung[0]):
            hull.pop()
        hull.append(rung)
    return hull


def _spend(ladders: dict[str, list[tuple[int, float, np.ndarray]]], budget: float) -> dict[str, np.ndarray]:
    at = dict.fromkeys(ladders, 0)
    total = sum(ladder[0][0] for ladder in ladders.values())
    steps = [(_price(ladder, 0), name) for name, ladder in ladders.items() if len(ladder) > 1]
    heapq.heapify(steps)
    while total > budget and steps:
        _, name = heapq.heappop(steps)
        ladder, rung = ladders[name], at[name]
        total += ladder[rung + 1][0] - ladder[rung][0]
        at[name] = rung + 1
        if rung + 2 < len(ladder):
            heapq.heappush(steps, (_price(ladder, rung + 1), name))
    if total > budget:
        raise SubmissionError(
            f"settings.max_bytes: the points of the coarsest polygons still need {total} bytes; "
            f"{max(0, int(budget))} are left for them. Raise max_bytes"
        )
    return {name: ladder[at[name]][2] for name, ladder in ladders.items()}


def _price(ladder: list[tuple[int, float, np.ndarray]], rung: int) -> float:
    """IoU lost per byte saved by the next step."""
    (large, before, _), (small, after, _) = ladder[rung], ladder[rung + 1]
    return (after - before) / (large - small)
