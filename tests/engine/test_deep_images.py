"""Images of more than 8 bits, or of other channels than colours: no value, channel or direction is changed."""

import os

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from kagglekit.data.readers.images import list_images, read_image, read_rgb
from kagglekit.errors import DataError

H, W = 30, 44


def deep(channels: int = 1) -> np.ndarray:
    """uint16 `[H, W, channels]`, different in each channel."""
    rows, columns = np.mgrid[:H, :W]
    return np.stack([(rows * 500 + columns * 7) // (c + 1) for c in range(channels)], -1).astype(np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_16_bit_png_keeps_its_channels_in_the_order_of_the_file(tmp_path, channels):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.squeeze(deep(channels))))
    assert np.array_equal(read_image(tmp_path / "a.png", channels, "uint16"), deep(channels))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_an_8_bit_png_keeps_its_channels_in_the_order_of_the_file(tmp_path, channels):
    pixels = (deep(channels) >> 8).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.squeeze(pixels)))
    assert np.array_equal(read_image(tmp_path / "a.png", channels, "uint8"), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_gray_images_are_turned_as_colour_images_are(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    gray = (deep()[..., 0] >> 6).astype(np.uint8)
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(gray).save(tmp_path / f"a{suffix}", exif=exif, quality=95, **options)
    colours = read_rgb(tmp_path / f"a{suffix}")
    if suffix == ".webp":  # which has no gray
        return
    assert np.array_equal(read_image(tmp_path / f"a{suffix}", 1, "uint8", colours.shape[:2])[..., 0], colours[..., 0])


def test_a_16_bit_png_is_turned_as_its_notes_say(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(deep()[..., 0]).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png", 1, "uint16")[..., 0], np.rot90(deep()[..., 0], -1))


@pytest.mark.parametrize("pixels", [deep() / np.float32(15_000), deep() + np.float32(0.4), np.float64(deep()) + 1e-6])
def test_fractions_do_not_fit_whole_numbers_and_are_refused(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(DataError, match=r"a\.tif: float.. pixels with fractions, .*; they do not fit whole numbers"):
        read_image(tmp_path / "a.tif", 1, "uint16")


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint32, np.int64])
def test_whole_numbers_that_fit_are_read_whatever_they_are_stored_as(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", deep().astype(kind))
    assert np.array_equal(read_image(tmp_path / "a.tif", 1, "uint16"), deep())


@pytest.mark.parametrize("value", [-1.0, 65_536.0, np.nan, np.inf])
def test_a_value_that_does_not_fit_is_refused_with_the_range(tmp_path, value):
    pixels = deep().astype(np.float32)
    pixels[3, 4] = value
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(DataError, match=r"a\.tif: values from .* do not fit uint16 \(0 to 65535\)"):
        read_image(tmp_path / "a.tif", 1, "uint16")


def test_complex_numbers_are_no_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", deep().astype(np.complex64))
    with pytest.raises(DataError, match=r"a\.tif: .*expected whole or floating numbers"):
        read_image(tmp_path / "a.tif", 1, "uint16")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_cut_deep_image_is_damaged(tmp_path, share):
    noise = np.random.default_rng(0).integers(0, 60_000, (64, 64), np.uint16)
    for name, data in (("a.png", imagecodecs.png_encode(noise)), ("a.tif", _tiff(tmp_path, noise))):
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError, match=rf"a\{name[1:]}: (damaged|truncated|not a TIFF)"):
            read_image(tmp_path / name, 1, "uint16")


def _tiff(folder, pixels: np.ndarray) -> bytes:
    tifffile.imwrite(folder / "whole.tif", pixels, compression="zlib")
    return (folder / "whole.tif").read_bytes()


def test_an_image_that_declares_more_pixels_than_fit_is_refused_by_every_reader(tmp_path):
    data = bytearray(imagecodecs.png_encode(deep()[..., 0]))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    for read in (read_rgb, lambda p: read_image(p, 1, "uint16")):
        with pytest.raises(DataError, match=r"a\.png: (60000x60000 pixels are too many|not an image|damaged image)"):
            read(tmp_path / "a.png")


def test_folders_and_pipes_that_are_called_like_images_are_no_images(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "link.png"]
    for name in ("folder.jpg", "pipe.png"):
        with pytest.raises(DataError, match=rf"{name}: not a file"):
            read_rgb(tmp_path / name)


def test_an_image_that_only_a_program_could_draw_is_not_opened(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"a\.jpg: not an image"):
        read_rgb(tmp_path / "a.jpg")


def test_a_link_to_itself_is_no_image_and_hides_no_other(tmp_path):
    from kagglekit.data.readers.unread_files import strangers

    (tmp_path / "q.jpg").symlink_to(tmp_path / "q.jpg")
    (tmp_path / "x.gif").write_bytes(b"GIF89a")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.png"]
    assert [p.name for p in strangers(tmp_path)] == ["q.jpg", "x.gif"]


def test_an_interlaced_png_is_read_without_a_word_on_the_terminal(tmp_path, capfd):
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    # One pixel: of the seven passes the first alone has any.
    header = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1])
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x47")) + chunk(b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + parts
    (tmp_path / "a.png").write_bytes(data)
    assert read_rgb(tmp_path / "a.png").tolist() == [[[0x47] * 3]]
    assert capfd.readouterr() == ("", "")


def test_frames_after_the_first_are_told(tmp_path):
    from kagglekit.data.readers.images import describe

    frames = [Image.new("RGB", (8, 8), (n * 90, 0, 0)) for n in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "3 frames, the first is read" in describe(tmp_path / "a.png")[1]
