"""`kk new`: what is written is whole, valid and never over something else."""

import ast
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import UsageError
from kagglekit.testing import scaffold
from kagglekit.testing.scaffold import NAME, TEMPLATES, create, filled, words
from tests.helpers import ROOT, kk

KINDS = ("competition", "technique")
PARTS = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_distribution_is_written_with_everything_that_it_needs(kind, tmp_path):
    done = kk(tmp_path, "new", kind, "first-try")
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "first-try").iterdir())
    assert names == ["README.md", "kagglekit_first_try.py", "pyproject.toml", "test_kagglekit_first_try.py"]
    assert "pip install -e first-try" in done.stdout and "kk check first-try" in done.stdout
    project = tomllib.loads((tmp_path / "first-try/pyproject.toml").read_text())
    assert project["project"]["name"] == "kagglekit-first-try"
    assert project["project"]["entry-points"]["kagglekit"] == {"first-try": "kagglekit_first_try"}


@pytest.mark.parametrize("kind", KINDS)
def test_out_names_the_folder_and_json_says_what_was_written(kind, tmp_path):
    document = json.loads(kk(tmp_path, "new", kind, "mine", "--out", "deep/er", "--json").stdout)
    assert document["folder"] == "deep/er" and len(document["files"]) == 4
    assert (tmp_path / "deep/er/kagglekit_mine.py").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_folder_is_never_touched(kind, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    done = kk(tmp_path, "new", kind, "mine")
    assert done.returncode == 2 and "kk: mine: exists; name another folder with --out" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "name", ["", "Upper", "under_score", "a--b", "-a", "a-", "1st", "class", "a b", "a/b", "é", "a" * 41]
)
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="cannot be a name; use up to 40 small letters and digits"):
        create("technique", name, tmp_path / "out", "0.1.0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name"), [("competition", "clouds"), ("technique", "flip-tta"), ("technique", "clouds")]
)
def test_a_name_that_is_taken_is_refused(kind, name, tmp_path):
    done = kk(tmp_path, "new", kind, name)
    assert done.returncode == 2 and f"{name} is brought by plugin" in done.stderr
    assert "choose another name" in done.stderr and not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_writing_that_is_interrupted_leaves_nothing(kind, tmp_path, monkeypatch):
    written = []

    def breaking(text, values):
        written.append(text)
        if len(written) == 5:
            raise KeyboardInterrupt
        return filled(text, values)

    monkeypatch.setattr(scaffold, "filled", breaking)
    with pytest.raises(KeyboardInterrupt):
        create(kind, "mine", tmp_path / "mine", "0.1.0")
    assert len(written) == 5 and list(tmp_path.iterdir()) == []


@given(PARTS)
def test_whatever_the_name_every_file_is_valid_and_no_placeholder_is_left(parts):
    name = "-".join(parts)
    assert NAME.fullmatch(name)
    for kind in KINDS:
        values = words(name, "0.1.0")
        for template, target in TEMPLATES.items():
            text = filled((ROOT / "kagglekit/testing/scaffold" / kind / template).read_text(), values)
            assert not any(placeholder in text + filled(target, values) for placeholder in values)
            if target.endswith(".py"):
                tree = ast.parse(text)
                imported = {
                    a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names
                }
                classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
                assert len(classes) == len(set(classes)) and not imported & set(classes)
            elif target.endswith(".toml"):
                assert tomllib.loads(text)["project"]["entry-points"]["kagglekit"] == {name: values["@MODULE@"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_module_keeps_the_rules_of_the_house(kind, tmp_path):
    import subprocess
    import sys

    create(kind, "first-try", tmp_path / "first-try", "0.1.0")
    ruff = Path(sys.executable).with_name("ruff")
    for words_ in (
        ["check", "--config", ROOT / "pyproject.toml", "--no-cache"],
        ["format", "--check", "--line-length", "120"],
    ):
        done = subprocess.run([ruff, *words_, tmp_path / "first-try"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    tree = ast.parse((tmp_path / "first-try/kagglekit_first_try.py").read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name[0] != "_"]
    assert functions and all(ast.get_docstring(node) for node in functions)
