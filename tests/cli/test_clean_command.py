"""`kk clean` as people type it: findings on a folder with planted flaws, and every way to ask wrongly."""

import json

import pytest

from tests.helpers import kk as program
from tests.toy_data import edit_json, hair_folder, ring

RULES = ("--with", "label-rules")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A hair-seg folder; one label is tiny, one covers everything, one is empty, one is an unusual speck."""
    root = hair_folder(tmp_path_factory.mktemp("clean") / "data", train=26)
    corners = [{"x": x, "y": y} for x, y in ((0, 0), (511, 0), (511, 511), (0, 511))]

    def spoil(document):
        entries = document["annotations"]
        entries[4]["polygon1"] = ring(250, 250, 2)
        entries[9]["polygon1"] = corners
        entries[12]["polygon1"] = []

    edit_json(root / "task02_train/labels.json", spoil)
    return root


@pytest.fixture
def kk(tmp_path):
    """`kk` in a folder of its own."""
    return lambda *words: program(tmp_path, *words)


def test_findings_are_told_by_rule_with_the_command_that_uses_them_and_the_data_stay_as_they_are(kk, data, tmp_path):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    done = kk("clean", "hair-seg", "--data", data, *RULES)
    assert done.returncode == 0, done.stderr
    assert "Korean Hair Segmentation: 2 of 25 training labels distrusted" in done.stdout
    assert "label-rules/tiny" in done.stdout and "label-rules/huge" in done.stdout
    assert "skipped anyway  1, because of problems" in done.stdout
    assert f"next            kk run hair-seg --data {data} --with decisions:file=" in done.stdout
    folder = next((tmp_path / "runs" / "cleaning").iterdir())
    names = ["decisions.toml", "findings.csv", "findings.html", "findings.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_the_same_as_json_in_a_folder_of_choice_and_the_recipe_with_decisions_resolves(kk, data, tmp_path):
    done = kk("clean", "hair-seg", "--data", data, *RULES, "--out", tmp_path / "mine", "--json")
    result = json.loads(done.stdout)
    assert result["folder"] == str(tmp_path / "mine") and result["distrusted"] == 2
    assert result["rules"]["label-rules/tiny"] == 1 and result["problems"][0]["rule"] == "empty label"
    shown = kk("show", "hair-seg", "--with", f"decisions:file={tmp_path / 'mine' / 'decisions.toml'}")
    assert shown.returncode == 0 and "decisions" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["hair-sg"], 2, "did you mean hair-seg"),
        (["hair-seg", "--data", "nowhere"], 1, "nowhere: no such data folder"),
        (["hair-seg", "--data", "nowhere", "--most", "0"], 2, "Invalid value for '--most'"),
        (["hair-seg", "--with", "label-rules:z=-1"], 2, "techniques.label-rules: z must be >= 0"),
        (["hair-seg", "--with", "label-rules:zz=1"], 2, "techniques.label-rules.zz is not a setting"),
        (["hair-seg", "--with", "decisions"], 2, "techniques.decisions: no file; add --with decisions:file=PATH"),
        (["hair-seg", "--with", "decisions:file=none.toml"], 1, "decisions none.toml: no such file"),
    ],
)
def test_every_wrong_question_gets_a_sentence_and_no_traceback(kk, words, code, fault):
    done = kk("clean", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert fault in done.stderr
