"""Write-ups: every number is the record's, stale ones are found, the author's words stay and nothing hostile runs."""

import json
import re
from pathlib import Path

import pytest

from kagglekit.errors import RunError, UsageError
from kagglekit.plugin.registry import discover
from kagglekit.publish.writeup.facts import gather, stale
from kagglekit.publish.writeup.page_images import images_of
from kagglekit.publish.writeup.words import WORDS
from kagglekit.publish.writeup.write import check, write_up
from kagglekit.runs import folder as folders
from kagglekit.runs.ledger import Ledger
from tests.browser import faults, look_at, open_browser
from tests.helpers import read_only
from tests.report.test_run_page import HOSTILE, Page
from tests.search.toy import at_hand
from tests.test_reproduce import edit, trained

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A finished run of the toy competition."""
    return trained(at_hand(tmp_path, monkeypatch))


def written(run: Path, lang: str = "en") -> tuple[str, str, dict]:
    """The HTML page, the Markdown, and the notebook."""
    paths = write_up(discover(), run, lang)
    return (
        Path(paths["html"]).read_text(),
        Path(paths["md"]).read_text(),
        json.loads(Path(paths["ipynb"]).read_text()),
    )


def test_a_write_up_tells_score_recipe_cost_commands_and_how_to_check_it(run):
    page, text, _ = written(run)
    result = folders.read_json(run / folders.RESULT)
    score = f"{result['validation']['value']:.4f}"
    for form in (Page(page).text, text):
        assert score in form and run.name in form and "kk reproduce" in form
        assert "techniques.toy-tta" in form and "identity=0.75" in form
        assert folders.read_json(run / folders.VALIDATED)["members"][0] in form
        assert "kk ablate discs --data DIR" in form


def test_every_number_with_four_decimals_is_in_the_record(run):
    _, text, _ = written(run)
    record = json.dumps(gather(discover(), run))
    numbers = {float(n) for n in re.findall(r"\d\.\d{4}\b", text)}
    known = {round(float(n), 4) for n in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", record)}
    assert numbers and numbers <= known


def test_the_page_and_the_markdown_show_the_images_of_the_run(run):
    page, text, _ = written(run)
    shown = images_of(run / "report.html")
    assert len(shown) >= 6 and len(shown) % 3 == 0
    images = Page(page).all("img")
    assert len(images) >= 6 and all(image["src"].startswith("data:image/") for image in images)
    files = re.findall(r"\]\((pictures/[^)]+)\)", text)
    assert len(files) == len(images) and all((run / "writeup" / name).is_file() for name in files)


def test_the_notebook_installs_the_packages_and_runs_the_same_commands(run):
    _, _, notebook = written(run)
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert notebook["nbformat"] == 4 and sources[1] == "!pip install --quiet discs kagglekit"
    assert any(source.startswith("!kk reproduce ") for source in sources)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_same_write_up_exists_in_korean_with_the_same_numbers(run):
    _, english, _ = written(run)
    page, korean, _ = written(run, "ko")
    assert "데이터" in korean and '<html lang="en">' not in page.replace('lang="ko"', "")
    assert set(re.findall(r"\d\.\d{4}\b", english)) == set(re.findall(r"\d\.\d{4}\b", korean))
    assert WORDS["en"].keys() == WORDS["ko"].keys()
    braces = {lang: {k: set(re.findall(r"{(\w+)}", v)) for k, v in words.items()} for lang, words in WORDS.items()}
    assert braces["en"] == braces["ko"], "a fact that one language leaves out"
    with pytest.raises(UsageError, match="--lang fr: there is en and ko"):
        write_up(discover(), run, "fr")


def test_notes_of_the_author_are_taken_in_and_survive_and_their_html_stays_text(run):
    notes = "# Why\n\nIt *works*. <script>alert(1)</script> [a](javascript:alert(2))\n"
    (run / "notes.md").write_text(notes)
    page, text, _ = written(run)
    assert "<em>works</em>" in page and "<script>alert(1)" not in page and 'href="javascript' not in page
    assert "It *works*." in text
    written(run)
    assert (run / "notes.md").read_text() == notes


def test_numbers_that_changed_in_the_record_are_found(run):
    write_up(discover(), run)
    assert check(discover(), run) == []
    edit(run / folders.RESULT, lambda r: r["validation"].update(value=0.123))
    (found,) = check(discover(), run)
    assert found.startswith("scores.validation.value: the write-up says 0.") and found.endswith("the record 0.123")
    write_up(discover(), run)
    assert check(discover(), run) == []


def test_another_seed_makes_a_write_up_stale_once_there_is_a_band(run, tmp_path):
    write_up(discover(), run)
    for seed in (1, 2):
        trained(tmp_path / "data", seed=seed)
    (found,) = check(discover(), run)
    assert found.startswith("seeds: ")
    _, text, _ = written(run)
    assert "3 seeds of the same recipe score" in text and "lies in" in text


def test_an_ablation_on_the_same_data_says_what_techniques_are_worth(run, tmp_path):
    from tests.search.test_ablate import planned
    from tests.search.test_ablate import run as ablated
    from tests.test_reproduce import solved

    result = ablated(planned(solved(), seeds=2), solved(), tmp_path / "data")
    page, text, _ = written(run)
    (effect,) = result.effects
    assert f"{effect.left_out.value:+.4f}" in text and result.name in text
    assert "within noise" in Page(page).text or "helps" in Page(page).text or "hurts" in Page(page).text


DAMAGE = ["{}", "[]", '{"name": ', '{"a":' * 3000, '{"effects": 5, "seeds": "x"}', b"\xff"]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damaged_folders_of_somebody_else_are_named_and_passed_over(run, capsys, damage):
    damage = damage if isinstance(damage, bytes) else damage.encode()
    for place, names in {
        "ablations/theirs": ("ablation.json", folders.RESULT),
        "searches/theirs": ("search.json", folders.RESULT),
        f"{run.parent.name}/{'f' * 12}": (folders.MANIFEST, folders.RESULT),
    }.items():
        (folders.home() / place).mkdir(parents=True)
        for name in names:
            (folders.home() / place / name).write_bytes(damage)
    written(run)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.endswith("(passed over)")]
    for name in ("ablations/theirs/ablation.json", "searches/theirs/result.json", f"{'f' * 12}/manifest.json"):
        assert [name in line for line in lines].count(True) == 1
    from kagglekit.publish.solutions import offers

    capsys.readouterr()
    assert [one["competition"] for one in offers(discover())] == ["discs"]
    assert Ledger(folders.home()).rebuild() == 1
    assert "f/manifest.json: " in capsys.readouterr().err


@pytest.mark.parametrize(("name", "text", "fault"), [
    ("notes.md", b"\xbe\xc8\xb3\xe7", r"notes\.md: is no UTF-8 text .*; save it as UTF-8"),
    ("result.json", b"{}", r"result\.json: damaged: object missing required field"),
    ("manifest.json", b"{}", r"manifest\.json: competition None is no plain name"),
    ("validated.json", b"[]", r"validated\.json: damaged: holds list"),
])  # fmt: skip
def test_damage_of_the_run_itself_is_a_sentence(run, name, text, fault):
    (run / name).write_bytes(text)
    with pytest.raises(RunError, match=fault):
        write_up(discover(), run)


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"lang": "en", "facts": []}', "[" * 3000])
def test_a_damaged_write_up_says_how_to_make_it_anew(run, text):
    (run / "writeup.json").write_text(text)
    with pytest.raises(RunError, match=r"writeup\.json: damaged: "):
        check(discover(), run)


def test_a_write_up_of_a_run_that_cannot_be_written_goes_elsewhere(run, tmp_path, capsys):
    with read_only(folders.home()):
        paths = write_up(discover(), run, "en", tmp_path / "out")
        assert "cannot be written, so that `kk writeup --check` will not know" in capsys.readouterr().err
        assert Path(paths["html"]).stat().st_size > 1000
        with pytest.raises(OSError):
            write_up(discover(), run, "en")


def test_a_run_without_a_write_up_or_not_finished_says_so(run):
    with pytest.raises(RunError, match=r"has no write-up; kk writeup .* makes one"):
        check(discover(), run)
    (run / folders.RESULT).unlink()
    with pytest.raises(RunError, match="has not finished"):
        write_up(discover(), run)


def test_stale_places_are_named_by_their_path():
    assert stale({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}) == ["a.b.1: the write-up says 2, the record 3"]
    assert stale({"a": 1}, {"a": 1, "c": 2}) == ["c: the write-up says None, the record 2"]
    assert stale([1], [1, 2]) == [": the write-up says [1], the record [1, 2]"]


def test_labels_that_training_saw_otherwise_are_told(run):
    edit(run / folders.RESULT, lambda result: result.update(relabelled=[{"id": "a", "reason": "a-rule: half"}] * 3))
    assert "In training, other masks stood in for 3 labels (a-rule: 3)." in written(run)[1]


def test_names_in_the_record_are_shown_and_never_obeyed(run):
    def spoil(result):
        result["skipped"] = result["relabelled"] = [{"id": HOSTILE, "reason": f"{HOSTILE}: x"}]
        result["command"] = HOSTILE

    edit(run / folders.RESULT, spoil)
    page, text, _ = written(run)
    assert len(Page(page).all("script")) == 1 and HOSTILE in Page(page).text
    assert "<script>" not in text.replace("```\n" + HOSTILE, "")


@pytest.mark.browser
def test_the_page_opens_in_chromium_without_a_fault_and_stays_small(run):
    (run / "notes.md").write_text("# A\n\n" + "a" * 300 + "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    with open_browser() as browser:
        for lang in ("en", "ko"):
            path = Path(write_up(discover(), run, lang)["html"])
            assert path.stat().st_size < 5_000_000
            for width in (400, 1280):
                look = look_at(browser, path, width, dark=width == 400)
                assert look.console == () and look.overflow == 0 and look.outside == () and look.broken_images == ()
            assert faults(browser, path) == []
