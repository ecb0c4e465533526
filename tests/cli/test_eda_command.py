"""`kk eda` as people type it: a page and a document about a folder, and every way to ask wrongly."""

import json
import shlex

import pytest

from kagglekit.cli.ablate import ablate_command, prepare
from kagglekit.plugin.registry import discover
from tests.helpers import kk as program
from tests.toy_data import edit_json, hair_folder, ring


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A hair-seg folder with a leak, a tiny and an empty label."""
    root = hair_folder(tmp_path_factory.mktemp("eda") / "data", train=26, test=10)

    def spoil(document):
        document["annotations"][4]["polygon1"] = ring(250, 250, 2)
        document["annotations"][12]["polygon1"] = []

    edit_json(root / "task02_train/labels.json", spoil)
    return root


@pytest.fixture
def kk(tmp_path):
    """`kk` in a folder of its own."""
    return lambda *words: program(tmp_path, *words)


def test_a_page_and_a_document_are_written_and_the_data_stay_as_they_are(kk, data, tmp_path):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    done = kk("eda", "hair-seg", "--data", data)
    assert done.returncode == 0, done.stderr
    assert "Korean Hair Segmentation: 25 training and 10 test images, 25 labels" in done.stdout
    assert "! The parts share images." in done.stdout and "! Not everything can be used. 1 sample" in done.stdout
    assert "  page      " in done.stdout
    folder = next((tmp_path / "runs" / "eda").iterdir())
    assert sorted(path.name for path in folder.iterdir()) == ["eda.html", "eda.json"]
    assert folder.name.startswith("hair-seg-") and (folder / "eda.html").stat().st_size < 5_000_000
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_the_same_as_json_in_a_folder_of_choice_about_a_few_images(kk, data, tmp_path):
    done = kk("eda", "hair-seg", "--data", data, "--out", tmp_path / "mine", "--most", "8", "--json")
    facts = json.loads(done.stdout)
    assert facts["folder"] == str(tmp_path / "mine") and facts["sampled"]["train"] == 8
    assert facts["counts"]["train"] == 25 and facts["problems"][0]["rule"] == "empty label"
    assert facts["findings"]["asked"] == ["label-rules", "near-duplicates"], "nothing that trains networks"


def test_the_command_that_a_suggestion_shows_measures_that_technique_alone(kk, data):
    done = kk("eda", "hair-seg", "--data", data, "--without", "bridge", "--fidelity", "demo", "--json")
    tip = json.loads(done.stdout)["suggestions"][0]
    assert "--fidelity demo --without bridge --with fill-holes --technique fill-holes" in tip["command"]
    options = ablate_command.make_context("ablate", shlex.split(tip["command"])[2:]).params
    ablation = prepare(discover(), options.pop("target"), options.pop("data"), options)
    assert [axis.techniques for axis in ablation.plan.axes] == [("fill-holes",)]
    assert "bridge" not in [spec.name for spec in ablation.plan.recipe.techniques]


@pytest.mark.slow
def test_without_data_sample_data_are_drawn(kk, tmp_path):
    done = kk("eda", "contrast")
    assert done.returncode == 0, done.stderr
    assert "drawing 120 sample images" in done.stderr and "One intensity window is not enough." in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["hair-sg"], 2, "did you mean hair-seg"),
        (["hair-seg", "--data", "nowhere"], 1, "nowhere: no such data folder"),
        (["hair-seg", "--data", "nowhere", "--most", "0"], 2, "Invalid value for '--most'"),
        (["hair-seg", "--with", "label-rules:z=-1"], 2, "techniques.label-rules: z must be >= 0"),
        (["hair-seg", "-o", "lrr=1"], 2, "did you mean lr"),
    ],
)
def test_every_wrong_question_gets_a_sentence_and_no_traceback(kk, words, code, fault):
    done = kk("eda", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert fault in done.stderr
