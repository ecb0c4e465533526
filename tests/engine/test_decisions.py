"""Files of decisions: read strictly, written so that they read back, and masks in PNGs."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kagglekit.clean import decisions
from kagglekit.clean.decisions import ACTIONS, Decision, Decisions, check, read
from kagglekit.errors import DataError
from kagglekit.files import write_text

HEAD = 'competition = "toy"\ndata = "0123456789abcdef"\n'
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def saved(folder, text: str, name: str = "decisions.toml"):
    """A file of decisions with this text below its header."""
    path = folder / name
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def png(path, array, mode=None):
    """A PNG of an array."""
    Image.fromarray(np.asarray(array), mode).save(path)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(words, st.tuples(st.sampled_from(["keep", "drop"]), words, st.text(max_size=9), words), max_size=5)
)
def test_what_was_written_reads_back_whatever_the_names_are(tmp_path, rows):
    made = Decisions(
        "toy", "f00", tuple(Decision(s, *row) for s, row in rows.items()), "now", "kk clean toy", use="kk run"
    )
    path = tmp_path / "decisions.toml"
    path.write_text(made.to_toml(), encoding="utf-8", newline="")
    assert read(path) == made


@pytest.mark.parametrize("name", ["\udcbb\udce7.jpg", "a\\xb0.jpg", "\\x5cx\udc80\\x", "\\", "x"])
def test_names_of_files_that_are_no_utf_8_read_back(tmp_path, name):
    made = Decisions("toy", "f00", (Decision(name, "drop", why=name),))
    write_text(tmp_path / "decisions.toml", made.to_toml())
    assert read(tmp_path / "decisions.toml") == made and len(made.content()) == 16


def test_decisions_may_be_appended_as_text_below_what_a_person_wrote(tmp_path):
    path = saved(tmp_path, '\n# mine\n[[decision]]\nsample = "a"\naction = "keep"\n')
    path.write_text(path.read_text() + decisions.tables([Decision("b", "drop", "tiny")]))
    assert read(path).decisions == (Decision("a", "keep"), Decision("b", "drop", "tiny"))
    assert read(path).extended([Decision("a", "drop"), Decision("c", "drop")]).decisions[0].action == "keep"
    assert [d.sample for d in read(path).extended([Decision("a", "drop"), Decision("c", "drop")]).decisions] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[decision]]\nsample = 'a'\n", r"decision 1 \(a\): action is missing"),
        ("[[decision]]\naction = 'drop'\n", "decision 1: sample is missing"),
        ("[[decision]]\nsample = 'a'\naction = 'delete'\n", "action 'delete' is not one of keep, drop, relabel"),
        ("[[decision]]\nsample = 'a'\naction = 'drop'\nreson = 'x'\n", "reson is not known; .*use sample, action"),
        ("[[decision]]\nsample = 3\naction = 'drop'\n", 'sample must be text; write sample = "3"'),
        (
            "[[decision]]\nsample = 'a'\naction = 'drop'\n" * 2,
            r"a is decided twice; remove one of its \[\[decision\]\]",
        ),
        ("[[decision]]\nsample = 'a'\naction = 'relabel'\n", "relabel needs a mask; add mask"),
        ("[[decision]]\nsample = 'a'\naction = 'drop'\nmask = 'a.png'\n", "drop takes no mask"),
        ("[[decision]]\nsample = 'a'\naction = 'relabel'\nmask = 'a.png'\n", "mask a.png does not exist in"),
        ("[[decision]]\nsample = 'a'\naction = 'relabel'\nmask = '../a.png'\n", "lies outside the folder of this file"),
        ("[[decision]]\nsample = 'a'\naction = 'relabel'\nmask = '/etc/passwd'\n", "lies outside the folder"),
        ("decision = 'a'\n", r"decision must be a list of tables; write \[\[decision\]\] above each"),
        ("decided = 'a'\n", "decided is not known"),
        ("sample = \n", "not valid TOML"),
        ("a = " + "[" * 3000 + "]" * 3000, "not valid TOML: is nested more than 64 levels deep"),
    ],
)
def test_every_fault_of_a_file_is_told_with_its_place_and_what_to_do(tmp_path, text, fault):
    with pytest.raises(DataError, match=fault) as error:
        read(saved(tmp_path, text))
    assert str(error.value).startswith(f"decisions {tmp_path / 'decisions.toml'}: ")


def test_a_file_that_is_absent_or_no_text_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no such file; `kk clean ID --data DIR` writes one"):
        read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "bytes.toml")
    (tmp_path / "headless.toml").write_text('competition = "toy"\n')
    with pytest.raises(DataError, match="data is missing"):
        read(tmp_path / "headless.toml")


def test_decisions_on_another_competition_other_data_or_unknown_samples_are_refused(tmp_path):
    found = read(saved(tmp_path, "[[decision]]\nsample = 'aa1'\naction = 'drop'\n"))
    check(found, "toy", {"aa1", "b"}, "0123456789abcdef")
    check(found, "toy", {"aa1", "b"})
    with pytest.raises(DataError, match="made for toy, not for other; give the file of this one"):
        check(found, "other", {"aa1"})
    with pytest.raises(DataError, match=r"have no training image aa1; did you mean aa2.*make them anew"):
        check(found, "toy", {"aa2"})
    with pytest.raises(DataError, match=r'fingerprint 0123456789abcdef, these have ffff.*write data = "ffff"'):
        check(found, "toy", {"aa1"}, "ffff")


def test_the_content_changes_with_actions_and_masks_and_with_nothing_else(tmp_path):
    png(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    relabel = "[[decision]]\nsample = 'a'\naction = 'relabel'\nmask = 'a.png'\n"
    drop = "[[decision]]\nsample = 'b'\naction = 'drop'\n"
    first = read(saved(tmp_path, relabel + drop)).content()
    assert read(saved(tmp_path, f"# a comment\n{drop}why = 'ugly'\n{relabel}")).content() == first
    assert read(saved(tmp_path, relabel + drop.replace("drop", "keep"))).content() != first
    path = saved(tmp_path, relabel + drop)
    png(tmp_path / "a.png", np.ones((4, 5), np.uint8))
    assert read(path).content() != first
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"mask .*a\.png does not exist"):
        read(path)


def test_the_actions_are_those_of_the_documentation():
    assert ACTIONS == ("keep", "drop", "relabel")
