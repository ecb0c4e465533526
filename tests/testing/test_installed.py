"""Plugins outside this checkout, built as wheels and installed into a fresh environment, check and run."""

import json
import re
import shlex
import shutil
import time

import pytest

from tests.helpers import ROOT
from tests.testing import environments

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
SMALL = ["-o", "fidelity.image_size=64", "-o", "fidelity.epochs=1", "-o", "decoder=unet/4", "--json"]
BAR = 300  # seconds from `kk new` to the result of `kk run`
JUNK = shutil.ignore_patterns("__pycache__", ".*")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(bin folder of a fresh environment, a home with copies of a competition and of the examples)."""
    home = tmp_path_factory.mktemp("installed")
    bin = environments.make(home / "venv")
    shutil.copytree(ROOT / "plugins" / "recycling", home / "recycling", ignore=JUNK)
    for example in ("your_first_competition", "your_first_technique"):
        shutil.copytree(ROOT / "examples" / example, home / example, ignore=JUNK)
    built = [ROOT, ROOT / "plugins" / "techniques", home / "recycling"]
    environments.run(bin, home, "pip", "wheel", "--wheel-dir", home / "wheels", *built)
    wheels = sorted((home / "wheels").glob("*.whl"))
    assert len(wheels) == 3
    environments.run(bin, home, "pip", "install", *wheels)
    shutil.rmtree(home / "recycling")
    environments.run(bin, home, "kk", "data", "sample", "recycling", home / "data", "--count", "16")
    return bin, home


def test_a_competition_out_of_the_tree_checks_and_runs(place):
    bin, home = place
    listed = json.loads(environments.run(bin, home, "kk", "plugins", "--json").stdout)["plugins"]
    assert {"recycling", "techniques"} <= {row["plugin"] for row in listed} and not any(r["broken"] for r in listed)
    checked = json.loads(environments.run(bin, home, "kk", "check", "recycling", "--json").stdout)
    assert checked["fail"] == 0 and checked["pass"] >= 50
    status = {v["law"]: v["status"] for v in checked["verdicts"]}
    assert status["a_recipe_resolves_in_a_fresh_process"] == status["importing_it_loads_nothing_heavy"] == "pass"
    result = json.loads(
        environments.run(bin, home, "kk", "run", "recycling", "--data", "data", "--fidelity", "demo", *SMALL).stdout
    )
    assert result["status"] == "done" and result["test"]["count"] >= 4


@pytest.mark.parametrize("page", ["your_first_technique", "your_first_competition"])
def test_the_commands_of_a_walk_through_work_as_typed(place, page):
    bin, home = place
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert len(lines) == 3
    said = [environments.run(bin, home, *shlex.split(line)).stdout for line in lines]
    assert " 0 broken, " in said[1]
    done = environments.run(bin, home, "pytest", "-q", "-p", "no:cacheprovider", page)
    assert " failed" not in done.stdout and re.search(r"\d\d passed", done.stdout)


def test_a_new_competition_goes_from_nothing_to_a_score_as_typed(place):
    bin, home = place
    started = time.monotonic()
    said = [environments.run(bin, home, *words).stdout for words in map(shlex.split, (
        "kk new competition x", "pip install -e x", "kk check x", "kk run x"))]  # fmt: skip
    assert time.monotonic() - started < BAR
    assert " 0 broken, " in said[2]
    score = re.search(r"test \(submission scored\) +([\d.]+)", said[3])
    assert float(score[1]) >= 0.7, said[3]  # a demo that learns nothing teaches nothing
    assert " passed" in environments.run(bin, home, "pytest", "-q", "-p", "no:cacheprovider", "x").stdout


def test_a_new_technique_is_installed_checked_and_used_as_typed(place):
    bin, home = place
    for line in ("kk new technique other-light", "pip install -e other-light"):
        environments.run(bin, home, *shlex.split(line))
    assert " 0 broken, 0 skipped" in environments.run(bin, home, "kk", "check", "other-light").stdout
    words = [
        "kk",
        "run",
        "recycling",
        "--data",
        "data",
        "--fidelity",
        "demo",
        "--with",
        "other-light",
        "-o",
        "fold=1",
        *SMALL,
    ]
    assert json.loads(environments.run(bin, home, *words).stdout)["status"] == "done"
    asked = environments.run(
        bin, home, "kk", "plugins", "why", "kk_augment", "--recipe", "recycling", "--with", "other-light"
    )
    assert "kagglekit-other-light 0.1.0" in asked.stdout
