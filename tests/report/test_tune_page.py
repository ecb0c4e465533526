"""The page of a search: it says what the result says, whatever is missing from it, and opens without a fault."""

import copy
import itertools
import json
import re
from pathlib import Path

import msgspec
import pytest

from kagglekit.report import charts, tune_page
from kagglekit.report.tune_page import write_tune_page
from kagglekit.runs.search_record import EstimateRecord, SearchResult
from tests.browser import look_at
from tests.report.test_run_page import HOSTILE, Page

RUNGS = ((128, 0.25, 3), (192, 0.5, 5), (256, 1.0, 8))
RECIPE = {"lr": 0.001, "decoder": "unet", "loss.dice": 0.5}
REACHED = (3, 1, 2, 3, 3, 2, 0, 1)  # rungs on which a trial has a score; trial 6 failed on the first
ORIGINS = ("recipe", "random", "near recipe", "near best")


def make_step(number: int, rung: int, **changes) -> dict:
    """One trial on one rung; trial 4 is the best of all."""
    score = 0.85 + 0.01 * rung + (0.0312 if number == 4 else 0.001 * number)
    why = "merit" if number != 3 else "control"
    return {
        "rung": rung, "repeat": 0, "why": why if rung else "random", "status": "done", "score": score,
        "seconds": (12.0, 60.0, 240.0)[rung] + number, "run": f"{number:012x}", "error": "", "shared": False,
        "curve": [score * (1 - 0.5 ** (epoch + 1)) for epoch in range(RUNGS[rung][2])], "notes": [], "weights": [],
    } | changes  # fmt: skip


def make_trial(number: int) -> dict:
    params = {"lr": 0.001 * (number + 1), "decoder": ("unet", "fpn")[number % 2], "loss.dice": 0.5}
    steps = [make_step(number, rung) for rung in range(REACHED[number % 8])]
    failed = make_step(number, 0, status="failed", score=None, curve=[0.1], error="the loss became nan")
    return {"number": number, "origin": ORIGINS[1 + number % 3] if number else "recipe", "params": params,
            "steps": steps or [failed]}  # fmt: skip


def estimate(value: float, low: float, high: float) -> dict:
    return {"value": value, "low": low, "high": high}


def make_result(**changes) -> dict:
    """The result of a search in which trial 4 wins; changes replace what stands at the top."""
    trials = [make_trial(number) for number in range(8)]
    ranges = {"step": None, "low": 1e-05, "high": 0.1, "log": True}
    result = {
        "name": "leaves-1a2b3c", "competition": "leaves", "title": "Leaves", "metric": "mean IoU",
        "greater_is_better": True, "command": "kk tune leaves --trials 8", "data": "data/leaves",
        "clock_seconds": 3725.0, "hardware": {"cpu": "EPYC", "cores": 2, "memory_gib": 23.4}, "complete": True,
        "plan": {"trials": 8, "promote": 2, "controls": 1, "seed": 7, "repeats": 1, "prior": True, "space": {
            "lr": {"name": "FloatDistribution", "attributes": ranges},
            "decoder": {"name": "CategoricalDistribution", "attributes": {"choices": ["unet", "fpn"]}}}},
        "rungs": [{"image_size": side, "fraction": part, "epochs": epochs, "text": "", "trials": 8, "done": 7,
                   "seconds": 61.0} for side, part, epochs in RUNGS],
        "trials": trials,
        "winner": {"number": 4, "origin": "recipe", "score": 0.9012, "run": "4", "params": trials[4]["params"],
                   "changes": {"lr": [0.001, 0.005]}, "recipe": "runs/searches/leaves-1a2b3c/winner.toml"},
        "runner_up": {"number": 3, "score": 0.873, "lead": estimate(0.0282, 0.0114, 0.0451), "tie": False},
        "prior": {"used": True, "score": 0.87, "gain": estimate(0.0312, 0.0123, 0.0467),
                  "best_by_origin": {"recipe": 0.8812, "random": 0.8571}},
        "agreement": [
            {"low": 0, "high": 1, "spearman": estimate(0.81, 0.42, 0.97), "kendall": estimate(0.63, 0.28, 0.85),
             "count": 5, "total": 7, "regret": 0.0, "warning": ""},
            {"low": 1, "high": 2, "spearman": None, "kendall": None, "count": 3, "total": 5, "regret": 0.0132,
             "warning": "rung 2 to 3: too few"}],
        "importance": {"lr": estimate(0.72, 0.31, 0.96), "decoder": estimate(0.28, 0.04, 0.69)},
        "cost": {"seconds": 1500.0, "full_seconds": 2000.0, "share": 0.75, "tried": 8, "shared": 1, "overhead": 1.4},
        "failed": [{"number": 6, "rung": 0, "repeat": 0, "error": "the loss became nan"}],
        "stale": [], "warnings": ["rung 2 to 3: too few"],
    }  # fmt: skip
    result["winner"]["origin"] = trials[4]["origin"] = "near best"
    return result | changes


