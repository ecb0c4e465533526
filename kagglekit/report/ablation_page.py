"""Write report.html of an ablation: a forest of differences with their intervals, what they cost, all variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kagglekit.files import write_bytes
from kagglekit.metrics import FEW
from kagglekit.report.run_page import page_environment
from kagglekit.report.tune_page import rung_text, signed_text, span

Result = Mapping[str, Any]


def write_ablation_page(folder: Path, result: Result) -> Path:
    """Write folder/report.html about an ablation, and return its path.

    `result` is what `kagglekit.search.ablate.conclude` builds. Raises OSError when the page cannot be written, and then
    leaves an older one as it was.
    """
    environment = page_environment()
    environment.filters["score"] = signed_text
    environment.globals.update(span=span, cost_words=cost_words)
    effects = sorted(result.get("effects") or [], key=lambda one: -one["left_out"]["value"])
    low, high, zero = scale(effects)
    page = environment.get_template("ablation.html.j2").render(
        result=result,
        few=FEW,
        effects=effects,
        interactions=result.get("interactions") or [],
        variants=result.get("variants") or [],
        seeds=range(1, (result.get("seeds") or 0) + 1),
        fidelity=rung_text((result.get("recipe") or {}).get("fidelity") or {}),
        low=low,
        high=high,
        zero=zero,
    )
    target = Path(folder) / "report.html"
    # Names of files on disk may hold bytes that are no UTF-8; they are shown escaped instead of failing the page.
    write_bytes(target, page.encode("utf-8", errors="backslashreplace"))
    return target


def scale(effects: list[dict[str, Any]]) -> tuple[float, float, float]:
    """One axis for all differences, zero included: its ends, and where zero lies on it in percent."""
    ends = [
        one[way][key] for one in effects for way in ("left_out", "alone") if one.get(way) for key in ("low", "high")
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.05 * (high - low or 1e-3)
    low, high = low - room, high + room
    return low, high, round(100 * -low / (high - low), 2)


def cost_words(effect: Mapping[str, Any]) -> str:
    """What a technique costs, as people say it."""
    cost = effect["cost"]
    trained, looked = cost["train"], 1000 * cost["picture"]
    words = [] if effect["after"] else [f"{trained:+.0f} s a training"]
    words.append(f"{looked:+.0f} ms a predicted picture")
    return ", ".join(words).replace("-", "−")
