"""TIFF files are read as viewers show them, by the colour reader, the deep reader and the reader of windows alike."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from kagglekit.data.readers.images import describe, read_image, read_rgb
from kagglekit.data.readers.slides import Slide
from kagglekit.errors import DataError
from kagglekit.types import Box

H, W = 70, 90
TILE = (32, 48)


def make_image() -> np.ndarray:
    """uint8 `[H, W, 3]` without any symmetry."""
    rows, columns = np.mgrid[:H, :W]
    return np.stack([rows * 3, columns * 2, (rows + columns) // 2 + 40], -1).astype(np.uint8)


def deep() -> np.ndarray:
    """uint16 `[H, W]`, far from filling its range."""
    rows, columns = np.mgrid[:H, :W]
    return (rows * 70 + columns * 13).astype(np.uint16)


def shown_by_pillow(path) -> np.ndarray:
    # From memory: Pillow 13.0 does not turn an uncompressed gray or palette TIFF that it maps from a path.
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image.convert("RGB"))


def every_reader(path) -> list[np.ndarray]:
    """The colours that the three readers give, as `[H, W, 3]`."""
    channels = Slide(path).channels
    return [a[..., [0, 0, 0]] if a.shape[2] == 1 else a[..., :3]
            for a in (read_rgb(path), read_image(path, channels, "uint8"), Slide(path).read())]  # fmt: skip


OPTIONS = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": TILE, "compression": "zlib", "predictor": True},
    "lzw": {"compression": "lzw"},
    "big endian": {"byteorder": ">", "compression": "lzw", "tile": TILE},
    "planes": {"planarconfig": "separate"},
    "jpeg": {"photometric": "ycbcr", "compression": "jpeg", "tile": TILE, "subsampling": (2, 2)},
    "zstandard": {"compression": "zstd", "tile": TILE},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_all_readers_show_what_pillow_shows(tmp_path, options):
    pixels = make_image().transpose(2, 0, 1) if options.get("planarconfig") else make_image()
    tifffile.imwrite(tmp_path / "a.tif", pixels, **{"photometric": "rgb", **options})
    expected = shown_by_pillow(tmp_path / "a.tif")
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"tile": TILE, "compression": "zlib"}], ids=str)
def test_where_zero_is_white_every_reader_turns_values_round(tmp_path, options):
    gray = make_image()[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", 255 - gray, photometric="miniswhite", **options)
    tifffile.imwrite(tmp_path / "b.tif", 65535 - deep(), photometric="miniswhite", **options)
    assert np.array_equal(shown_by_pillow(tmp_path / "a.tif")[..., 0], gray)
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found[..., 0], gray)
    assert np.array_equal(read_image(tmp_path / "b.tif", 1, "uint16")[..., 0], deep())
    assert "zero is white, shown so" in describe(tmp_path / "a.tif")[1]


def test_zero_is_white_has_no_meaning_for_fractions_and_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((H, W), np.float32), photometric="miniswhite")
    with pytest.raises(DataError, match=r"a\.tif: MINISWHITE of float32 pixels, which cannot be read"):
        read_image(tmp_path / "a.tif", 1, "uint16")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_eight_as_viewers_do(tmp_path, bits):
    levels = (np.mgrid[:H, :W].sum(0) % 2**bits).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="minisblack", bitspersample=bits)
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found[..., 0], levels * (255 // (2**bits - 1)))


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = rgb.astype(float).transpose(2, 0, 1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], -1).round().astype(np.uint8)


def write_jpeg2000(path, pixels: np.ndarray, compression: int, photometric: str = "rgb"):
    """Tiles of JPEG 2000 without a colour transform of its own."""
    tiles = []
    for top in range(0, H, TILE[0]):
        for left in range(0, W, TILE[1]):
            tile = np.zeros((*TILE, 3), np.uint8)
            part = pixels[top : top + TILE[0], left : left + TILE[1]]
            tile[: part.shape[0], : part.shape[1]] = part
            options = {"level": 0, "codecformat": "j2k", "mct": False, "reversible": True}
            tiles.append(imagecodecs.jpeg2k_encode(tile, **options))
    options = {"photometric": photometric, "tile": TILE, "compression": compression, "metadata": None}
    if photometric == "ycbcr":
        options["subsampling"] = (1, 1)
    tifffile.imwrite(path, iter(tiles), shape=(H, W, 3), dtype=np.uint8, **options)


def test_tiles_of_aperios_ycbcr_become_colours_and_those_of_its_rgb_stay(tmp_path):
    write_jpeg2000(tmp_path / "ycc.svs.tif", to_ycbcr(make_image()), 33003)
    write_jpeg2000(tmp_path / "rgb.svs.tif", make_image(), 33005)
    for found in every_reader(tmp_path / "ycc.svs.tif"):
        assert np.abs(found.astype(int) - make_image()).max() <= 2, "rounding to 8 bits of YCbCr, no more"
    for found in every_reader(tmp_path / "rgb.svs.tif"):
        assert np.array_equal(found, make_image())


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": TILE}], ids=str)
def test_ycbcr_that_no_codec_converts_is_converted(tmp_path, options):
    pixels = to_ycbcr(make_image())
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="ycbcr", subsampling=(1, 1), **options)
    for found in every_reader(tmp_path / "a.tif"):
        assert np.abs(found.astype(int) - make_image()).max() <= 2


def test_colours_that_are_not_understood_are_refused_by_name(tmp_path):
    write_jpeg2000(tmp_path / "a.tif", to_ycbcr(make_image()), 34712, "ycbcr")
    tifffile.imwrite(tmp_path / "b.tif", make_image(), photometric="cielab")
    for name, kind in (("a.tif", "YCbCr pixels in JPEG2000"), ("b.tif", "CIELAB pixels")):
        with pytest.raises(DataError, match=rf"{name}: {kind}, which cannot be read"):
            Slide(tmp_path / name)


@pytest.mark.parametrize("mode", ["P", "CMYK"])
def test_palettes_and_cmyk_are_colours_when_read_whole_and_refused_by_window(tmp_path, mode):
    image = Image.fromarray(make_image())
    (image.quantize(64) if mode == "P" else image.convert("CMYK")).save(tmp_path / "a.tif")
    expected = shown_by_pillow(tmp_path / "a.tif").astype(int)
    # libtiff mixes inks otherwise than Pillow by at most one level.
    assert np.abs(read_rgb(tmp_path / "a.tif") - expected).max() <= (1 if mode == "CMYK" else 0)
    with pytest.raises(DataError, match="which cannot be read; convert it to RGB or gray"):
        Slide(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{"tile": TILE}, {}, {"compression": "lzw"}, {"compression": "jpeg"}], ids=str)
def test_every_orientation_is_applied_once_by_every_reader(tmp_path, orientation, options):
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", make_image(), photometric="rgb", extratags=tags, **options)
    expected = shown_by_pillow(tmp_path / "a.tif")
    size, notes = describe(tmp_path / "a.tif")
    assert size == expected.shape[:2] and (orientation == 1) == (not notes)
    assert np.array_equal(read_rgb(tmp_path / "a.tif", size), expected)
    slide = Slide(tmp_path / "a.tif")
    assert slide.size == size and np.array_equal(slide.read(), expected)
    assert np.array_equal(slide.read(Box(11, 23, 31, 37)), expected[11:42, 23:60])
    tifffile.imwrite(tmp_path / "d.tif", deep(), extratags=tags, **{**options, "compression": None})
    turned = read_image(tmp_path / "d.tif", 1, "uint16", size)
    assert np.array_equal(turned, Slide(tmp_path / "d.tif").read())


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_palette_image_is_turned_as_any_other(tmp_path, orientation):
    image = Image.fromarray(make_image()).quantize(64)
    image.save(tmp_path / "a.tif", tiffinfo={274: orientation})
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), shown_by_pillow(tmp_path / "a.tif"))


def test_a_preview_that_comes_first_is_not_the_image(tmp_path):
    for name, pixels, photometric in (("a.tif", make_image(), "rgb"), ("d.tif", deep(), "minisblack")):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(pixels[::6, ::6], photometric=photometric, subfiletype=1)
            file.write(pixels, photometric=photometric, tile=TILE, compression="zlib")
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), make_image())
    assert np.array_equal(Slide(tmp_path / "a.tif").read(), make_image())
    assert np.array_equal(read_image(tmp_path / "d.tif", 1, "uint16")[..., 0], deep())
    assert describe(tmp_path / "a.tif")[0] == (H, W)


@pytest.mark.parametrize("metadata", [{"axes": "CYX"}, None], ids=str)
def test_gray_images_of_one_size_are_channels_for_every_reader(tmp_path, metadata):
    options = {"ome": metadata is not None, "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.tif", make_image().transpose(2, 0, 1), photometric="minisblack", **options)
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found, make_image())


@pytest.mark.parametrize(("axes", "what"), [("ZYX", "3 focal planes"), ("TYX", "3 points in time")])
def test_focal_planes_and_points_in_time_are_not_taken_for_channels(tmp_path, axes, what):
    planes = make_image().transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", ome=True, metadata={"axes": axes})
    for read in (read_rgb, Slide, describe):
        with pytest.raises(DataError, match=rf"a\.tif: {what}; an image has one, save each as a file of its own"):
            read(tmp_path / "a.tif")


def test_planar_and_interleaved_rgba_are_alike(tmp_path):
    rgba = np.dstack([make_image(), make_image()[..., 0]])
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", rgba, **options)
    tifffile.imwrite(tmp_path / "b.tif", rgba.transpose(2, 0, 1), planarconfig="separate", **options)
    for name in ("a.tif", "b.tif"):
        assert np.array_equal(Slide(tmp_path / name).read(), rgba)
        assert np.array_equal(read_image(tmp_path / name, 4, "uint8"), rgba)
        assert np.array_equal(read_rgb(tmp_path / name), make_image())


def test_colours_that_were_multiplied_with_alpha_are_divided_by_it(tmp_path):
    alpha = np.full((H, W, 1), 128, np.uint8)
    colours = (make_image().astype(int) * 128 // 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([colours, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found, shown_by_pillow(tmp_path / "a.tif"))
        assert np.abs(found.astype(int) - make_image()).max() <= 3


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tile_that_was_left_out_is_black_for_every_reader(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", make_image(), photometric="rgb", tile=TILE, compression=compression)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        page = file.pages[0]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        offsets[2] = counts[2] = 0
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(counts)
    expected = make_image()
    expected[32:64, :48] = 0
    for found in every_reader(tmp_path / "a.tif"):
        assert np.array_equal(found, expected)


def test_a_raw_file_shorter_than_it_declares_is_called_truncated(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", deep(), metadata=None)
    path = tmp_path / "a.tif"
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(10 * H)
    for read in (read_rgb, Slide, lambda p: read_image(p, 1, "uint16")):
        with pytest.raises(DataError, match=r"a\.tif: (truncated: pixels end|not a TIFF file that can be read)"):
            read(path)


def test_a_file_of_other_files_is_read_without_them(tmp_path):
    planes = make_image().transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "other.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    data = (tmp_path / "other.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(data)
    assert np.array_equal(Slide(tmp_path / "a.ome.tif").read(), make_image())


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    from kagglekit.data.readers import images

    tifffile.imwrite(tmp_path / "a.tif", make_image(), photometric="rgb")
    monkeypatch.setattr(images, "MAX_PIXELS", H * W - 1)
    for read in (read_rgb, describe):
        with pytest.raises(DataError, match=r"a\.tif: 90x70 pixels are too many to decode at once"):
            read(tmp_path / "a.tif")


def test_a_file_of_too_many_images_is_refused_before_they_are_looked_at(tmp_path, monkeypatch):
    from kagglekit.data.readers import tiff

    tifffile.imwrite(tmp_path / "a.tif", np.stack([make_image()] * 4), photometric="rgb")
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), make_image())
    monkeypatch.setattr(tiff, "MOST_IMAGES", 3)
    with pytest.raises(DataError, match=r"a\.tif: not a TIFF file that can be read: more than 3 images"):
        read_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize("rows", [7, H])
def test_strips_that_were_left_out_are_black_however_many_there_are(tmp_path, rows):
    tifffile.imwrite(tmp_path / "a.tif", make_image(), photometric="rgb", rowsperstrip=rows)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for tag in ("StripOffsets", "StripByteCounts"):
            file.pages[0].tags[tag].overwrite([0] * -(-H // rows) if rows < H else 0)
    for found in every_reader(tmp_path / "a.tif"):
        assert not found.any()


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("extra", ["assocalpha", "unassalpha"])
def test_the_colour_reader_and_the_reader_of_windows_agree_on_alpha(tmp_path, compression, extra):
    rgba = np.dstack([make_image() // 2, np.full((H, W), 128, np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=[extra], compression=compression)
    colour, deep_reader, window = every_reader(tmp_path / "a.tif")
    assert np.array_equal(colour, window) and np.array_equal(colour, deep_reader)
    assert np.array_equal(colour, shown_by_pillow(tmp_path / "a.tif"))


def test_of_several_images_of_one_size_the_first_is_read_and_that_is_said(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([make_image(), 255 - make_image()]), photometric="rgb")
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), make_image())
    assert "2 images of this size, the first is read" in describe(tmp_path / "a.tif")[1]


@pytest.mark.parametrize("channels", [2, 4])
def test_gray_images_are_no_alpha_and_refused_where_colours_are_asked_for(tmp_path, channels):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([make_image()[..., 0]] * channels), photometric="minisblack")
    with pytest.raises(DataError, match=rf"a\.tif: {channels} gray images of one size; expected gray, RGB or RGBA"):
        read_rgb(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", channels, "uint8").shape == (H, W, channels)


def test_three_bits_a_pixel_are_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", make_image()[..., 0] % 8, photometric="minisblack", bitspersample=3)
    with pytest.raises(DataError, match=r"a\.tif: 3 bits a pixel; save it with 8"):
        read_rgb(tmp_path / "a.tif")
