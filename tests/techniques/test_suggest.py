"""Why techniques say that they may help: each for what it is for, and none for unremarkable data."""

import pytest

from kagglekit.plugin.registry import discover
from tests.eda.facts import facts, one_class

TECHNIQUES = {name: kind for name, (_, kind) in discover().techniques.items()}
SUGGESTING = sorted(name for name, kind in TECHNIQUES.items() if hasattr(kind, "suggest"))


def reason(name: str, **changes) -> str | None:
    return TECHNIQUES[name].suggest(facts(**changes))


UNEVEN = [one_class("often"), one_class("rare", images=0.04)]
DARK = {"percentiles": {"p1": 2}}
WINDOWS = [{"low": 0, "high": 12040, "separates": 0.1}, {"low": 10, "high": 130, "separates": 0.8}]
DIFFERS = [{"name": "brightness", "differs": True}, {"name": "contrast", "differs": False}]
SPECKLESS = one_class("a") | {"regions": one_class("a")["regions"] | {"small_area": 0.02}}
WIDE = one_class("a") | {"area": {"p5": 0.001, "p50": 0.01, "p95": 0.5}}
SLIDES = {"pictures.tiled": True, "copies": None}
CASES = {
    "class-head": ({"task": "multilabel", "balance": [one_class("a", images=0.4)]}, "absent from 60%"),
    "balanced-classes": ({"balance": UNEVEN}, "Few images show rare"),
    "object-paste": ({"balance": UNEVEN}, "pasted into other images"),
    "group-limit": ({"groups.count": 20, "groups.mean": 5.0}, "5.0 images each"),
    "mask-fraction-bins": (SLIDES | {"sampled.with_objects": 0.1}, "Only 10% of the windows"),
    "random-windows": (SLIDES, "100 slides"),
    "turn-tta": (SLIDES, "no up and down"),
    "heavy-augment": ({"drift.verdict": "some", "drift.features": DIFFERS}, "differ from training images in bright"),
    "min-area": ({"balance": [SPECKLESS]}, "cover more than 2% of their image"),
    "fill-holes": ({"balance": [one_class("a", holes=0.001)]}, "next to no holes"),
    "largest-component": ({"balance": [one_class("a", several=0.01)]}, "nearly always one region"),
    "near-duplicates": ({"copies.train_groups": 2, "copies.pictures": 5}, "5 training images belong to 2 sets"),
    "multi-window": ({"intensity.windows": WINDOWS}, 'windows="0:12040;10:130"'),
    "scale-tta": ({"balance": [WIDE]}, "more than twentyfold"),
    "ignore-class": ({"classes": ["a", "UNKNOWN"]}, "UNKNOWN says that somebody could not tell"),
    "small-loss": ({"findings.distrusted": 9}, "9 of 100 labels"),
    "label-rules": ({"findings.rules": {"label-rules/tiny": 3, "other": 9}}, "finds 3 faults (tiny)"),
    "bridge": ({"competition": "hair-seg"}, "several regions"),
    "swath-zero": ({"competition": "clouds", "intensity.channels": [DARK]}, "black"),
    "swath-paint": ({"competition": "clouds", "intensity.channels": [DARK]}, "black"),
    "class-gate": ({"competition": "clouds", "balance": [one_class("a", images=0.4)]}, "60%"),
    "triplet-threshold": ({"competition": "clouds", "balance": [one_class("a", images=0.4)]}, "60%"),
}


def test_every_technique_that_suggests_itself_is_tried_here():
    assert sorted(CASES) == SUGGESTING and len(SUGGESTING) >= 14


@pytest.mark.parametrize("name", SUGGESTING)
def test_unremarkable_data_are_no_reason(name):
    assert reason(name) is None


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_a_technique_is_for_is_a_reason_in_a_sentence(name):
    changes, words = CASES[name]
    said = reason(name, **changes)
    assert words in said and said[0].isupper() | said[0].isdigit() and said.endswith(".")


@pytest.mark.parametrize("name", ["balanced-classes", "object-paste", "group-limit", "min-area", "fill-holes",
                                  "largest-component", "small-loss", "scale-tta", "near-duplicates"])  # fmt: skip
def test_what_refuses_slides_is_not_suggested_for_them(name):
    changes, _ = CASES[name]
    assert reason(name, **(changes if name != "near-duplicates" else {}), **SLIDES) is None


@pytest.mark.parametrize("name", ["bridge", "swath-zero", "swath-paint", "class-gate", "triplet-threshold"])
def test_what_one_contest_asks_for_is_suggested_for_no_other(name):
    changes, _ = CASES[name]
    assert reason(name, **(changes | {"competition": "another"})) is None


@pytest.mark.parametrize("name", SUGGESTING)
def test_data_without_a_single_label_are_no_trouble(name):
    nothing = {
        "balance": [one_class("a", images=0)],
        "sampled.labels": 0,
        "places": [[]],
        "sampled.with_objects": 0.0,
    }
    assert reason(name, **nothing) is None


def test_a_single_finding_among_many_labels_is_no_reason():
    assert reason("label-rules", **{"findings.rules": {"label-rules/tiny": 1}}) is None
    many = {"findings.rules": {"label-rules/tiny": 5}, "sampled.labels": 2000}
    assert reason("label-rules", **many) is None


def test_images_that_look_alike_whichever_way_they_are_turned_may_be_turned():
    round_map = [[0.2, 0.5, 0.2], [0.5, 0.9, 0.5], [0.2, 0.5, 0.2]]
    assert "alike" in reason("turn-tta", places=[round_map])
    assert reason("turn-tta", places=[[[0.9, 0.9], [0.0, 0.0]]]) is None
    assert reason("turn-tta", places=[round_map], **{"sampled.labels": 40}) is None
