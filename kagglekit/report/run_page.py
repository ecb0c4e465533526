"""Write report.html, the one self-contained page that shows what a run scored, saw and was made of."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.files import write_bytes
from kagglekit.report import figures
from kagglekit.runs.history import read_history
from kagglekit.runs.record import Result, read_manifest, read_result
from kagglekit.runs.record_parts import MemberRecord, Score, Seconds
from kagglekit.train.trained import Epoch

IMAGE_SIDE = 320
IMAGES_BUDGET = 1_600_000  # characters of data URIs; leaves room for curves and text below 2 MB


@dataclass(frozen=True)
class Example:
    """One predicted image: image uint8 [H, W, 3]; truth and predicted uint8 [H, W], or [H, W, K] of K classes."""

    sample_id: str
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    score: float


def write_run_page(folder: Path, examples: Sequence[Example], result: Result | None = None) -> Path:
    """Write folder/report.html from the files of a run, and return its path.

    Reads manifest.json, recipe.toml and, where present, history.csv; result.json unless `result` is given. Examples
    are sorted best first; the first half is shown as best, the rest as worst. Raises RunError, OSError or ValueError
    when a file is absent or unreadable, and then leaves an older report.html as it was.
    """
    folder = Path(folder)
    result = read_result(folder, ()) if result is None else result
    recipe_text = (folder / "recipe.toml").read_text(encoding="utf-8")
    history = read_history(folder)
    context = {
        "result": result,
        "manifest": read_manifest(folder),
        "recipe_text": recipe_text,
        "recipe": recipe_groups(tomllib.loads(recipe_text)),
        "history": [row.as_dict() for row in history],
        "charts": history_charts(history, result.members),
        "scale": score_scale([result.validation, result.test]),
        "times": time_shares(result.seconds),
        "groups": example_groups(examples),
        "legend": figures.overlay_legend(
            (labels for e in examples for labels in (e.truth, e.predicted)), result.classes
        ),
    }
    page = page_environment().get_template("run.html.j2").render(context)
    target = folder / "report.html"
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(target, page.encode("utf-8", errors="backslashreplace"))
    return target


def page_environment():
    """Give the Jinja environment of the pages: escaping is on, and a name the template misspells is an error."""
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        score=score_text, duration=duration_text, size=size_text, moment=moment_text, setting=setting_text
    )
    return environment


def score_text(value: float | None, sign: bool = False) -> str:
    """Write a score with four decimals, or a dash when there is none."""
    number = _number(value)
    if number is None:
        return "–"
    return f"{number:+.4f}" if sign else f"{number:.4f}"


def duration_text(seconds: float | None) -> str:
    """Write seconds as people say them: 12.1 s, 4 min 41 s, 1 h 02 min."""
    number = _number(seconds)
    if number is None:
        return "–"
    if round(number, 1) < 60:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size_text(count: float | None) -> str:
    """Write a number of bytes in the unit that suits it (1 kB = 1000 bytes)."""
    number = _number(count)
    if number is None:
        return "–"
    for unit in ("B", "kB", "MB"):
        if round(number, 1) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def moment_text(moment: str | None) -> str:
    """Write an ISO time as 23 November 2026, 21:00 UTC; text that is no time is returned as it is."""
    try:
        when = datetime.fromisoformat(str(moment))
    except ValueError:
        return str(moment)
    zone = f" {when.tzname()}" if when.tzinfo else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def setting_text(value: Any) -> str:
    """Write a value of a recipe in short: true as yes, lists joined by commas, tables as name = value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {setting_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(item) for item in value)
    return str(value)


