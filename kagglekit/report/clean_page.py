"""Write findings.html, the self-contained gallery of labels that rules distrust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.data.codecs.mask_png import from_text
from kagglekit.data.resize import resize_mask
from kagglekit.data.thumbs import as_bytes, small_image, small_mask
from kagglekit.errors import DataError
from kagglekit.files import write_bytes
from kagglekit.protocols import Dataset
from kagglekit.report import figures
from kagglekit.report.run_page import page_environment
from kagglekit.types import Finding, Sample, Size, Task, Track, untracked

SIDE = 280  # pixels of the longer side of an image
IMAGES_BUDGET = 6_000_000  # characters of data URIs


def write_clean_page(
    path: Path,
    dataset: Dataset,
    found: Sequence[Finding],
    facts: Mapping[str, Any],
    most: int = 24,
    track: Track = untracked,
) -> Path:
    """Write the gallery of `found` to `path` and return it: a section per rule, the worst `most` of each first.

    `facts` holds what is said around it, as `cleaning.summary` makes it. An image that cannot be read is shown as
    text. Raises OSError when the disk does not take the file.
    """
    groups = gallery(dataset, found, facts["task"], most, IMAGES_BUDGET, track)
    page = page_environment().get_template("clean.html.j2").render(result=facts, groups=groups)
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(path, page.encode("utf-8", errors="backslashreplace"))
    return path


def gallery(
    dataset: Dataset, found: Sequence[Finding], task: Task, most: int, budget: int, track: Track = untracked
) -> list[dict[str, Any]]:
    """What the macro `finding_card` shows, by rule: its name, count and the cards of its worst `most`.

    All images together take about `budget` characters of data URIs.
    """
    samples = {sample.id: sample for sample in dataset.train}
    shown = [one for _, ones in sections(found) for one in ones[:most]]
    limit = budget // max(1, 2 * len(shown))
    cards = {}
    for one in track(shown, len(shown), "drawing the gallery"):
        cards[id(one)] = {"finding": one, "images": list(_images(dataset, samples, one, task, limit))}
    return [
        {"rule": rule, "count": len(ones), "cards": [cards[id(one)] for one in ones[:most]]}
        for rule, ones in sections(found)
    ]


def sections(found: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """(rule, its findings, the worst first), in order of the rules' names."""
    rules: dict[str, list[Finding]] = {}
    for one in found:
        rules.setdefault(one.rule, []).append(one)
    return [(rule, sorted(ones, key=lambda one: (-one.score, one.sample))) for rule, ones in sorted(rules.items())]


def _images(
    dataset: Dataset, samples: Mapping[str, Sample], one: Finding, task: Task, limit: int
) -> Iterator[dict[str, Any]]:
    """The sample of a finding, the mask that it proposes, and the first one that it is related to."""
    for name in (one.sample, *one.related[:1]):
        if name not in samples:
            continue
        try:
            image, mask = labelled(dataset, samples[name], task)
            shown = [(name, mask, "its label")]
            if one.mask and name == one.sample:
                shown.append(("proposed", small_proposal(one.mask, samples[name], mask, task), "the proposed mask"))
        except DataError as error:
            yield {"name": name, "fault": str(error), "alt": ""}
            continue
        for title, outline, what in shown:
            overlay = figures.truth_overlay(image, outline, SIDE)
            uri, size = figures.jpeg_data_uri(overlay, limit), overlay.shape[1::-1]
            yield {"name": title, "fault": "", "uri": uri, "size": size, "alt": f"{name} with {what} outlined"}


def labelled(dataset: Dataset, sample: Sample, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """(image uint8 `[h, w, 3]`, label) of the size that is shown."""
    scale = min(1.0, SIDE / max(sample.size))
    size: Size = (max(1, round(scale * sample.size[0])), max(1, round(scale * sample.size[1])))
    image, mask = small_image(dataset, sample, size), small_mask(dataset, sample, size, task)
    height, width = np.minimum(image.shape[:2], mask.shape[:2])  # a plugin's own reading of bands may round otherwise
    return visible(image[:height, :width]), mask[:height, :width]


def small_proposal(text: str, sample: Sample, label: np.ndarray, task: Task) -> np.ndarray:
    """The mask that a finding proposes at the size of a label that is shown; raises DataError."""
    classes = label.shape[2] if label.ndim == 3 else 256 if task == "multiclass" else 1
    return resize_mask(from_text(text, sample.id, sample.size, task, classes), (label.shape[0], label.shape[1]), task)


def visible(image: np.ndarray) -> np.ndarray:
    """An image of any depth and number of channels as uint8 `[h, w, 3]`; deeper ones by rank."""
    image = as_bytes(image)
    return np.ascontiguousarray(image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, 2))
