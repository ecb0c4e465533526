"""The page of a run: it says what the files say, stands alone, and opens without a fault in a browser."""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from kagglekit.report import run_page
from kagglekit.report.run_page import Example, write_run_page
from kagglekit.runs.record_parts import MemberRecord, Score, Seconds
from kagglekit.train.trained import Epoch
from tests.browser import look_at

RESULT = {
    "status": "done", "competition": "hair-seg", "title": "Korean Hair Segmentation", "run": "3f2a91c0d4e5",
    "metric": "mean IoU", "greater_is_better": True, "fidelity": "demo",
    "validation": {"value": 0.9132, "low": 0.897, "high": 0.926, "count": 32},
    "test": {"value": 0.9011, "low": 0.88, "high": 0.92, "count": 80},
    "members": [{"fold": 0, "epoch": epoch, "weight": 0.5, "score": 0.905, "file": "e"} for epoch in (2, 3)],
    "views": [{"name": "identity", "weight": 0.75}, {"name": "hflip", "weight": 0.25}],
    "postprocess": {"name": "Threshold", "settings": {"threshold": 0.45}, "kept": True,
                    "before": 0.911, "after": 0.9132, "nested": 0.912},
    "submission": {"file": "submission.json", "rows": 80, "bytes": 812345, "loss": 0.0003},
    "skipped": [{"id": "KHS00012-1.jpg", "reason": "truncated JPEG"}],
    "counts": {"train": 288, "validation": 32, "test": 80, "skipped": 1},
    "seconds": {"data": 12.1, "train": 233.0, "predict": 31.0, "total": 281.2},
    "weights": "bundled: ImageNet weights", "command": "kk run hair-seg --data DIR --fidelity demo",
}  # fmt: skip
MANIFEST = {
    "competition": "hair-seg",
    "versions": {"python": "3.11.7", "kagglekit": "0.1.0"}, "plugins": {"hair-seg": "kagglekit-hair-seg 0.1.0"},
    "data_fingerprint": "ab" * 32, "code": "cd" * 32, "identity": "ef" * 32, "seed": 0,
    "hardware": {"cpu": "EPYC", "cores": 2, "memory_gib": 23.5, "device": "cpu"}, "started": "2026-11-23T21:00:00Z",
}  # fmt: skip
RECIPE = """encoder = "tf_efficientnet_lite0"
fidelity = { image_size = 256, epochs = 3 }
techniques = [{ name = "ema", settings = { decay = 0.99 } }]
"""
COLUMNS = "epoch,seconds,lr,train_loss,valid_loss,valid_score\n"
HISTORY = COLUMNS + "1,30,0.001,0.6,0.5,0.80\n2,30,0.001,0.4,,0.88\n3,30,0.001,0.3,0.3,0.90\n"
NOTHING = {"metric": "", "seconds": {}}  # of what each result has
HOSTILE = "<script>alert(1)</script>\"onerror='alert(2)'&.jpg"