def all_failed() -> dict:
    steps = [make_step(0, 0, status="failed", score=None, curve=[], error="boom")]
    failed = [{"number": number, "rung": 0, "repeat": 0, "error": "boom"} for number in range(8)]
    return make_result(
        trials=[make_trial(number) | {"steps": steps} for number in range(8)],
        winner=None, runner_up=None, agreement=[], importance={}, warnings=[], failed=failed,
        prior={"used": True, "score": None, "gain": None, "best_by_origin": {}},
        cost={"seconds": 40.0, "full_seconds": None, "share": None, "tried": 8, "shared": 0, "overhead": None},
    )  # fmt: skip


def one_rung() -> dict:
    trials = [trial | {"steps": trial["steps"][:1]} for trial in make_result()["trials"]]
    return make_result(trials=trials, rungs=make_result()["rungs"][:1], agreement=[], warnings=[])


def smaller_is_better() -> dict:
    result = make_result(greater_is_better=False, metric="error")
    for step in itertools.chain(*(trial["steps"] for trial in result["trials"])):
        step["score"] = None if step["score"] is None else 1 - step["score"]
    return result


def hardly_anything() -> dict:
    result = dict.fromkeys(make_result())
    return result | {"rungs": [], "trials": [], "agreement": [], "importance": {}, "failed": [], "stale": []}


CASES = {
    "whole": (make_result, ["A real lead"]),
    "all failed": (all_failed, ["No winner", "No trial has a score", "what full fidelity costs is not known", "4 more",
                                "No trial ran on two rungs", "Too few trials have a score", "no score on the last"]),
    "one rung": (one_rung, ["This search has one rung", "every trial ran at full fidelity", "in the order they were"]),
    "smaller is better": (smaller_is_better, ["error, lower is better"]),
    "interrupted": (lambda: make_result(complete=False), ["interrupted", "the same command goes on", "so far"]),
    "tie": (lambda: make_result(runner_up={"number": 3, "score": 0.9, "lead": None, "tie": True}),
            ["A tie: within the noise", "No scores of single images"]),
    "no runner-up": (lambda: make_result(runner_up=None), ["No runner-up", "No other trial finished"]),
    "no importance": (lambda: make_result(importance={}), ["Too few trials have a score to tell"]),
    "no agreement": (lambda: make_result(agreement=[]), ["No trial ran on two rungs"]),
    "no prior": (lambda: make_result(prior={"used": False, "score": None, "gain": None, "best_by_origin": {}}),
                 ["began without the recipe"]),
    "the recipe won": (lambda: make_result(winner=make_result()["winner"] | {"changes": {}, "origin": "recipe"}),
                       ["Nothing", "No trial beat the settings"]),
    "stale": (lambda: make_result(stale=[{"rung": 1, "number": 2, "repeat": 0}]), ["stale", "trial 2 on rung 2"]),
    "hardly anything": (hardly_anything, ["No winner", "No trial was begun", "No epoch was recorded"]),
    "empty": (dict, ["No winner", "No trial was begun"]),
}  # fmt: skip


def typed(result: dict) -> SearchResult:
    """The record of it; what is None counts as absent."""
    return msgspec.convert({key: value for key, value in result.items() if value is not None}, SearchResult)


