"""The kit as authors use it: one line in a test file, fixtures, and `kk check`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kagglekit.errors import UsageError
from kagglekit.testing import conformance, examine
from tests.helpers import ROOT, build, environment, kk, techniques_of, write_plugin
from tests.search.toy import path_of
from tests.testing.broken import SOURCE, TECHNIQUE
from tests.testing.sound import fresh, registry

LOUD = SOURCE.replace("return (yield)", "views = yield\n        return views[:0]")


def pytest_in(folder, text: str, *words: str) -> subprocess.CompletedProcess:
    """Run pytest as an author would, on one file, with the fixtures of the kit."""
    (folder / "test_mine.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-p", "kagglekit.testing.pytest_plugin", "-p", "no:cacheprovider", *words]
    path = os.pathsep.join([path_of(folder / "p"), *sys.path])
    changes = {"PYTHONPATH": path, "KAGGLEKIT_PLUGINS": "calm"}
    return subprocess.run(words, cwd=folder, env=environment(folder, **changes), capture_output=True, text=True)


@pytest.mark.slow
def test_one_line_gives_a_test_for_each_law(tmp_path):
    write_plugin(tmp_path / "p", "calm", SOURCE, module_name="made_calm")
    text = 'from kagglekit.testing import conformance\n\ntest_conformance = conformance("calm")\n'
    done = pytest_in(tmp_path, text, "-v")
    assert done.returncode == 0, done.stdout
    assert "plugin calm: importing_it_loads_nothing_heavy] PASSED" in done.stdout
    assert "technique plain: undoing_a_view_brings_the_image_back] PASSED" in done.stdout
    assert f"{len(list(conformance_cases()))} passed" in done.stdout


def conformance_cases():
    """The cases of the plugin above."""
    module = techniques_of(TECHNIQUE["its_settings_are_typed"][0])
    return examine("calm", registry=build(calm=module))


@pytest.mark.slow
def test_a_broken_law_fails_its_test_with_its_reason_and_without_a_traceback(tmp_path):
    write_plugin(tmp_path / "p", "calm", LOUD, module_name="made_calm")
    text = 'from kagglekit.testing import conformance\n\ntest_conformance = conformance("plain")\n'
    done = pytest_in(tmp_path, text)
    assert done.returncode == 1
    assert "technique plain: The first view is the image as it is" in done.stdout
    assert "weights of the views must be >= 0 and sum to 1, got []" in done.stdout
    assert "Traceback" not in done.stdout and "laws.py" not in done.stdout


@pytest.mark.slow
def test_fixtures_give_a_registry_a_solution_images_and_a_network(tmp_path):
    write_plugin(tmp_path / "p", "calm", SOURCE, module_name="made_calm")
    text = """
def test_all_of_them_work_together(kk_registry, kk_solution, kk_discs, kk_network):
    assert "plain" in kk_registry.techniques and "drawn-multiclass" in kk_registry.competitions
    solution = kk_solution("plain", competition="drawn-multiclass")
    assert [v.name for v in solution.views()] == ["identity"]
    data = kk_discs(solution)
    assert data.read_mask(data.train[0]).max() == 2
    assert sum(p.numel() for p in kk_network(3, 3).parameters()) > 100
    assert kk_solution(seed=5).recipe.seed == 5
"""
    done = pytest_in(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_the_fixtures_cost_a_test_run_that_does_not_use_them_no_import(tmp_path):
    heavy = ("numpy", "torch", "pydantic", "click")
    code = f"import sys, kagglekit.testing.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_refused_with_a_suggestion():
    found = registry(fresh("technique"), "lit")
    with pytest.raises(UsageError, match="no plugin, competition or technique is named litt; did you mean lit"):
        conformance("litt", registry=found)


def test_a_technique_alone_is_judged_without_its_plugin():
    found = build(mine=techniques_of(*(kind for kind, _ in list(TECHNIQUE.values())[2:3])))
    assert {v.subject for v in examine("lit", registry=found)} == {"technique lit"}
    assert {v.subject for v in examine("mine", registry=found)} == {"technique lit", "plugin mine"}


def test_check_prints_a_table_with_reasons_and_fails_on_a_broken_law(tmp_path):
    write_plugin(tmp_path / "p", "calm", LOUD, module_name="made_calm")
    path = {"PYTHONPATH": path_of(tmp_path / "p"), "KAGGLEKIT_PLUGINS": "calm"}
    done = kk(tmp_path, "check", "plain", **path)
    assert done.returncode == 1, done.stderr
    assert "FAIL  views begin with identity and weigh 1" in done.stdout
    assert "  FAIL: views begin with identity and weigh 1: kk_tta()" in done.stdout
    assert "laws asked" in done.stdout.splitlines()[-1] and " 0 skipped" in done.stdout
    document = json.loads(kk(tmp_path, "check", "plain", "--json", **path).stdout)
    assert document["fail"] == 2 and document["pass"] == len(document["verdicts"]) - 2
    assert {"subject", "law", "text", "status", "reason", "seconds"} == set(document["verdicts"][0])


def test_check_succeeds_on_a_sound_technique_and_takes_settings(tmp_path):
    write_plugin(tmp_path / "p", "calm", SOURCE, module_name="made_calm")
    path = {"PYTHONPATH": path_of(tmp_path / "p"), "KAGGLEKIT_PLUGINS": "calm"}
    done = kk(tmp_path, "check", "plain", "--laws", "-o", "techniques.plain.setting=3", **path)
    assert done.returncode == 0, done.stderr
    assert "Hooks of a technique are wrappers" in done.stdout and "0 broken" in done.stdout
    wrong = kk(tmp_path, "check", "plain", "-o", "techniques.plain.seting=3", **path)
    assert "techniques.plain.seting is not a setting; did you mean setting?" in wrong.stdout
    nobody = kk(tmp_path, "check", "plian", **path)
    assert nobody.returncode == 2 and "did you mean plain?" in nobody.stderr


def test_nothing_of_a_check_is_left_behind(tmp_path, monkeypatch):
    made, mkdtemp = [], tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: made.append(mkdtemp(*a, **k)) or made[-1])
    list(examine("lit", registry=registry(fresh("technique"), "lit")))
    assert made and all(Path(folder).parent == tmp_path for folder in made)
    assert list(tmp_path.iterdir()) == []