class Page(HTMLParser):
    """Collects the tags and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._hidden = 0
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style")
        self.text += " " if tag in ("br", "dt", "dd", "li", "p") else ""

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._hidden:
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def make_run(folder: Path, history: str = HISTORY, **changes) -> Path:
    """Write the files of a run; a change of None removes the key from result.json, or leaves it without a value."""
    folder.mkdir(exist_ok=True)
    changes = {key: NOTHING.get(key) if value is None else value for key, value in changes.items()}
    wanted = ("validation", "test")
    result = {key: value for key, value in (RESULT | changes).items() if value is not None or key in wanted}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "history.csv").write_text(history)
    return folder


def make_examples(count: int, side: int = 96, classes: int = 1, name: str = "photo {}.jpg") -> list[Example]:
    """Make noisy photos with square truths and shifted predictions, sorted best first."""
    rng = np.random.default_rng(1)
    examples = []
    for number in range(count):
        truth = np.zeros((side, side), dtype=np.uint8)
        for index in range(1, classes + 1):
            top = side * (index - 1) // (classes + 1)
            truth[top : top + side // (classes + 1), side // 4 : side // 2] = index
        image, predicted = rng.integers(0, 256, (side, side, 3), dtype=np.uint8), np.roll(truth, number + 1, axis=1)
        examples.append(Example(name.format(number), image, truth, predicted, 0.99 - 0.01 * number))
    return examples


def written(folder: Path, examples=(), **changes) -> Page:
    return Page(write_run_page(make_run(folder, **changes), examples).read_text(encoding="utf-8"))


def test_score_interval_and_count_are_printed_as_the_result_has_them(tmp_path):
    text = written(tmp_path).text
    assert "0.9132" in text and "95% interval 0.8970 to 0.9260 over 32 images" in text
    assert "Test 0.9011" in text and "95% interval 0.8800 to 0.9200" in text
    assert "mean IoU, higher is better" in text


def test_labels_that_training_saw_otherwise_are_listed(tmp_path):
    page = written(tmp_path, relabelled=[{"id": "KHS1.jpg", "reason": "co-teaching/missed region: half"}])
    assert "1 label was replaced in training" in page.text and "co-teaching/missed region: half" in page.text
    assert "replaced in training" not in written(tmp_path).text


def test_the_page_tells_the_command_the_time_the_recipe_and_the_skipped_files(tmp_path):
    text = written(tmp_path).text
    for expected in (
        "kk run hair-seg --data DIR --fidelity demo", "4 min 41 s", "23 November 2026, 21:00 UTC",
        "tf_efficientnet_lite0", "decay = 0.99", "image size 256", RECIPE.split("\n")[0],
        "KHS00012-1.jpg", "truncated JPEG", "0.9110→0.9132", "812.3 kB", "kagglekit-hair-seg 0.1.0",
    ):  # fmt: skip
        assert expected in text


def test_nothing_on_the_page_is_fetched_from_elsewhere(tmp_path):
    page_text = write_run_page(make_run(tmp_path), make_examples(3)).read_text()
    assert not re.search(r"""(?:src|href|srcset|action|data)\s*=\s*["']?\s*(?:https?:)?//""", page_text)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page_text)
    outside = set(re.findall(r"https?://[^\"'\s<>]+", page_text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "only names of XML namespaces"


def test_every_image_has_words_for_those_who_cannot_see_it(tmp_path):
    texts = [image["alt"] for image in written(tmp_path, make_examples(2)).all("img")]
    assert len(texts) == 6 and all("photo" in text.lower() for text in texts)
    assert "missed" in texts[2] and "false alarm" in texts[2]


def test_headings_descend_without_a_gap(tmp_path):
    levels = [int(tag[1]) for tag, _ in written(tmp_path, make_examples(4)).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    examples = make_examples(2, name=HOSTILE + "{}")
    honest = written(tmp_path / "a", make_examples(2))
    changes = dict.fromkeys(("title", "competition", "metric", "command", "weights"), HOSTILE)
    changes |= {name: [{"id": HOSTILE, "reason": HOSTILE}] for name in ("skipped", "relabelled")}
    changes |= {"views": [{"name": HOSTILE, "weight": 1.0}]}
    page = written(tmp_path / "b", examples, **changes)
    assert len(page.all("script")) == len(honest.all("script"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(HOSTILE) >= 7


def test_a_name_that_is_no_unicode_does_not_fail_the_page(tmp_path):
    assert r"bad\udcff.jpg" in written(tmp_path, skipped=[{"id": "bad\udcff.jpg", "reason": "truncated"}]).text


def test_a_run_without_its_optional_parts_still_has_a_page_and_no_invented_number(tmp_path):
    gone = ("validation", "test", "members", "views", "postprocess", "submission", "skipped", "counts", "seconds",
            "weights", "metric", "greater_is_better", "fidelity", "title")  # fmt: skip
    page = written(tmp_path, history=COLUMNS, **dict.fromkeys(gone))
    (tmp_path / "manifest.json").write_text(json.dumps(dict.fromkeys(("competition", "identity", "started"), "x")))
    write_run_page(tmp_path, [])
    assert "Not measured in this run" in page.text
    assert "No epoch was recorded" in page.text and "kept no example images" in page.text
    assert not re.search(r"\d\.\d{4}", page.text)
    assert "None" not in page.text and "nan" not in page.text.split()


def test_ends_of_an_interval_that_are_none_are_shown_as_absent(tmp_path):
    make_run(tmp_path, validation={"value": 0.5, "low": None, "high": None, "count": 3}, test=None)
    page = write_run_page(tmp_path, []).read_text()
    assert "No interval" in page and not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_a_test_score_without_an_interval_is_still_told(tmp_path):
    text = written(tmp_path, validation=None, test={"value": 0.75, "count": 8}).text
    assert "Test 0.7500" in text and "No interval" in text


def test_a_run_that_did_not_end_well_says_so_and_needs_no_history(tmp_path):
    make_run(tmp_path, status="interrupted")
    (tmp_path / "history.csv").unlink()
    text = Page(write_run_page(tmp_path, []).read_text()).text
    assert "interrupted" in text and "No epoch was recorded" in text


@pytest.mark.parametrize(
    ("count", "groups"),
    [(0, []), (1, [("Example", 1)]), (2, [("Best", 1), ("Worst", 1)]), (5, [("Best", 3), ("Worst", 2)])],
)
def test_examples_are_split_into_best_and_worst(count, groups):
    found = run_page.example_groups(make_examples(count))
    assert [(group["title"], len(group["cards"])) for group in found] == groups
    scores = {group["title"]: [card["score"] for card in group["cards"]] for group in found}
    assert scores.get("Best", []) == sorted(scores.get("Best", []), reverse=True)
    assert scores.get("Worst", []) == sorted(scores.get("Worst", [])), "the worst one comes first"


def test_maps_of_several_classes_get_a_legend_of_classes(tmp_path):
    text = written(tmp_path, make_examples(2, classes=3)).text
    assert "class 1 class 2 class 3" in text and "wrong class" in text
    assert "wrong class" not in written(tmp_path, make_examples(2)).text


def test_each_fold_has_its_own_line_and_only_its_own_ensembled_epochs_are_ringed():
    rows = [Epoch(fold=fold, epoch=epoch, valid_score=fold / 10 + epoch / 100) for fold in (0, 1) for epoch in (1, 2)]
    (plain,) = run_page.history_charts(rows, [])
    (ringed,) = run_page.history_charts(rows, [MemberRecord(fold=1, epoch=2, weight=1.0, file="e")])
    assert not plain["marked"] and ringed["marked"]
    assert ringed["svg"].count("<use") == plain["svg"].count("<use") + 1


def test_an_epoch_without_a_value_is_left_out_and_not_drawn_as_zero():
    rows = [Epoch(epoch=1, valid_loss=0.5, train_loss=float("nan")), Epoch(epoch=2)]
    (chart,) = run_page.history_charts(rows, [])
    assert chart["lines"] == ["validation"], "nor is it named in the legend"
    assert chart["svg"] == run_page.history_charts(rows[:1], [])[0]["svg"]


def test_a_failing_page_leaves_the_old_one_untouched(tmp_path, monkeypatch):
    page = write_run_page(make_run(tmp_path), [])
    before, files = page.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="label map"):
        write_run_page(tmp_path, [Example("x", np.zeros((8, 8, 3), np.uint8), *np.zeros((2, 4, 4), np.uint8), 0.5)])

    def full_disk(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(OSError, match="no space"):
            write_run_page(tmp_path, make_examples(1))
    assert page.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files, "no half-written file stays behind"


def test_twelve_examples_of_512_pixels_stay_under_two_megabytes(tmp_path):
    page = write_run_page(make_run(tmp_path), make_examples(12, side=512, classes=2))
    assert page.stat().st_size < 2_000_000


def test_the_same_run_gives_the_same_bytes(tmp_path):
    first, second = (write_run_page(make_run(tmp_path / name), make_examples(3)).read_bytes() for name in "ab")
    assert first == second


def test_durations_and_sizes_are_written_as_people_say_them():
    durations = {None: "–", 0: "0.0 s", 12.14: "12.1 s", 59.97: "1 min 00 s", 281.2: "4 min 41 s", 7380: "2 h 03 min"}
    assert {seconds: run_page.duration_text(seconds) for seconds in durations} == durations
    sizes = {None: "–", 0: "0 B", 999: "999 B", 812345: "812.3 kB", 999_999: "1.0 MB", 5e9: "5.0 GB"}
    assert {count: run_page.size_text(count) for count in sizes} == sizes


def test_the_rest_of_the_time_is_named_and_shares_add_up():
    parts = run_page.time_shares(Seconds(data=10.0, train=70.0, total=100.0))
    assert [(part["name"], part["seconds"]) for part in parts] == [("data", 10.0), ("train", 70.0), ("other", 20.0)]
    assert sum(part["share"] for part in parts) == pytest.approx(100.0)
    assert run_page.time_shares(Seconds(total=45.0)) == [], "a bar of one part would tell nothing"


@pytest.mark.parametrize(
    ("low", "value", "high"), [(0.897, 0.9132, 0.926), (-3.0, 1.0, 2.0), (12.0, 250.0, 900.0), (0.5, 0.50001, 0.50002)]
)
def test_the_scale_holds_the_interval_and_marks_it_with_true_numbers(low, value, high):
    scale = run_page.score_scale([Score(low=low, value=value, high=high), None])
    assert 0 < scale["place"](low) <= scale["place"](value) <= scale["place"](high) < 100
    assert 2 <= len(scale["ticks"]) <= 6
    for text, percent in scale["ticks"]:
        assert scale["place"](float(text)) == pytest.approx(percent, abs=0.5)


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_opens_in_chromium_without_a_fault(tmp_path, browser, width, dark):
    long_name = "a" * 300
    skipped = [{"id": long_name + HOSTILE, "reason": long_name}]
    folder = make_run(tmp_path, title=HOSTILE, skipped=skipped, command=f"kk run {long_name}")
    examples = make_examples(3, classes=2, name=long_name + "{}")
    look = look_at(browser, write_run_page(folder, examples), width, dark)
    assert look.console == ()
    assert look.images == 9 and look.broken_images == ()
    assert look.overflow == 0 and look.outside == ()
    assert look.screenshot.startswith(b"\x89PNG")


@pytest.mark.browser
def test_the_copy_button_copies_or_selects_the_command(tmp_path, browser):
    look_at(browser, write_run_page(make_run(tmp_path), []), 1280)
    button = browser.find_element("css selector", "button[data-copy=command]")
    assert button.is_displayed()
    button.click()
    browser.implicitly_wait(3)
    browser.find_element("xpath", "//button[text()='Copied' or text()='Selected']")
