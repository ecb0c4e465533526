"""Gigapixel TIFF files: every form the contests have, by window, damage noticed."""

import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.data.readers import slides
from kagglekit.data.readers.slides import Slide
from kagglekit.errors import DataError
from kagglekit.types import Box

HEIGHT, WIDTH = 203, 310
FORMS = ("interleaved", "planar", "five axes", "three images")
COMPRESSIONS = (None, "zlib", "lzw", "jpeg")
CUTS = ({"tile": (64, 64)}, {"tile": (32, 128)}, {"rowsperstrip": 16}, {"rowsperstrip": HEIGHT})


def make_image() -> np.ndarray:
    """uint8 `[H, W, 3]`, smooth enough for JPEG, different in each channel."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows, columns // 2, (rows + columns) // 3], -1).astype(np.uint8)


def write(path, form: str, image: np.ndarray, **options):
    """A slide in one of the contest's forms."""
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    if form == "interleaved":
        tifffile.imwrite(path, image, photometric="rgb", **options)
    elif form == "planar":
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", **options)
    elif form == "five axes":
        tifffile.imwrite(path, planes[None, None], photometric="minisblack", **options)
    else:
        with tifffile.TiffWriter(path) as file:
            for plane in planes:
                file.write(plane, photometric="minisblack", metadata=None, **options)
    return path


def pixels(path, form: str) -> np.ndarray:
    """The image as tifffile reads it whole."""
    if form == "three images":
        return np.stack([tifffile.imread(path, key=i) for i in range(3)], -1)
    array = np.squeeze(tifffile.imread(path))
    return array if form == "interleaved" else array.transpose(1, 2, 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_every_form_of_the_contest_is_read_as_a_whole_and_by_window(tmp_path, form, compression, cut):
    path = write(tmp_path / "s.tiff", form, make_image(), compression=compression, **cut)
    slide, expected = Slide(path), pixels(path, form)
    assert (slide.size, slide.channels, slide.depth) == ((HEIGHT, WIDTH), 3, "uint8")
    assert np.array_equal(slide.read(), expected)
    for top, left, height, width in ((0, 0, 1, 1), (60, 100, 70, 80), (202, 309, 1, 1), (10, 0, 190, WIDTH)):
        window = slide.read(Box(top, left, height, width))
        assert np.array_equal(window, expected[top : top + height, left : left + width])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_sequence_of_windows_gives_the_pixels_of_the_image(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "sequence.tiff"
    if not path.exists():
        write(path, "interleaved", make_image(), compression="zlib", tile=(64, 64))
    slide, expected = Slide(path), make_image()
    for _ in range(data.draw(st.integers(1, 4))):
        top, left = data.draw(st.integers(0, HEIGHT - 1)), data.draw(st.integers(0, WIDTH - 1))
        height, width = data.draw(st.integers(1, HEIGHT - top)), data.draw(st.integers(1, WIDTH - left))
        assert np.array_equal(slide.read(Box(top, left, height, width)), expected[top : top + height, left:][:, :width])


@pytest.mark.parametrize("rows", [50, 64, 100, HEIGHT])
def test_bands_from_top_to_bottom_decode_each_tile_once(tmp_path, monkeypatch, rows):
    path = write(tmp_path / "s.tiff", "interleaved", make_image(), compression="zlib", tile=(64, 64))
    slide, decoded = Slide(path), []
    decode = Slide._decode
    monkeypatch.setattr(Slide, "_decode", lambda self, part: decoded.append(part.number) or decode(self, part))
    bands = [slide.read(Box(top, 0, min(rows, HEIGHT - top), WIDTH)) for top in range(0, HEIGHT, rows)]
    assert np.array_equal(np.concatenate(bands), make_image())
    assert sorted(decoded) == list(range(4 * 5))


def test_pyramid_levels_and_thumbnails_after_the_image_are_ignored(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tiff") as file:
        file.write(make_image(), photometric="rgb", tile=(64, 64), compression="zlib")
        file.write(make_image()[::4, ::4], photometric="rgb", compression="zlib")
    assert np.array_equal(Slide(tmp_path / "s.tiff").read(), make_image())


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_deep_uncompressed_slides_are_read_in_either_byte_order(tmp_path, byteorder):
    deep = make_image().astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "s.tiff", deep, photometric="rgb", byteorder=byteorder)
    slide = Slide(tmp_path / "s.tiff")
    assert slide.depth == "uint16"
    assert np.array_equal(slide.read(Box(5, 7, 100, 90)), deep[5:105, 7:97])


def test_a_tile_that_was_left_out_is_black(tmp_path):
    image = make_image()[:128, :128].copy()
    image[:64, :64] = 0
    tiles = [image[top : top + 64, left : left + 64] for top in (0, 64) for left in (0, 64)]
    packed = [b"", *(zlib.compress(tile.tobytes()) for tile in tiles[1:])]
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", "predictor": False}
    tifffile.imwrite(tmp_path / "s.tiff", iter(packed), shape=image.shape, dtype="uint8", **options)
    assert np.array_equal(Slide(tmp_path / "s.tiff").read(), image)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_truncated_file_is_refused_when_it_is_opened(tmp_path, share):
    path = write(tmp_path / "s.tiff", "interleaved", make_image(), compression="zlib", tile=(64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"s\.tiff: (truncated: pixels end at byte|not a TIFF file that can be read)"):
        Slide(path)


def test_damage_inside_a_tile_names_the_file_and_the_place(tmp_path):
    path = write(tmp_path / "s.tiff", "interleaved", make_image(), compression="zlib", tile=(64, 64))
    page = tifffile.TiffFile(path).pages[0]
    data = bytearray(path.read_bytes())
    data[page.dataoffsets[7] : page.dataoffsets[7] + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"s\.tiff: damaged at Box\(top=64, left=128"):
        Slide(path).read()


@pytest.mark.parametrize(("shape", "channels"), [((20, 30), 1), ((2, 20, 30), 2), ((5, 20, 30), 5)])
def test_an_image_has_the_channels_that_its_file_holds(tmp_path, shape, channels):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    tifffile.imwrite(tmp_path / "s.tiff", array, photometric="minisblack")
    slide = Slide(tmp_path / "s.tiff")
    expected = np.moveaxis(array.reshape(channels, 20, 30), 0, 2)
    assert (slide.size, slide.channels) == ((20, 30), channels)
    assert np.array_equal(slide.read(), expected)


def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such image"):
        Slide(tmp_path / "nothing.tiff")
    (tmp_path / "s.tiff").write_text("hello")
    with pytest.raises(DataError, match=r"not a TIFF file"):
        Slide(tmp_path / "s.tiff")


def test_one_compressed_piece_too_large_for_memory_is_refused_with_advice(tmp_path, monkeypatch):
    path = write(tmp_path / "s.tiff", "interleaved", make_image(), compression="zlib", rowsperstrip=HEIGHT)
    monkeypatch.setattr(slides, "MOST", 1000)
    with pytest.raises(DataError, match="cannot be read by window; convert it to tiles"):
        Slide(path)
    raw = write(tmp_path / "raw.tiff", "interleaved", make_image(), rowsperstrip=HEIGHT)
    assert np.array_equal(Slide(raw).read(), make_image()), "uncompressed pieces need no decoding"


def test_a_window_outside_the_image_is_refused(tmp_path):
    slide = Slide(write(tmp_path / "s.tiff", "interleaved", make_image(), tile=(64, 64)))
    with pytest.raises(DataError, match="leaves the image of 203x310"):
        slide.read(Box(0, 300, 10, 11))
