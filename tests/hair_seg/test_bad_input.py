"""Everything that can be wrong with a data folder, as a user meets it: message, exit code, and nothing half written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kagglekit import cli
from tests.toy_data import edit_json, hair_folder, photo, ring

LABELS = "task02_train/labels.json"
FORM = "task02_test/sample_submission.json"
IMAGES = "task02_train/images"
NAME = "p001-0003.jpg"  # the image that most faults are made in
TINY = ("--fidelity", "demo", "-o", "fidelity.image_size=32", "-o", "fidelity.epochs=1", "-o", "folds=3")


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    """A folder of 12 training and 3 test images, to be copied and broken."""
    return hair_folder(tmp_path_factory.mktemp("hair") / "data")


@pytest.fixture
def root(faultless, tmp_path):
    """A copy that a test may break."""
    return Path(shutil.copytree(faultless, tmp_path / "data"))


@pytest.fixture
def kk(capfd, monkeypatch):
    """The program: `kk(*words)` gives (exit code, stdout, stderr), of its descriptors, where `--json` is written."""

    def run(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kk", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "unexpected" not in err
        return left.value.code, out, err

    return run


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_nothing_half_written() -> None:
    """No result, no submission, no temporary file in any folder of this test."""
    for name in ("RUNS", "CACHE"):
        place = Path(os.environ[f"KAGGLEKIT_{name}"])
        litter = [p for p in place.rglob("*") if p.name in ("result.json", "submission.json") or p.suffix == ".part"]
        assert litter == []


def relabel(polygon):
    def change(root):
        edit_json(root / LABELS, lambda d: d["annotations"][3].update(polygon1=polygon))

    return change


def replace_image(make):
    def change(root):
        path = root / IMAGES / NAME
        path.unlink()
        make(path)

    return change


def cut_off(path):
    photo(227, 241, 99).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def as_png(image):
    return lambda path: image().save(path, "PNG")


def sixteen_bits(path):
    _, data = cv2.imencode(".png", np.full((512, 512, 3), 40_000, np.uint16))
    path.write_bytes(data.tobytes())


def rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(227, 241, 99).save(path, exif=exif)


def with_alpha():
    image = photo(227, 241, 99).convert("RGBA")
    image.putalpha(77)
    return image


def append_label(**change):
    def act(root):
        edit_json(root / LABELS, lambda d: d["annotations"].append({**d["annotations"][3], **change}))

    return act


def edit_text(name, old, new):
    def act(root):
        text = (root / name).read_text(encoding="utf-8")
        assert old in text
        (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return act


def form(change):
    return lambda root: edit_json(root / FORM, change)


@dataclass(frozen=True)
class Case:
    """A fault; what `kk data check` returns and says; what `kk run` says where it must stop."""

    make: object
    code: int
    says: tuple[str, ...]
    run: tuple[str, ...] = field(default=())


WHO = f"{NAME} (damaged): "
STOPS = ("1 training images or labels (8.3%) are damaged, more than the 1.0%", NAME, "mend or remove them")

CASES = {
    # the folder
    "no labels": Case(
        lambda r: (r / LABELS).unlink(), 1, ("labels.json is missing; expected", "DIR/task02"), ("is missing",)
    ),
    "no images": Case(lambda r: shutil.rmtree(r / IMAGES), 1, ("task02_train/images is missing",), ("is missing",)),
    "no form": Case(lambda r: (r / FORM).unlink(), 1, ("sample_submission.json is missing",), ("is missing",)),
    "no training part": Case(
        lambda r: shutil.rmtree(r / "task02_train"), 1, ("holds no task02_train; expected",), ("holds no task02_train",)
    ),
    # pairs of labels and images
    "label without image": Case(
        lambda r: (r / IMAGES / NAME).unlink(), 1, ("label without image: 1", WHO, "images has no " + NAME), STOPS
    ),
    "image without label": Case(
        lambda r: photo(9, 9, 5).save(r / IMAGES / "new.jpg"),
        0,
        ("image without label: 1", "new.jpg (skipped)", "not used"),
    ),
    # images
    "truncated": Case(
        replace_image(cut_off), 1, ("image unreadable: 1", WHO, "truncated", "replace or remove it"), STOPS
    ),
    "empty": Case(replace_image(lambda p: p.touch()), 1, (WHO, "empty file; replace or remove it"), STOPS),
    "no image": Case(replace_image(lambda p: p.write_text("hello")), 1, (WHO, "not an image; replace or"), STOPS),
    "16 bits": Case(replace_image(sixteen_bits), 1, (WHO, "more than 8 bits", "convert it to 8 bits"), STOPS),
    "wrong size": Case(
        replace_image(lambda p: photo(90, 90, 40, (256, 300)).save(p)),
        1,
        (WHO, "256x300 pixels", "expected 512x512"),
        STOPS,
    ),
    "gray": Case(
        replace_image(lambda p: photo(227, 241, 99).convert("L").save(p)), 0, ("(used): L pixels, read as RGB", NAME)
    ),
    "RGBA": Case(replace_image(as_png(with_alpha)), 0, ("(used): RGBA pixels, read as RGB", NAME)),
    "CMYK": Case(
        replace_image(lambda p: photo(227, 241, 99).convert("CMYK").save(p)),
        0,
        ("(used): CMYK pixels, read as RGB", NAME),
    ),
    "rotated": Case(replace_image(rotated), 0, ("(used): EXIF orientation 6, applied", NAME)),
    # polygons
    "no points": Case(relabel([]), 0, ("empty label: 1", f"{NAME} (skipped): a polygon of 0 points")),
    "one point": Case(relabel([{"x": 1, "y": 1}]), 0, (f"{NAME} (skipped): a polygon of 1 points",)),
    "two points": Case(relabel([{"x": 1, "y": 1}] * 2), 0, (f"{NAME} (skipped): a polygon of 2 points",)),
    "outside": Case(relabel(ring(900, 900, 50)), 0, ("polygon outside the image: 1", f"{NAME} (skipped): x 850..")),
    "half outside": Case(relabel(ring(5, 250, 90)), 0, ("polygon leaves the image: 1", f"{NAME} (used): the part out")),
    "self-crossing": Case(
        relabel([{"x": 9, "y": 9}, {"x": 90, "y": 90}, {"x": 90, "y": 9}, {"x": 9, "y": 90}]), 0, ("nothing is wrong",)
    ),
    "text": Case(relabel([{"x": "9", "y": 9}] * 3), 1, ("label unreadable: 1", WHO, "entry 3", "got `str`"), STOPS),
    "null": Case(relabel(None), 1, (WHO, "entry 3", "got `null`"), STOPS),
    "NaN in a string": Case(relabel("[{'x': nan, 'y': 3}]"), 1, (WHO, "entry 3", "malformed"), STOPS),
    "far away": Case(relabel([{"x": 1e300, "y": 9}] * 3), 1, (WHO, "entry 3", "beyond 32,000 pixels"), STOPS),
    "NaN": Case(
        edit_text(LABELS, '"x": ', '"x": NaN'), 1, ("broken JSON at line 1, column", "NaN"), ("broken JSON at",)
    ),
    # names
    "labelled twice": Case(
        append_label(polygon1=ring(9, 9, 5)), 0, ("labelled twice: 1", f"{NAME} (skipped): two entries with different")
    ),
    "labelled twice alike": Case(append_label(), 0, ("12 training and 3 test images", "nothing is wrong")),
    "form lists twice": Case(
        form(lambda d: d["annotations"].append(d["annotations"][1])),
        1,
        ("sample_submission.json: t000-0001.jpg is listed twice (again in entry 3); every image must be",),
        ("t000-0001.jpg is listed twice",),
    ),
    "form lists a stranger": Case(
        form(lambda d: d["annotations"].append({"file_name": "stranger.jpg", "polygon1": []})),
        1,
        ("test image missing: 1", "stranger.jpg (damaged): ", "images/stranger.jpg does not exist"),
        ("stranger.jpg", "mend or remove them"),
    ),
    "form leaves one out": Case(
        form(lambda d: d["annotations"].pop()),
        0,
        ("not in the sample submission: 1", "t001-0002.jpg (used): its image"),
    ),
    "form is empty": Case(form(lambda d: d["annotations"].clear()), 1, ("lists no image",), ("lists no image",)),
    "form without a name": Case(
        form(lambda d: d["annotations"][1].pop("file_name")),
        1,
        ("entry 1 has no usable file_name",),
        ("entry 1 has no",),
    ),
    # JSON
    "broken labels": Case(
        edit_text(LABELS, '"polygon1": [', '\n"polygon1": [,'),
        1,
        ("labels.json: broken JSON at line 2, column 14",),
        ("broken JSON at line 2, column 14",),
    ),
    "broken form": Case(
        edit_text(FORM, '"file_name"', "\n\nfile_name"),
        1,
        ("sample_submission.json: broken JSON at line 3, column 1",),
        ("broken JSON at line 3, column 1",),
    ),
    "broken answers": Case(
        edit_text("answers.json", "}", "}}"),
        1,
        ("answers.json: broken JSON at line 1",),
        ("answers.json: broken JSON",),
    ),
    "labels cut off": Case(
        lambda r: (r / LABELS).write_bytes((r / LABELS).read_bytes()[:5000]),
        1,
        ("labels.json: broken JSON at line 1",),
        ("broken JSON",),
    ),
    "labels empty": Case(lambda r: (r / LABELS).write_bytes(b""), 1, ("labels.json: empty file",), ("empty file",)),
    "labels of another contest": Case(
        lambda r: (r / LABELS).write_text('{"images": []}'),
        1,
        ('neither "annotations" nor "annotation"',),
        ("neither",),
    ),
    # test images
    "test image truncated": Case(
        lambda r: cut_off(r / "task02_test/images/t000-0001.jpg"),
        1,
        ("t000-0001.jpg (damaged): ", "truncated"),
        ("1 test images (33.3%) are damaged", "t000-0001.jpg", "truncated", "mend or remove them"),
    ),
    "test image missing": Case(
        lambda r: (r / "task02_test/images/t000-0001.jpg").unlink(),
        1,
        ("test image missing: 1", "t000-0001.jpg (damaged): ", "its row will hold an empty mask"),
        ("t000-0001.jpg", "mend or remove them"),
    ),
}


def test_a_faultless_folder_is_called_so(kk, root):
    assert kk("data", "check", "hair-seg", root) == (
        0,
        "12 training and 3 test images, 6 groups\nnothing is wrong\n",
        "",
    )


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found_named_and_explained(kk, root, name):
    case = CASES[name]
    case.make(root)
    before = files_of(root)
    code, out, err = kk("data", "check", "hair-seg", root)
    text = out + err
    assert [words for words in case.says if words not in text] == [], text
    assert code == case.code, text
    if code and "(damaged)" not in out:
        assert err.startswith("kk: "), "a folder that cannot be used at all is told on stderr"
        assert out == ""
    if case.run:
        code, out, err = kk("run", "hair-seg", "--data", root, *TINY)
        assert [words for words in case.run if words not in err] == [], err
        assert code == 1
        assert out == ""
        assert_nothing_half_written()
    assert files_of(root) == before, "data are never written to"


def test_the_cases_cover_what_stops_and_what_does_not():
    assert len(CASES) >= 40
    assert sum(case.code == 1 for case in CASES.values()) >= 20
    assert sum(case.code == 0 for case in CASES.values()) >= 10
    assert all(case.code == 1 for case in CASES.values() if case.run)


def test_a_missing_folder_and_a_file_in_its_place_are_told(kk, tmp_path, root):
    for path in (tmp_path / "nothing", root / LABELS):
        for words in (("data", "check", "hair-seg", path), ("run", "hair-seg", "--data", path, *TINY)):
            code, out, err = kk(*words)
            assert (code, out) == (1, "")
            assert err == f"kk: {path}: no such data folder\n"
    assert_nothing_half_written()


def test_the_list_as_json_is_complete_where_the_text_shows_five(kk, root):
    edit_json(root / LABELS, lambda d: [e.update(polygon1=[]) for e in d["annotations"][:7]])
    (root / IMAGES / "p005-0010.jpg").write_text("no image")
    code, out, _ = kk("data", "check", "hair-seg", root)
    assert code == 1
    assert "empty label: 7" in out
    assert "... and 2 more (--json lists all)" in out
    code, out, _ = kk("data", "check", "hair-seg", root, "--json")
    report = json.loads(out)
    assert code == 1
    assert (report["train"], report["test"], report["damaged"]) == (5, 3, 1)
    rules = [p["rule"] for p in report["problems"]]
    assert sorted(rules) == ["empty label"] * 7 + ["image unreadable"]


@pytest.mark.parametrize("place", ["RUNS", "CACHE"])
def test_a_file_where_a_folder_is_wanted_is_told(kk, root, tmp_path, monkeypatch, place):
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv(f"KAGGLEKIT_{place}", str(blocked))
    code, out, err = kk("run", "hair-seg", "--data", root, *TINY)
    assert (code, out) == (2, "")
    assert f"{blocked}: is a file where a folder belongs; name another one with KAGGLEKIT_{place}" in err
    assert blocked.read_text() == "in the way"


def test_a_disk_that_fills_up_while_decoding_is_told_and_the_next_run_goes_on(kk, root, monkeypatch):
    def full(handle, data, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        code, out, err = kk("run", "hair-seg", "--data", root, *TINY)
    assert (code, out) == (1, "")
    assert "No space left on device; check the folder, its rights and the free space" in err
    assert_nothing_half_written()
    (state,) = Path(os.environ["KAGGLEKIT_CACHE"]).rglob("state.u8")
    assert state.read_bytes() == bytes(12), "an image is marked as decoded that is not"


def test_a_disk_that_is_full_from_the_start_is_told(kk, root, monkeypatch):
    real = os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = kk("run", "hair-seg", "--data", root, *TINY)
    monkeypatch.setattr(os, "fsync", real)
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert_nothing_half_written()


def test_too_few_people_for_the_folds_are_told(kk, root):
    code, _, err = kk("run", "hair-seg", "--data", root, *TINY[:-1], "folds=7")
    assert code == 1
    assert "6 group(s) of samples cannot be split into 7 folds; use -o folds=6 or fewer" in err


def test_a_wrong_regular_expression_is_a_wrong_question(kk, root):
    code, _, err = kk("run", "hair-seg", "--data", root, *TINY, "-o", "settings.group_regex=(")
    assert code == 2
    assert "settings.group_regex=(: not a regular expression" in err


def test_the_installed_program_says_the_same(root):
    (root / IMAGES / NAME).write_bytes(b"")
    kk = Path(sys.executable).with_name("kk")
    done = subprocess.run([kk, "data", "check", "hair-seg", root], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{WHO}{root / IMAGES / NAME}: empty file; replace or remove it" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_damage_below_one_percent_is_passed_over_with_a_count_and_more_stops(kk, tmp_path):
    root = hair_folder(tmp_path / "data", train=210, test=120)
    edit_json(root / LABELS, lambda d: d["annotations"][5].update(polygon1="nonsense"))
    cut_off(root / IMAGES / "p050-0100.jpg")
    cut_off(root / "task02_test/images/t001-0002.jpg")
    words = ("run", "hair-seg", "--data", root, *TINY, "-o", "batch_size=32", "--without", "epoch-ensemble")

    code, out, err = kk(*words)
    assert code == 0, err
    assert "3 skipped, the first: p002-0005.jpg: label unreadable: entry 5" in err
    assert "1 test image(s) cannot be read and get an empty mask; the first: " in err
    (result,) = Path(os.environ["KAGGLEKIT_RUNS"]).rglob("result.json")
    record = json.loads(result.read_text())
    assert [s["id"] for s in record["skipped"]] == ["p002-0005.jpg", "p050-0100.jpg", "t001-0002.jpg"]
    assert record["skipped"][2]["reason"].startswith("test image, gets an empty mask: ")
    assert record["counts"]["skipped"] == 3
    assert record["counts"]["train"] + record["counts"]["validation"] == 208
    rows = {
        e["file_name"]: e["polygon1"]
        for e in json.loads((result.parent / "submission.json").read_text())["annotations"]
    }
    assert list(rows) == [f"t{i // 2:03d}-{i:04d}.jpg" for i in range(120)]
    assert rows["t001-0002.jpg"] == [{"x": 0, "y": 0}] * 3
    assert not list(result.parent.rglob("*.part"))

    # The same run over a folder of images good and bad.
    images = tmp_path / "pictures"
    images.mkdir()
    photo(100, 100, 40, (200, 300)).save(images / "landscape.jpg")
    photo(100, 100, 40, (300, 200)).convert("L").save(images / "gray.png")
    cut_off(images / "broken.jpg")
    code, out, _ = kk("predict", result.parent.name, "--images", images, "--out", tmp_path / "out")
    assert code == 0
    assert out.startswith(f"2 masks are in {tmp_path / 'out'}; 1 files skipped:")
    assert "broken.jpg: damaged image" in out
    assert Image.open(tmp_path / "out/landscape.png").size == (300, 200)
    assert Image.open(tmp_path / "out/gray.png").size == (200, 300)

    (root / IMAGES / "p060-0120.jpg").write_bytes(b"")
    code, out, err = kk(*words)
    assert (code, out) == (1, "")
    assert "3 training images or labels (1.4%) are damaged, more than the 1.0% that a run passes over:" in err
    for name in ("p002-0005.jpg", "p050-0100.jpg", "p060-0120.jpg"):
        assert f"\n  {name}: " in err
    assert "or allow more with -o max_damaged=0.016" in err
    assert len(list(Path(os.environ["KAGGLEKIT_RUNS"]).rglob("result.json"))) == 1

    code, _, err = kk(*words, "-o", "max_damaged=0.016")
    assert code == 0, err
    assert "4 skipped" in err
