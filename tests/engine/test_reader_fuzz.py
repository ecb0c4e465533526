"""Damaged files of every kind that is read: words or values, never anything else; whole ones in every form, exactly."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.data.readers.images import describe, read_image
from kagglekit.data.readers.orientation import stored_box, turned, turned_size
from kagglekit.data.readers.slides import Slide
from kagglekit.errors import KagglekitError
from kagglekit.types import Box
from tests.benchmarks.reader_fuzz import all_kinds, mutated

KINDS = all_kinds()
FORMS = {  # what photometric interpretation, and how what is shown is stored
    "minisblack": lambda shown: shown,
    "miniswhite": lambda shown: np.iinfo(shown.dtype).max - shown,
    "rgb": lambda shown: shown,
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_end_in_words_or_in_values(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_RUNS", str(tmp_path / "runs"))
    subject, path = KINDS[kind], tmp_path / KINDS[kind].name
    valid = subject.write(path) or path.read_bytes()
    expected = subject.read(path)
    told = {"refused": 0, "same": 0, "other": 0}
    for number in range(40):
        path.write_bytes(mutated(valid, np.random.default_rng((7, number))))
        try:
            told["same" if subject.read(path) == expected else "other"] += 1
        except KagglekitError as error:
            assert str(error).strip()
            told["refused"] += 1
    assert told["refused"] > 0 and not (subject.checked and told["other"]), told


@st.composite
def tiffs(draw):
    """(pixels as shown, options of tifffile) of a small TIFF."""
    photometric = draw(st.sampled_from(sorted(FORMS)))
    channels = draw(st.sampled_from([3, 4])) if photometric == "rgb" else 1
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    seed = draw(st.integers(0, 2**32 - 1))
    shown = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (height, width, channels), kind, endpoint=True)
    options = {
        "photometric": photometric,
        "compression": draw(st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"])),
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "tile": draw(st.sampled_from([None, (16, 16), (32, 48)])),
        "metadata": None,
    }
    if options["tile"] is None:
        options["rowsperstrip"] = draw(st.integers(1, height))
    if options["compression"] in ("lzw", "zlib") and draw(st.booleans()):
        options["predictor"] = True
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    separate = channels > 1 and draw(st.booleans())
    if channels > 1:
        options["planarconfig"] = "separate" if separate else "contig"
    return shown, options, separate, draw(st.integers(1, 8))


@settings(max_examples=150, deadline=None)
@given(tiffs(), st.data())
def test_a_tiff_in_any_form_is_read_as_it_is_shown_whole_and_by_window(tmp_path_factory, tiff, data):
    shown, options, separate, orientation = tiff
    path = tmp_path_factory.getbasetemp() / "any.tif"
    stored = FORMS[options["photometric"]](shown)
    stored = (
        np.ascontiguousarray(stored.transpose(2, 0, 1))
        if separate
        else np.squeeze(stored, 2)
        if shown.shape[2] == 1
        else stored
    )
    tifffile.imwrite(path, stored, extratags=[(274, "H", 1, orientation, True)], **options)
    expected = turned(shown, orientation)
    assert describe(path)[0] == expected.shape[:2]
    if shown.shape[2] != 3 or shown.dtype != np.uint8:
        assert np.array_equal(read_image(path, shown.shape[2], str(shown.dtype)), expected)
    slide = Slide(path)
    assert slide.size == expected.shape[:2] and np.array_equal(slide.read(), expected)
    top, left = data.draw(st.integers(0, slide.size[0] - 1)), data.draw(st.integers(0, slide.size[1] - 1))
    height, width = data.draw(st.integers(1, slide.size[0] - top)), data.draw(st.integers(1, slide.size[1] - left))
    window = slide.read(Box(top, left, height, width))
    assert np.array_equal(window, expected[top : top + height, left : left + width])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 8), st.data())
def test_a_window_of_a_turned_image_is_the_turned_window_of_the_stored_one(height, width, orientation, data):
    stored = np.arange(height * width).reshape(height, width)
    shown = turned(stored, orientation)
    assert shown.shape == turned_size((height, width), orientation)
    top, left = data.draw(st.integers(0, shown.shape[0] - 1)), data.draw(st.integers(0, shown.shape[1] - 1))
    box = Box(
        top, left, data.draw(st.integers(1, shown.shape[0] - top)), data.draw(st.integers(1, shown.shape[1] - left))
    )
    inner = stored_box(box, (height, width), orientation)
    part = stored[inner.top : inner.top + inner.height, inner.left : inner.left + inner.width]
    assert np.array_equal(turned(part, orientation), shown[top:, left:][: box.height, : box.width])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from(["uint8", "uint16"]),
    st.integers(0, 99),
)
def test_a_png_of_any_channels_and_depth_comes_back_bit_by_bit(tmp_path_factory, height, width, channels, depth, seed):
    path = tmp_path_factory.getbasetemp() / "any.png"
    pixels = np.random.default_rng(seed).integers(
        0, np.iinfo(depth).max, (height, width, channels), depth, endpoint=True
    )
    path.write_bytes(imagecodecs.png_encode(pixels[..., 0] if channels == 1 else pixels))
    assert np.array_equal(read_image(path, channels, depth), pixels)