def recipe_groups(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sort a recipe into titled groups of (name, value) rows: flat keys first, then one group for each table."""
    basics: list[tuple[str, Any]] = []
    groups: list[dict[str, Any]] = [{"title": "Basics", "rows": basics}]
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            groups.append({"title": _words(key), "rows": [(_words(k), v) for k, v in value.items()]})
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            groups.append({"title": _words(key), "rows": [_table_row(item) for item in value]})
        else:
            basics.append((_words(key), value))
    return [group for group in groups if group["rows"]]


def score_scale(measures: Iterable[Score | None]) -> dict[str, Any] | None:
    """Lay a common axis under several scores with intervals; None when no score has one.

    Returns ticks as (text, percent) and a function `place` that maps a score to its percent from the left.
    """
    ends = [_number(end) for one in measures if one for end in (one.low, one.value, one.high)]
    known = [end for end in ends if end is not None]
    if not known or max(known) <= min(known):
        return None
    low, high = min(known), max(known)
    pad = 0.12 * (high - low)
    low, high = low - pad, high + pad
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    decimals = max(0, -math.floor(math.log10(step)))

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    first, last = math.ceil(low / step), math.floor(high / step)
    ticks = [(f"{index * step:.{decimals}f}", place(index * step)) for index in range(first, last + 1)]
    return {"ticks": ticks, "place": place}


def time_shares(seconds: Seconds) -> list[dict[str, Any]]:
    """Split the total time into its named parts and the unnamed rest; shares are in percent of the total."""
    total = _number(seconds.total)
    named = {name: value for name, value in seconds.parts().items() if value >= 0}
    if not named or not total or total < 0:
        return []
    rest = total - sum(named.values())
    if rest > 0.005 * total:
        named["other"] = rest
    whole = max(total, sum(named.values()))
    return [{"name": name, "seconds": value, "share": round(100 * value / whole, 2)} for name, value in named.items()]


def history_charts(history: Sequence[Epoch], members: Sequence[MemberRecord]) -> list[dict[str, Any]]:
    """Draw loss and validation score over the epochs, a line for each fold; what was never recorded is left out."""
    folds: dict[int | None, list[Epoch]] = {}
    for row in history:
        folds.setdefault(row.fold, []).append(row)
    chosen = {(member.fold, member.epoch) for member in members}

    def curves(column: str, color: str, dashed: bool = False) -> list[figures.Curve]:
        return [figures.Curve(_points(rows, column), color, dashed) for rows in folds.values()]

    losses = {"training": curves("train_loss", figures.MUTED, True), "validation": curves("valid_loss", figures.ACCENT)}
    scores = {"validation": curves("valid_score", figures.ACCENT)}
    marks = [
        point
        for fold, rows in folds.items()
        for point in _points(rows, "valid_score")
        # A history without a fold column is about all members.
        if any(epoch == point[0] and fold in (None, number) for number, epoch in chosen)
    ]
    plans = (
        ("loss", "Loss", losses, (), "Training and validation loss by epoch"),
        ("score", "Validation score", scores, marks, "Validation score by epoch, epochs in the ensemble ringed"),
    )
    charts = []
    for name, title, lines, rings, label in plans:
        drawn = {key: some for key, some in lines.items() if any(curve.points for curve in some)}
        if drawn:
            svg = figures.line_chart(name, list(itertools.chain(*drawn.values())), rings, label)
            charts.append({"title": title, "lines": list(drawn), "marked": bool(rings), "svg": svg})
    return charts


def example_groups(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Turn examples (best first) into Best and Worst groups of images; the worst group starts with the worst one."""
    limit = IMAGES_BUDGET // (3 * max(1, len(examples)))
    cards = [_example_card(example, limit) for example in examples]
    middle = (len(cards) + 1) // 2
    if len(cards) == 1:
        return [{"title": "Example", "cards": cards}]
    groups = [{"title": "Best", "cards": cards[:middle]}, {"title": "Worst", "cards": cards[middle:][::-1]}]
    return [group for group in groups if group["cards"]]


def _example_card(example: Example, limit: int) -> dict[str, Any]:
    shares = {k: 100 * float(m.mean()) for k, m in figures.error_kinds(example.truth, example.predicted).items()}
    photo = figures.scaled_photo(example.image, IMAGE_SIDE)
    truth = figures.truth_overlay(example.image, example.truth, IMAGE_SIDE)
    errors = figures.error_overlay(example.image, example.truth, example.predicted, IMAGE_SIDE)
    shares_text = ", ".join(
        f"{name} {share:.1f} %" for name, share in shares.items() if name != "wrong class" or share > 0
    )
    images = (
        ("Photo", photo, f"Photo {example.sample_id}"),
        ("Truth", truth, f"{example.sample_id} with the true outline"),
        (
            "Prediction",
            errors,
            f"{example.sample_id} with the prediction's errors coloured: {shares_text} of the image",
        ),
    )
    height, width = photo.shape[:2]
    return {
        "id": example.sample_id,
        "score": example.score,
        "size": (width, height),
        "images": [(name, figures.jpeg_data_uri(image, limit), alt) for name, image, alt in images],
    }


def _points(rows: Iterable[Epoch], column: str) -> tuple[tuple[float, float], ...]:
    pairs = ((row.epoch, _number(getattr(row, column))) for row in rows)
    return tuple((x, y) for x, y in pairs if y is not None)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _table_row(table: Mapping[str, Any]) -> tuple[str, Any]:
    rest = {key: value for key, value in table.items() if key != "name"}
    # Settings are spelt out next to the name, whether they stand in a table of their own or beside it.
    settings = rest.pop("settings", {})
    return str(table.get("name", "–")), {**rest, **settings} if isinstance(settings, Mapping) else table


def _words(key: str) -> str:
    return key.replace("_", " ")
