"""Write report.html of an ablation: a forest of differences with their intervals, what they cost, all variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kagglekit.files import write_bytes
from kagglekit.metrics import FEW
from kagglekit.report.run_page import page_environment
from kagglekit.report.tune_page import rung_text, signed_text, span
from kagglekit.runs.search_record import AblationResult, AxisRecord


def write_ablation_page(folder: Path, result: AblationResult) -> Path:
    """Write folder/report.html about an ablation, and return its path.

    `result` is what `kagglekit.search.ablate.conclude` builds. Raises OSError when the page cannot be written, and then
    leaves an older one as it was.
    """
    environment = page_environment()
    environment.filters["score"] = signed_text
    environment.globals.update(span=span, cost_words=cost_words)
    effects = sorted(result.effects, key=lambda one: -one.left_out.value)
    low, high, zero = scale(effects)
    page = environment.get_template("ablation.html.j2").render(
        result=result,
        few=FEW,
        effects=effects,
        interactions=result.interactions,
        variants=result.variants,
        seeds=range(1, result.seeds + 1),
        fidelity=rung_text(result.fidelity),
        low=low,
        high=high,
        zero=zero,
    )
    target = Path(folder) / "report.html"
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(target, page.encode("utf-8", errors="backslashreplace"))
    return target


def scale(effects: Sequence[AxisRecord]) -> tuple[float, float, float]:
    """One axis for all differences, zero included: its ends, and where zero lies on it in percent."""
    ways = [way for one in effects for way in (one.left_out, one.alone) if way]
    ends = [end for way in ways for end in (way.low, way.high)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.05 * (high - low or 1e-3)
    low, high = low - room, high + room
    return low, high, round(100 * -low / (high - low), 2)


def cost_words(effect: AxisRecord) -> str:
    """What a technique costs, as people say it."""
    trained, predicted = effect.cost.train, 1000 * effect.cost.image
    words = [] if effect.after else [f"{trained:+.0f} s a training"]
    words.append(f"{predicted:+.0f} ms a predicted image")
    return ", ".join(words).replace("-", "−")
