"""What stands out in the facts, in words: what a person would say after looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RARE = 0.1  # of images: a class below is rare
UNEVEN = 5.0  # times as frequent
SMALL = 0.01  # of an image
SEVERAL = 0.3  # of labels with several regions
HOLES = 0.1
CUT = 0.3  # of labels that touch an edge
ALONE = 0.6  # of images without a class, for whether it is there to be a question of its own
FEW = 10  # groups


def insights(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """{"kind": "warn" or "note", "head", "text"}: faults that spoil a score first, then what the data are like."""
    found = [dict(zip(("kind", "head", "text"), one, strict=True)) for ask in ASKED for one in ask(facts)]
    return sorted(found, key=lambda one: one["kind"] != "warn")


def about_leaks(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Copies in both parts, and copies that folds would part."""
    copies = facts["copies"]
    if not copies:
        return
    if copies["leaked"]:
        images = "test image is" if copies["leaked"] == 1 else "test images are"
        text = f"{copies['leaked']} {images} nearly the same as a training image."
        yield "warn", "The parts share images.", text + " A score on them is remembered, not predicted."
    if copies["across_groups"]:
        text = f"{number(copies['across_groups'], 'set')} of nearly equal images belong to several groups"
        yield "warn", "Copies may stand on both sides of a fold.", text + ", so validation may look too good."


def about_drift(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Test images that look unlike training images."""
    drift = facts["drift"]
    if drift["verdict"] not in ("some", "strong"):
        return
    differing = [one["name"] for one in drift["features"] if one["differs"]]
    text = f"They differ in {listing(differing)}." if differing else "No single feature says how."
    if facts["pictures"]["tiled"] and min(facts["counts"]["train"], facts["counts"]["test"]) < FEW:
        text += " With few slides that may be how single slides look."
    degree = "clearly" if drift["verdict"] == "strong" else "somewhat"
    yield "warn", f"Test images look {degree} unlike training images.", text


def about_files(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Files that cannot be used, labels that rules distrust."""
    skipped, sampled = facts["counts"]["skipped"], facts["sampled"]
    if skipped:
        text = f"{number(skipped, 'sample')} will be skipped because of files or labels that are missing or damaged."
        yield "warn", "Not everything can be used.", text
    lost = sampled["train"] + sampled["test"] - sampled["looked_train"] - sampled["looked_test"]
    if lost > 0 and not sampled["windows"]:
        yield "warn", "Damaged files.", f"{number(lost, 'image')} could not be read; `kk data check` says why."
    distrusted = facts["findings"]["distrusted"]
    if distrusted:
        yield "warn", "Labels to look at.", f"Rules distrust {distrusted} of {number(sampled['labels'], 'label')}."


def about_classes(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Rare and absent classes, images without any."""
    balance = [one for one in facts["balance"] if one["count"]]
    rare = [one["name"] for one in balance if one["pictures"] < RARE]
    most = max((one["pictures"] for one in balance), default=0)
    least = min((one["pictures"] for one in balance), default=0)
    if len(balance) > 1 and rare and most / least >= UNEVEN:
        text = f"Fewer than {RARE:.0%} of the images show {listing(rare)}; the most frequent class is in {most:.0%}."
        yield "note", "Classes are uneven.", text
    unseen = [one["name"] for one in facts["balance"] if not one["count"]]
    if unseen and facts["sampled"]["labels"]:
        yield "warn", "Classes without an image.", f"No label that was looked at shows {listing(unseen)}."
    absent = [one["name"] for one in balance if one["pictures"] < 1 - ALONE]
    if absent and len(absent) > len(balance) / 2:
        text = "Most classes are absent from most images: whether one is there matters beside where it is."
        yield "note", "Absence is the rule.", text
    if facts["empty"] >= 0.05:
        yield "note", "Empty labels.", f"{facts['empty']:.0%} of the labels show nothing at all."


def about_shapes(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Sizes, pieces, holes, edges."""
    balance = [one for one in facts["balance"] if one["count"]]
    small = [one["name"] for one in balance if one["area"].get("p50", 1) < SMALL]
    if small:
        yield (
            "note",
            "Small objects.",
            f"The median label of {listing(small)} covers less than {SMALL:.0%} of an image.",
        )
    several = [one["name"] for one in balance if one["regions"]["several"] >= SEVERAL]
    if several:
        yield "note", "Several pieces.", f"Labels of {listing(several)} often fall into several regions."
    holes = [one["name"] for one in balance if one["holes"] >= HOLES]
    if holes:
        yield "note", "Holes.", f"At least {HOLES:.0%} of the labels of {listing(holes)} have holes."
    cut = [one["name"] for one in balance if one["edges"]["any"] >= CUT]
    if cut and not facts["pictures"]["tiled"]:
        yield "note", "Cut off at the edge.", f"Many labels of {listing(cut)} touch the edge of the image."


def about_groups(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """How samples belong together."""
    groups = facts["groups"]
    if groups["count"] and groups["largest"] > 1:
        text = f"{number(groups['count'], 'group')} of {groups['mean']:.1f} images on average, {groups['largest']} at"
        yield "note", "Images belong together.", text + " most; folds never part a group."
    if groups["count"] and groups["count"] < FEW:
        text = f"With {number(groups['count'], 'group')} a validation score depends on which of them is held out."
        yield "warn", "Few groups.", text
    if groups["unlabelled"]:
        text = f"{number(groups['unlabelled'], 'group')} have images but not one label, so nothing is learnt from them."
        yield "note", "Groups without labels.", text


def about_windows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """A second intensity window that shows what the first hides."""
    windows = facts["intensity"]["windows"]
    if len(windows) > 1:
        full, narrow = windows[:2]
        text = (
            f"Objects separate from the rest by {narrow['separates']:.2f} between {narrow['low']} and {narrow['high']}"
        )
        yield "note", "One intensity window is not enough.", text + f", by {full['separates']:.2f} over the full range."


ASKED = (about_leaks, about_drift, about_files, about_classes, about_shapes, about_groups, about_windows)


def number(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listing(names: list[str], most: int = 4) -> str:
    """Names as people list them, at most `most` of them."""
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
