"""Write eda.html, the self-contained page about a competition's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.data.resize import resize_image, resize_mask, shrink_image, tiling_of
from kagglekit.data.thumbs import small_image
from kagglekit.errors import DataError
from kagglekit.files import write_bytes
from kagglekit.protocols import Dataset
from kagglekit.report import figures
from kagglekit.report.clean_page import SIDE, gallery, labelled, visible
from kagglekit.report.figures import ACCENT, MUTED, SECOND
from kagglekit.report.run_page import page_environment
from kagglekit.types import Draw, Finding, Sample, Task, Track, untracked

FINDINGS_BUDGET, EXAMPLES_BUDGET, PAIRS_BUDGET = 1_900_000, 900_000, 700_000  # characters of data URIs
FINDINGS, PAIRS, CHANNELS, MATRIX = 6, 8, 4, 14  # that are shown: of a rule, copies, of an image, classes


def write_eda_page(
    path: Path,
    facts: Mapping[str, Any],
    dataset: Dataset,
    examples: Sequence[Draw] = (),
    found: Sequence[Finding] = (),
    track: Track = untracked,
) -> Path:
    """Write the page about `facts` (as `eda.explore` makes them) to `path` and return it.

    `examples` are labelled images to show, `found` what rules distrust. Images that cannot be read are shown as
    text. Raises OSError when the disk does not take the file.
    """
    environment = page_environment()
    environment.filters.update(share=share_text, value=value_text)
    features = facts["drift"]["features"]
    shown = track(examples, len(examples), "drawing examples")
    page = environment.get_template("eda.html.j2").render(
        facts=facts,
        examples=[example(dataset, draw, facts["task"], len(examples)) for draw in shown],
        findings=gallery(dataset, found, facts["task"], FINDINGS, FINDINGS_BUDGET, track),
        heat=[heat_map(rows) for rows in facts["places"]],
        colors=[figures.css_color(figures.class_color(k)) for k in range(1, len(facts["classes"]) + 1)],
        matrix=together(facts["classes"], facts["together"]),
        intensities=intensity_charts(facts["intensity"]),
        windows=window_images(dataset, examples, facts["intensity"]["windows"]),
        pairs=pairs(dataset, facts["copies"], track),
        drifts=[drift_chart(k, one) for k, one in enumerate(track(features, len(features), "drawing charts"))],
    )
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(path, page.encode("utf-8", errors="backslashreplace"))
    return path


def share_text(value: float) -> str:
    """A share as people say it: 45%, 2.3%, 0.04%, <0.001%."""
    percent = 100 * value
    if percent == 0 or percent >= 9.95:
        return f"{percent:.0f}%"
    return "<0.001%" if percent < 0.001 else f"{percent:.2g}%"


def value_text(value: float) -> str:
    """A measured value with three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def example(dataset: Dataset, draw: Draw, task: Task, count: int) -> dict[str, Any]:
    """A labelled image, or a window of a slide, with its label outlined."""
    try:
        if draw.box is None:
            image, mask = labelled(dataset, draw.sample, task)
        else:
            reduce = tiling_of(dataset.tiling).reduce
            image = visible(shrink_image(dataset.read_image(draw.sample, draw.box), reduce))
            mask = resize_mask(dataset.read_mask(draw.sample, draw.box), image.shape[:2], task)
    except DataError as error:
        return {"name": draw.sample.id, "fault": str(error)}
    overlay = figures.truth_overlay(image, mask, SIDE)
    uri = figures.jpeg_data_uri(overlay, EXAMPLES_BUDGET // max(1, count))
    return {"name": draw.sample.id, "fault": "", "uri": uri, "size": overlay.shape[1::-1]}


def together(names: Sequence[str], counts: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Rows of the table of classes that come together: of classes that are shown, the `MATRIX` most frequent.

    `parts` are shares of the images of the row that show each column, None for itself.
    """
    kept = sorted(sorted(range(len(names)), key=lambda k: -counts[k][k])[:MATRIX])
    kept = [k for k in kept if counts[k][k]]
    return [
        {
            "name": names[i],
            "count": counts[i][i],
            "parts": [None if i == j else counts[i][j] / counts[i][i] for j in kept],
        }
        for i in kept
    ]


def heat_map(rows: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """Where a class lies, as an image of a few cells, dark to bright; None where nothing is known."""
    if not rows:
        return None
    import matplotlib

    cells = np.array(rows)
    top = float(cells.max())
    colors = matplotlib.colormaps["magma"](cells / max(top, 1e-9))[..., :3]
    return {"uri": figures.png_data_uri(np.rint(colors * 255).astype(np.uint8)), "top": top}


def intensity_charts(intensity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By channel its percentiles and a chart of its histogram, inside and outside of labels."""
    charts = []
    for number, one in enumerate(intensity["channels"][:CHANNELS]):
        svg = distribution(f"intensity-{number}", one, one["from"], one["to"], f"Histogram of channel {number + 1}")
        charts.append({"number": number + 1, "svg": svg, **one})
    return charts


def distribution(name: str, one: Mapping[str, Any], low: float, high: float, label: str) -> str:
    """A chart of histograms from `low` to `high`: objects and the rest, or all pixels where there are no labels."""
    lines = [(one["outside"], MUTED), (one["inside"], ACCENT)] if one["inside"] and one["outside"] else []
    return steps(name, lines or [(one["all"], ACCENT)], low, high, label)


def steps(name: str, lines: Sequence[tuple[Sequence[float], str]], low: float, high: float, label: str) -> str:
    """A small chart of histograms over the same bins from `low` to `high`, as filled steps."""

    def draw(axes) -> None:
        from matplotlib.ticker import MaxNLocator

        for shares, color in lines:
            edges = np.linspace(low, high, len(shares) + 1)
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.16)
            axes.stairs(shares, edges, color=color, linewidth=1.8)
        figures.dress(axes)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.set_xlim(low, high)
        top = max(max(shares) for shares, _ in lines)
        inner = max(max(shares[1:-1], default=top) for shares, _ in lines)
        # What is cut off piles up in the bins at the ends; it must not flatten all others.
        axes.set_ylim(0, 1.06 * max(1e-9, min(top, max(1.2 * inner, 0.2 * top))))

    return figures.svg_chart(name, draw, label, (3.6, 1.9))


def window_images(
    dataset: Dataset, examples: Sequence[Draw], windows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Of each suggested intensity window its chart, and how it shows one example."""
    image = None
    if windows and examples and examples[0].box is None:
        draw = examples[len(examples) // 2]
        try:
            image = figures.scaled_photo(np.repeat(_first_channel(dataset, draw), 3, 2), SIDE)
        except DataError:
            image = None  # the gallery says that it cannot be read
    shown = []
    for number, one in enumerate(windows):
        label = f"Histogram from {one['low']} to {one['high']}"
        svg = distribution(f"window-{number}", one, one["low"], one["high"], label)
        uri = ""
        if image is not None:
            gray = np.clip((image - one["low"]) / max(1, one["high"] - one["low"]), 0, 1)
            uri = figures.jpeg_data_uri(np.rint(255 * gray).astype(np.uint8), 60_000)
        size = (image.shape[1], image.shape[0]) if image is not None else (0, 0)
        shown.append({**one, "svg": svg, "uri": uri, "image_size": size})
    return shown


def _first_channel(dataset: Dataset, draw: Draw) -> np.ndarray:
    image = dataset.read_image(draw.sample)[..., :1].astype(np.float32)
    scale = min(1.0, SIDE / max(image.shape[:2]))
    return resize_image(image, tuple(max(1, round(scale * side)) for side in image.shape[:2]))


def pairs(
    dataset: Dataset, copies: Mapping[str, Any] | None, track: Track = untracked
) -> dict[str, list[dict[str, Any]]]:
    """Images that are nearly the same, two of each group: in both parts ("leaks"), and in the training part."""
    if not copies:
        return {"leaks": [], "train": []}
    train, test = ({sample.id: sample for sample in part} for part in (dataset.train, dataset.test))
    leaks = [(train[one["train"][0]], test[one["test"][0]], one) for one in copies["leaks"][:PAIRS]]
    inside = [(train[ids[0]], train[ids[1]], {"train": ids, "test": []}) for ids in copies["train"][:PAIRS]]
    limit = PAIRS_BUDGET // max(1, 2 * (len(leaks) + len(inside)))
    return {
        name: [
            {"images": [_plain(dataset, s, limit) for s in (a, b)], "more": len(one["train"]) + len(one["test"]) - 2}
            for a, b, one in track(some, len(some), "drawing copies")
        ]
        for name, some in (("leaks", leaks), ("train", inside))
    }


def _plain(dataset: Dataset, sample: Sample, limit: int) -> dict[str, Any]:
    scale = min(1.0, SIDE / max(sample.size))
    try:
        size = max(1, round(scale * sample.size[0])), max(1, round(scale * sample.size[1]))
        overlay = figures.scaled_photo(visible(small_image(dataset, sample, size)), SIDE)
    except DataError as error:
        return {"name": sample.id, "fault": str(error)}
    uri = figures.jpeg_data_uri(overlay, limit)
    return {"name": sample.id, "fault": "", "uri": uri, "size": overlay.shape[1::-1]}


def drift_chart(number: int, one: Mapping[str, Any]) -> dict[str, Any]:
    """A feature with the histograms of both parts over each other."""
    train, test = one["shares"]
    label = f"{one['name']} of training and test images"
    svg = steps(f"drift-{number}", [(train, ACCENT), (test, SECOND)], one["bins"][0], one["bins"][-1], label)
    return {"svg": svg, **one}