def write_page(folder: Path, result: dict) -> Path:
    return write_tune_page(folder, typed(result))


def written(folder: Path, result: dict) -> Page:
    folder.mkdir(exist_ok=True, parents=True)
    return Page(write_page(folder, result).read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_search_has_a_page_that_says_in_words_what_is_missing(tmp_path, case):
    make, sentences = CASES[case]
    page = written(tmp_path, make())
    assert [sentence for sentence in sentences if sentence not in page.text] == []
    assert not re.search(r"\b(None|nan|undefined|inf)\b", page.text.replace("became nan", "")), "no word of a machine"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_numbers_on_the_page_are_those_of_the_result(tmp_path):
    text = written(tmp_path, make_result()).text
    for expected in (
        "0.9012", "better by +0.0282, 95% interval +0.0114 to +0.0451", "lr 0.001→0.005", "25 min 00 s", "25 % saved",
        "kk run runs/searches/leaves-1a2b3c/winner.toml", "33 min 20 s", "Trial 6 on rung 1: the loss became nan",
        "5 of 7 trials ran on both", "Spearman 0.81", "0.42 to 0.97", "Kendall 0.63", "0.28 to 0.85", "cost 0.0132",
        "rung 2 to 3: too few", "72 %", "31 % to 96 %", "Gain +0.0312", "0.8812", "1e-05 to 0.1, log scale",
        "unet, fpn", "overhead per trial 1.4 s", "shared experiments 1", "1 h 02 min", "memory, GiB 23.4",
    ):  # fmt: skip
        assert expected in text
    for step in itertools.chain(*(trial["steps"] for trial in make_result()["trials"])):
        assert step["score"] is None or f"{step['score']:.4f}" in text


def test_trials_are_sorted_by_how_far_they_climbed_and_show_only_what_they_changed():
    rows = tune_page.trial_rows(typed(make_result()).trials, 3, 1, 4)
    assert [row["number"] for row in rows] == [4, 3, 0, 5, 2, 7, 1, 6]
    assert rows[0]["params"] == {"lr": 0.005} and rows[2]["params"] == {}
    assert rows[-1]["scores"] == ["failed", "", ""] and rows[-1]["status"] == "failed"
    lower = tune_page.trial_rows(typed(make_result()).trials, 3, -1, None)
    assert [row["number"] for row in lower][:3] == [0, 3, 4]


def test_the_score_of_several_seeds_is_their_mean():
    trial = make_trial(0) | {"steps": [make_step(0, 2, repeat=r, score=0.8 + 0.1 * r) for r in range(2)]}
    (row,) = tune_page.trial_rows(typed({"trials": [trial]}).trials, 3, 1, None)
    assert row["scores"][2] == pytest.approx(0.85)


def test_a_hopeless_score_does_not_flatten_the_chart_and_is_told():
    scores = [0.90, 0.91, 0.92, 0.89, 0.01]
    view = charts.window(scores, 1)
    assert [score for score in scores if view.hides(score)] == [0.01] and view.worst > 0.8
    mirrored = charts.window([-score for score in scores], -1)
    assert (mirrored.worst, mirrored.best) == (-view.worst, -view.best)


def test_the_page_says_how_many_scores_lie_beyond_the_edge(tmp_path):
    result = make_result()
    result["trials"][7]["steps"][0]["score"] = 0.001
    assert "1 score is far worse" in written(tmp_path, result).text
    assert "far worse" not in written(tmp_path, make_result()).text


def test_where_smaller_is_better_the_better_score_still_stands_higher():
    spots = [charts.Spot(number, rung, 0.1 + 0.1 * number, 5.0, "merit") for number in (0, 1) for rung in (0, 1)]
    for sign in (1, -1):
        svg = charts.climb_chart(spots, ["a", "b"], sign, {0: "recipe", 1: "winner"})["wide"]
        heights = {name: float(re.search(rf'y="([-\d.]+)"[^>]*>{name}<', svg)[1]) for name in ("0 recipe", "1 winner")}
        assert (heights["1 winner"] < heights["0 recipe"]) == (sign > 0)


def test_an_interval_is_placed_where_its_numbers_say():
    half = EstimateRecord(value=0.5, low=0.0, high=1.0)
    assert tune_page.span(half, -1, 1) == {"point": 75.0, "left": 50.0, "width": 50.0}
    assert tune_page.span(EstimateRecord(value=2.0, low=None, high=None), -1, 1) == {
        "point": 100.0,
        "left": 100.0,
        "width": 0,
    }
    assert tune_page.around(EstimateRecord(value=0.0, low=-1.0, high=1.0))["point"] == 50.0
    assert tune_page.around(None) is None and tune_page.around(EstimateRecord(value=0, low=0, high=0)) is None


def test_times_on_an_axis_are_round_and_neither_few_nor_many():
    for low, high in ((8, 20), (1, 400), (100, 130_000), (0.5, 1e6), (3000, 9000)):
        ticks = charts._duration_ticks(low, high, 6)
        assert 2 <= len(ticks) <= 6 and all(low <= tick <= high for tick in ticks)
    assert [charts.short_duration(tick) for tick in (30, 90, 7200, 86400)] == ["30 s", "1.5 min", "2 h", "1 d"]


def test_hostile_text_is_text_and_nothing_else(tmp_path):
    def poison(value):
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return HOSTILE + value if isinstance(value, str) and value not in (*ORIGINS, "done", "failed") else value

    honest, result = written(tmp_path / "a", make_result()), poison(make_result(stale=[]))
    result["importance"] = {HOSTILE: estimate(0.5, 0.1, 0.9)}
    result["trials"][1]["params"][HOSTILE] = HOSTILE
    page = written(tmp_path / "b", result)
    assert len(page.all("script")) == len(honest.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 12


def test_nothing_on_the_page_is_fetched_from_elsewhere(tmp_path):
    text = write_page(tmp_path, make_result()).read_text()
    assert "default-src 'none'" in text
    outside = set(re.findall(r"https?://[^\"'\s<>]+", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "only names of XML namespaces"
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "charts do not share ids"


def test_two_hundred_trials_stay_under_two_megabytes(tmp_path):
    trials = [make_trial(number) for number in range(200)]
    assert write_page(tmp_path, make_result(trials=trials)).stat().st_size < 2_000_000


def test_numbers_that_are_none_are_shown_as_absent(tmp_path):
    text = json.dumps(make_result(prior={"used": True, "score": float("nan"), "gain": None, "best_by_origin": {}}))
    assert "The recipe has no score on the last rung" in written(tmp_path, json.loads(text)).text


def test_the_result_is_left_as_it_was_and_gives_the_same_bytes_again(tmp_path):
    result = make_result()
    before = copy.deepcopy(result)
    first = write_page(tmp_path, result).read_bytes()
    assert write_page(tmp_path, result).read_bytes() == first and result == before


def test_a_failing_page_leaves_the_old_one_untouched(tmp_path, monkeypatch):
    page = write_page(tmp_path, make_result())
    before = page.read_bytes()

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_page(tmp_path, all_failed())
    assert page.read_bytes() == before


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("case", ["whole", "all failed", "one rung", "hardly anything"])
def test_the_page_opens_in_chromium_without_a_fault(tmp_path, browser, case, width, dark):
    long = "a" * 300
    result = CASES[case][0]() | {"title": HOSTILE, "command": f"kk tune {long}", "warnings": [long + HOSTILE]}
    look = look_at(browser, write_page(tmp_path, result), width, dark)
    assert look.console == () and look.overflow == 0 and look.outside == ()
    entries = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [name for name in entries if not name.startswith("data:")] == [], "no request left the page"


@pytest.mark.browser
def test_the_copy_button_copies_or_selects_the_command_of_the_winner(tmp_path, browser):
    look_at(browser, write_page(tmp_path, make_result()), 1280)
    browser.find_element("css selector", "button[data-copy=winner]").click()
    browser.implicitly_wait(3)
    browser.find_element("xpath", "//button[text()='Copied' or text()='Selected']")
