"""Write the page of a comparison: both scores, what differs in the recipe, images on which two runs disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagglekit.files import write_bytes
from kagglekit.report import figures
from kagglekit.report.disagreements import SIDE, Disagreement
from kagglekit.report.run_page import page_environment
from kagglekit.report.tune_page import signed_text, span
from kagglekit.runs.search_record import EstimateRecord

BUDGET = 3_000_000  # characters of data URIs


def write_compare_page(
    path: Path, found: Mapping[str, Any], images: Sequence[Disagreement], classes: Sequence[str], reason: str = ""
) -> Path:
    """Write the page to `path` and return it.

    `found` is what `publish.compare` gives, `classes` names those of the masks from 1 on; `reason` says why
    there are no images. Raises OSError when the disk does not take the file.
    """
    axis = None
    if gap := found["difference"]:
        ends = [0.0, gap["low"], gap["high"]]
        room = 0.08 * (max(ends) - min(ends) or 1e-3)
        low, high = min(ends) - room, max(ends) + room
        axis = {"at": span(EstimateRecord(**gap), low, high), "zero": round(100 * -low / (high - low), 2)}
    limit = BUDGET // (3 * max(1, len(images)))
    masks = [mask for one in images for mask in (*one.masks, one.truth) if mask is not None]
    environment = page_environment()
    environment.filters["score"] = signed_text
    page = environment.get_template("compare.html.j2").render(
        found=found,
        axis=axis,
        cards=[card(one, found["runs"], limit) for one in images],
        legend=figures.overlay_legend(masks, classes),
        with_truth=any(one.truth is not None for one in images),
        reason=reason,
    )
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(path, page.encode("utf-8", errors="backslashreplace"))
    return path


def card(one: Disagreement, runs: Sequence[str], limit: int) -> dict[str, Any]:
    """What the template shows of one image: the truth, where it is known, and both masks over the photo."""
    shown = []
    if one.truth is not None:
        truth = figures.truth_overlay(one.image, one.truth, SIDE)
        shown.append(("Truth", truth, f"{one.sample} with the true outline"))
    for letter, run, mask in zip("AB", runs, one.masks, strict=True):
        if one.truth is None:
            image, what = figures.truth_overlay(one.image, mask, SIDE), "its mask outlined"
        else:
            image, what = figures.error_overlay(one.image, one.truth, mask, SIDE), "its errors coloured"
        shown.append((f"{letter}, {run}", image, f"{one.sample} as {run} has it, {what}"))
    return {
        "id": one.sample,
        "share": one.share,
        "scores": one.scores,
        "size": shown[0][1].shape[1::-1],
        "images": [(name, figures.jpeg_data_uri(image, limit), alt) for name, image, alt in shown],
    }
