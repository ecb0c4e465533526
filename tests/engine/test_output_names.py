"""What masks of a folder of images are called: short where it is safe, and never the same."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import DataError
from kagglekit.pipeline.predict_folder import output_names


def named(*names: str) -> dict[str, str]:
    return {path.name: name for path, name in output_names([Path("in") / name for name in names]).items()}


def test_a_mask_is_called_like_its_image_without_the_ending():
    assert named("a.png", "b.JPG", "c.d.tif") == {"a.png": "a", "b.JPG": "b", "c.d.tif": "c.d"}


@pytest.mark.parametrize("pair", [("a.png", "a.jpg"), ("a.png", "A.jpg"), ("a.PNG", "a.png.bmp"),
                                  ("머리.png", unicodedata.normalize("NFD", "머리") + ".jpg")])  # fmt: skip
def test_images_of_one_stem_keep_their_endings(pair):
    found = named(*pair, "other.png")
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found.values()}) == 3
    assert found["other.png"] == "other"


def test_names_that_no_ending_tells_apart_are_refused_before_the_work():
    with pytest.raises(DataError, match=r"in/a\.png: its mask would be called like that of A\.png; rename one of them"):
        named("a.png", "A.png")
    with pytest.raises(DataError, match=r"a\.png\.bmp"):
        named("a.png", "a.jpg", "a.png.bmp")


@given(st.sets(st.text("aA.b", min_size=1, max_size=4).map(lambda stem: f"{stem}.png"), min_size=1, max_size=6))
def test_no_two_masks_are_ever_called_alike(names):
    try:
        found = named(*sorted(names))
    except DataError:
        return
    assert len({name.casefold() for name in found.values()}) == len(names)


def test_a_name_too_long_for_what_is_made_of_it_is_refused_before_the_work():
    with pytest.raises(DataError, match="its name is too long for the files that are made of it; shorten it"):
        named("n" * 250 + ".bmp")
