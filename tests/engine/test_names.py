"""Files by the names that labels give them, whichever way letters are composed."""

import unicodedata

import pytest

from kagglekit.data.names import by_name, composed, find, lookup

KOREAN = "\uba38\ub9ac.jpg"
PARTS = unicodedata.normalize("NFD", KOREAN)


@pytest.mark.parametrize(
    ("asked", "on_disk"), [(KOREAN, PARTS), (PARTS, KOREAN), (KOREAN, KOREAN), ("\u00e9.png", "e\u0301.png")]
)
def test_a_name_is_found_in_either_composition_and_below_folders(tmp_path, asked, on_disk):
    for folder in (tmp_path, tmp_path / "sub", tmp_path / on_disk.partition(".")[0]):
        folder.mkdir(exist_ok=True)
        (folder / on_disk).touch()
        name = str((folder / asked).relative_to(tmp_path))
        assert find(tmp_path, name).name == on_disk and find(tmp_path, name).is_file()
    assert find(tmp_path, f"{asked.partition('.')[0]}/{asked}").is_file()


def test_a_name_that_is_there_as_it_is_wins_and_one_that_is_not_is_joined(tmp_path):
    for name in (KOREAN, PARTS):
        (tmp_path / name).touch()
        assert find(tmp_path, name) == tmp_path / name
    for name in ("none.jpg", "\uc5c6.jpg", "\uc5c6/\uc5c6.jpg"):
        assert find(tmp_path, name) == tmp_path / name
    assert find(tmp_path / "\uc5c6", KOREAN) == tmp_path / "\uc5c6" / KOREAN


def test_a_file_that_comes_later_is_found(tmp_path):
    assert not find(tmp_path, KOREAN).exists()
    (tmp_path / PARTS).touch()
    assert find(tmp_path, KOREAN).exists()


def test_names_and_values_are_looked_up_composed():
    assert by_name([PARTS, "a", KOREAN]) == {KOREAN: KOREAN, "a": "a"} and by_name([PARTS]) == {KOREAN: PARTS}
    assert composed(PARTS) == KOREAN and composed("a.jpg") == "a.jpg"
    assert lookup({PARTS: 1, "b": 2}, [KOREAN, "c", "b"]) == {KOREAN: 1, "b": 2}
