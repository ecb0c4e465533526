"""What the walk-throughs show is what the examples hold, and the examples run."""

import json
import re
import textwrap

import pytest

from kagglekit.plugin.registry import build
from kagglekit.testing import all_laws, examine
from tests.docs.test_docs import ROOT, module_at

EXAMPLES = ROOT / "examples"
WALKED = {
    "your_first_competition": ("craters", "kagglekit_craters"),
    "your_first_technique": ("vflip", "kagglekit_vflip"),
}


def bare(text: str) -> str:
    """Lines without indentation and blank ones: pages show methods without their class."""
    return "\n" + "\n".join(line.strip() for line in text.splitlines() if line.strip()) + "\n"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page of docs/."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("name", WALKED)
def test_every_block_of_a_walk_through_stands_so_in_the_example(name):
    texts = [bare(p.read_text(encoding="utf-8")) for p in (EXAMPLES / name).iterdir() if p.suffix in (".py", ".toml")]
    shown = [*blocks(f"{name}.md", "python"), *blocks(f"{name}.md", "toml")]
    for block in shown:
        assert any(bare(block) in text for text in texts), block
    assert len(shown) >= 4


def module_of(name: str, monkeypatch):
    """The module of an example, with its folder on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES / name))
    return module_at(EXAMPLES / name / f"{WALKED[name][1]}.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKED)
def test_an_example_keeps_every_law(name, monkeypatch):
    plugin, _ = WALKED[name]
    module = module_of(name, monkeypatch)
    registry = build([(plugin, f"kagglekit-{plugin} 0.1.0", lambda: module)])
    verdicts = list(examine(plugin, registry=registry))
    assert [v for v in verdicts if v.status == "fail"] == []
    kept = [v for v in verdicts if v.status == "pass"]
    assert len(kept) >= (48 if name == "your_first_competition" else 13)


def test_f2_of_the_example_is_what_the_definition_says(monkeypatch):
    import numpy as np
    from hypothesis import given
    from hypothesis import strategies as st

    monkeypatch.syspath_prepend(str(EXAMPLES / "your_first_competition"))
    metric = module_at(EXAMPLES / "your_first_competition" / "craters_submission.py").F2()

    @given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
    def holds(pixels):
        truth, mask = np.array(pixels, np.uint8).reshape(-1, 2).T[:, None]
        hits = sum(t and m for t, m in pixels)
        found, there = sum(m for _, m in pixels), sum(t for t, _ in pixels)
        score = metric.reduce(metric.compare(truth, mask)[None])
        if not found and not there:
            assert score == 1
        elif not hits:
            assert score == 0
        else:
            precision, recall = hits / found, hits / there
            assert score == pytest.approx(5 * precision * recall / (4 * precision + recall))

    holds()


def test_the_submission_of_the_example_refuses_what_is_no_zip_and_no_png(monkeypatch, tmp_path):
    from kagglekit import SubmissionError

    monkeypatch.syspath_prepend(str(EXAMPLES / "your_first_competition"))
    form = module_at(EXAMPLES / "your_first_competition" / "craters_submission.py").PngZip(["a.png"])
    (tmp_path / "s.zip").write_text("no zip")
    with pytest.raises(SubmissionError, match=r"s\.zip: cannot be read as a zip"):
        form.read(tmp_path / "s.zip")
    with pytest.raises(SubmissionError, match="not a PNG"):
        form.decode(b"no png", (4, 4))
    with pytest.raises(SubmissionError, match="ids not asked for: 1"):
        form.write(tmp_path / "s.zip", {"a.png": b"", "b.png": b""})


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder to run in, where all that kagglekit writes stays."""
    for name in ("RUNS", "CACHE", "SAMPLES"):
        monkeypatch.setenv(f"KAGGLEKIT_{name}", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_python_example_trains_predicts_and_scores(places, capsys):
    score = module_at(EXAMPLES / "python_api.py").main(places)
    out = capsys.readouterr().out
    assert 0 <= score <= 1 and f"mean Dice of the submission: {score:.3f}" in out
    assert "lr 0.001 comes from the engine" in out and "'predicted': 4, 'skipped': []" in out
    assert len(list((places / "masks").glob("*-overlay.jpg"))) == 4


@pytest.mark.slow
def test_the_python_of_the_readme_draws_trains_and_prints_both_scores_and_is_the_same_in_both(places, capsys):
    [block], [other] = (
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)
        for name in ("README.md", "README.ko.md")
    )
    assert block == other and len(block.splitlines()) <= 12
    small = {
        "fidelity.image_size": 64,
        "fidelity.epochs": 1,
        "decoder": "unet/4",
        "encoder_weights": "none",
        "folds": 4,
    }
    quick = block.replace('competition.presets["demo"]', repr(small)).replace("count=64", "count=16")
    assert quick.count(repr(small)) == 1 and "count=16" in quick
    for _ in range(2):  # the second time data and result are at hand
        exec(quick, {})  # noqa: S102  (a page of our own)
        folder, validation, test = capsys.readouterr().out.split()
        assert 0 <= float(validation) <= 1 and 0 <= float(test) <= 1
        assert list(places.glob("runs/hair-seg/*/result.json")) == [places / folder / "result.json"]


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs_and_it_was_saved_without_output(places):
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict = {}
    ran = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            exec("".join(cell["source"]), names)  # noqa: S102  (a notebook of our own)
            ran += 1
    assert ran == 5 and 0 <= names["score"].value <= 1 and names["is_new"]
    assert len(names["solution"].views()) == 8  # mirrored, times four turns


def test_the_page_of_laws_is_what_the_kit_says():
    generate = module_at(ROOT / "docs" / "generate.py")
    text = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert text == generate.laws_page(), "run: python docs/generate.py"
    assert len(re.findall(r"^\| (?!law |---)", text, re.M)) == len(all_laws())


def test_the_code_on_the_page_about_tests_runs():
    [block] = blocks("test_a_plugin.md", "python")
    names: dict = {}
    exec(textwrap.dedent(block), names)  # noqa: S102  (a page of our own)
    marks = names["test_conformance"].pytestmark[0].args[1]
    assert len(marks) >= 10 and all("flip-tta" in case.id for case in marks)


def test_the_page_about_tests_names_the_fixtures_that_there_are():
    from kagglekit.testing import pytest_plugin

    named = set(re.findall(r"^\| `(kk_\w+)` \|", (ROOT / "docs" / "test_a_plugin.md").read_text(), re.M))
    assert named == {name for name in vars(pytest_plugin) if name.startswith("kk_")}
