"""The page of an ablation: every technique with its interval and its verdict, whatever is missing, without a fault."""

import msgspec
import pytest

from kagglekit.cli.ablate import summary
from kagglekit.metrics import FEW
from kagglekit.report.ablation_page import cost_words, scale, write_ablation_page
from kagglekit.runs.search_record import AblationResult, AxisRecord
from tests.browser import look_at
from tests.report.test_run_page import HOSTILE, Page


def effect(value: float, half: float) -> dict:
    low, high = value - half, value + half
    verdict = "helps" if low > 0 else "hurts" if high < 0 else "within noise"
    return {"value": value, "low": low, "high": high, "seeds": [value] * 2, "verdict": verdict}


def make_effect(name: str, value: float, half: float = 0.004, after: bool = False) -> dict:
    both = {"left_out": effect(value, half), "alone": effect(1.5 * value, half)}
    return {"axis": name, "techniques": [name], "after": after, **both,
            "cost": {"train": 0.0 if after else 12.3, "picture": 0.021}}  # fmt: skip


def make_result(**changes) -> dict:
    """The result of an ablation of three techniques."""
    variants = ("everything", "without mirror", "without smear", "without colour", "nothing")
    return {
        "name": "leaves-0a1b2c", "competition": "leaves", "title": "Leaves", "metric": "mean IoU",
        "greater_is_better": True, "command": "kk ablate leaves --data data/leaves", "data": "data/leaves",
        "clock_seconds": 1234.0, "hardware": {"cpu": "EPYC", "cores": 2, "memory_gib": 23.4},
        "recipe": {"fidelity": {"image_size": 192, "fraction": 1.0, "epochs": 3}}, "failed": [], "seeds": 2,
        "seeds_asked": 2, "pictures": 64,
        "cost": {"trainings": 8, "shared": 1, "seconds": 1000.0, "train_seconds": 950.0, "after_seconds": 50.0,
                 "after_share": 50 / 950},
        "effects": [make_effect("mirror", 0.012, after=True), make_effect("smear", -0.02),
                    make_effect("colour", 0.001)],
        "interactions": [{"axes": ["mirror", "smear"], **effect(-0.004, 0.002)}],
        "variants": [{"name": name, "on": [], "score": 0.85 + 0.01 * i, "seeds": [0.85, 0.86], "passes": 6,
                      "picture_seconds": 0.08} for i, name in enumerate(variants)],
    } | changes  # fmt: skip


def typed(result: dict) -> AblationResult:
    return msgspec.convert(result, AblationResult)


def axis(effect: dict) -> AxisRecord:
    return msgspec.convert(effect, AxisRecord)


def page_of(tmp_path, **changes) -> Page:
    return Page(write_ablation_page(tmp_path, typed(make_result(**changes))).read_text())


def test_every_technique_is_there_with_difference_interval_and_verdict(tmp_path):
    text = page_of(tmp_path).text
    assert "mirror" in text and "+0.0120" in text and "+0.0080 to +0.0160" in text and "helps" in text
    assert "−0.0200" in text and "hurts" in text and "within noise" in text
    first = [text.index(word) for word in ("mirror", "colour", "smear")]
    assert first == sorted(first), "the best stands first"


def test_it_says_when_a_technique_acts_and_what_it_costs(tmp_path):
    text = page_of(tmp_path).text
    assert "acts after training; +21 ms a predicted image" in text
    assert "acts while training; +12 s a training, +21 ms a predicted image" in text
    assert cost_words(axis(make_effect("x", 0.0) | {"cost": {"train": -3.2, "picture": -0.001}})) == (
        "−3 s a training, −1 ms a predicted image"
    )


def test_pairs_say_whether_two_techniques_do_the_same_work(tmp_path):
    assert "less than the sum" in page_of(tmp_path).text
    assert "Pairs" not in page_of(tmp_path, interactions=[]).text


def test_one_seed_and_failed_trainings_are_said_at_the_top(tmp_path):
    text = page_of(tmp_path, seeds=1, failed=[{"variant": "without smear", "seed": 1, "error": "it burned"}]).text
    assert "One seed." in text and "1 training failed." in text and "without smear, seed 2: it burned" in text


def test_techniques_that_were_only_left_out_have_one_line_each(tmp_path):
    effects = [{key: value for key, value in one.items() if key != "alone"} for one in make_result()["effects"]]
    text = page_of(tmp_path, effects=effects).text
    assert text.count("with all others") == 3 and " alone " not in text.partition("All variants")[0]


def test_a_page_without_a_whole_seed_says_so(tmp_path):
    text = page_of(tmp_path, effects=[], variants=[], interactions=[], seeds=0).text
    assert "Nothing to compare." in text and "How it was measured" in text


def test_all_differences_share_one_axis_that_holds_zero():
    low, high, zero = scale([axis(make_effect("a", 0.01)), axis(make_effect("b", -0.02))])
    assert low < -0.024 * 1.4 and high > 0.014 and 0 < zero < 100
    assert low + (high - low) * zero / 100 == pytest.approx(0, abs=1e-5)
    assert scale([]) == (-5e-05, 5e-05, 50.0)


def test_what_others_wrote_is_shown_and_never_obeyed(tmp_path):
    page = page_of(tmp_path, title=HOSTILE, command=HOSTILE, data=HOSTILE, effects=[make_effect(HOSTILE, 0.1)])
    assert len(page.all("script")) == 1 and HOSTILE in page.text


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_opens_in_chromium_without_a_fault(tmp_path, browser, width, dark):
    long = "a" * 200
    result = make_result(title=HOSTILE, command=f"kk ablate {long}", effects=[make_effect(long, 0.1)])
    for one in (result, make_result()):
        look = look_at(browser, write_ablation_page(tmp_path, typed(one)), width, dark)
        assert look.console == () and look.overflow == 0 and look.outside == ()


def test_that_few_images_make_intervals_too_narrow_is_said(tmp_path):
    assert "2 images. Intervals that draw so few images anew are too narrow" in page_of(tmp_path, pictures=2).text
    assert "too narrow" not in page_of(tmp_path, pictures=FEW).text
    result = make_result(pictures=2, title="Toy", metric="mean IoU", interactions=[], failed=[])
    assert "note        2 images: intervals that draw so few anew are too narrow" in summary(tmp_path, typed(result))
    assert "too narrow" not in summary(tmp_path, typed(result | {"pictures": FEW}))
