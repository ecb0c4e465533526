"""Reading images: damage is noticed, conversions are stated, nothing is guessed."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kagglekit.data.readers.images import describe, list_images, read_rgb, write_png
from kagglekit.errors import DataError

ORIENTATION = 0x0112
H, W = 20, 30


def colours(size=(H, W)) -> np.ndarray:
    """A smooth image without any symmetry, so that no rotation goes unnoticed."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([rows * 12, columns * 8, (rows + columns) * 2], -1).astype(np.uint8)


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_a_lossless_image_comes_back_bit_by_bit(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(colours()), **options)
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, colours())
    assert describe(path) == ((H, W), [])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_truncated_image_is_an_error_that_names_the_file(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=rf"cut\.{suffix}: damaged image: .+; replace or remove it"):
        read_rgb(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_with_its_middle_overwritten_is_never_a_crash(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    rng = np.random.default_rng(1)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(60):
        data = bytearray(whole)
        at = int(rng.integers(2, len(data) - 40))
        data[at : at + 40] = rng.bytes(40)
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(bytes(data))
        try:
            assert read_rgb(path).ndim == 3
            outcomes["read"] += 1
        except DataError as error:
            assert str(path) in str(error)
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 60
    # A PNG has checksums; a JPEG decodes damaged blocks to other colours, and only damaged headers show.
    assert outcomes["refused"] == 60 if suffix == "png" else outcomes["refused"] > 0


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    for ask in (read_rgb, describe):
        with pytest.raises(DataError, match=r"a\.jpg: empty file; replace or remove it"):
            ask(tmp_path / "a.jpg")


def test_a_text_with_the_name_of_an_image_is_not_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("this is a letter")
    for ask in (read_rgb, describe):
        with pytest.raises(DataError, match=r"a\.jpg: not an image; replace or remove it"):
            ask(tmp_path / "a.jpg")


def test_a_missing_file_is_called_missing(tmp_path):
    for ask in (read_rgb, describe):
        with pytest.raises(DataError, match=r"a\.jpg: no such image"):
            ask(tmp_path / "a.jpg")


def test_gray_becomes_three_equal_channels_and_is_noted(tmp_path):
    gray = colours()[..., 0]
    path = saved(tmp_path / "gray.png", Image.fromarray(gray))
    assert np.array_equal(read_rgb(path), np.stack([gray] * 3, -1))
    assert describe(path) == ((H, W), ["L pixels, read as RGB"])


def test_a_palette_becomes_its_colours(tmp_path):
    image = Image.new("P", (W, H), 1)
    image.putpalette([0, 0, 0, 200, 10, 30])
    path = saved(tmp_path / "palette.png", image)
    assert np.array_equal(read_rgb(path), np.full((H, W, 3), [200, 10, 30]))
    assert describe(path)[1] == ["P pixels, read as RGB"]


def test_alpha_is_dropped_and_colours_stay(tmp_path):
    rgba = np.dstack([colours(), np.arange(H * W).reshape(H, W).astype(np.uint8)])
    path = saved(tmp_path / "rgba.png", Image.fromarray(rgba))
    assert np.array_equal(read_rgb(path), colours())
    assert describe(path)[1] == ["RGBA pixels, read as RGB"]


def test_cmyk_becomes_the_colours_that_it_prints(tmp_path):
    cmyk = Image.new("CMYK", (W, H), (0, 255, 255, 0))
    path = saved(tmp_path / "cmyk.jpg", cmyk, quality=100)
    pixels = read_rgb(path).astype(int)
    assert abs(pixels - [255, 0, 0]).max() <= 3
    assert describe(path)[1] == ["CMYK pixels, read as RGB"]


def deep_gray(path):
    cv2.imwrite(str(path.with_suffix(".png")), np.full((H, W), 300, np.uint16))
    return path.with_suffix(".png")


def deep_colour(path):
    cv2.imwrite(str(path.with_suffix(".png")), np.full((H, W, 3), 300, np.uint16))
    return path.with_suffix(".png")


def deep_tiff(path):
    cv2.imwrite(str(path.with_suffix(".tif")), np.full((H, W, 3), 300, np.uint16))
    return path.with_suffix(".tif")


def floating(path):
    return saved(path.with_suffix(".tif"), Image.fromarray(np.full((H, W), 0.5, np.float32)))


@pytest.mark.parametrize("make", [deep_gray, deep_colour, deep_tiff, floating])
def test_more_than_eight_bits_are_refused_instead_of_cut(tmp_path, make):
    path = make(tmp_path / "deep")
    with pytest.raises(DataError, match=r"deep.*more than 8 bits.*convert it to 8 bits"):
        read_rgb(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_as_viewers_do(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path / "photo.jpg", Image.fromarray(colours()), exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    pixels = read_rgb(path)
    assert np.array_equal(pixels, expected)
    size, notes = describe(path)
    assert size == pixels.shape[:2] == ((W, H) if orientation >= 5 else (H, W))
    assert notes == ([] if orientation == 1 else [f"EXIF orientation {orientation}, applied"])
    read_rgb(path, size)
    if orientation >= 5:
        with pytest.raises(DataError, match=f"{W}x{H} pixels"):
            read_rgb(path, (H, W))


def test_the_eight_orientations_are_eight_different_images(tmp_path):
    seen = set()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = saved(tmp_path / f"{orientation}.png", Image.fromarray(colours()), exif=exif)
        seen.add((read_rgb(path).shape, read_rgb(path).tobytes()))
    assert len(seen) == 8


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"nonsense"])
def test_damaged_exif_data_do_not_cost_the_image(tmp_path, exif):
    path = saved(tmp_path / "a.jpg", Image.fromarray(colours()), exif=exif)
    assert read_rgb(path).shape == (H, W, 3)
    assert describe(path) == ((H, W), [])


def test_another_size_than_expected_is_an_error_that_says_both_sizes(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(colours()))
    with pytest.raises(DataError, match=r"a\.png: 20x30 pixels \(height x width\); expected 512x512"):
        read_rgb(path, (512, 512))
    assert read_rgb(path, (H, W)).shape == (H, W, 3)


def test_names_may_be_in_any_script(tmp_path):
    for name in ("머리카락.png", "Ünï çödé 😀.png", "a b&c'd.png"):
        path = saved(tmp_path / name, Image.fromarray(colours()))
        assert np.array_equal(read_rgb(path), colours())
    assert [p.name for p in list_images(tmp_path)] == sorted(p.name for p in tmp_path.iterdir())
    (tmp_path / "머리카락.jpg").write_text("no image")
    with pytest.raises(DataError, match="머리카락"):
        read_rgb(tmp_path / "머리카락.jpg")


def test_an_image_of_many_pixels_is_not_called_damaged(tmp_path):
    path = saved(tmp_path / "large.png", Image.new("1", (15_000, 12_000)))
    assert describe(path)[0] == (12_000, 15_000)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    from kagglekit.data.readers import images

    monkeypatch.setattr(images, "MAX_PIXELS", H * W - 1)
    path = saved(tmp_path / "huge.png", Image.fromarray(colours()))
    with pytest.raises(DataError, match=r"huge\.png: 30x20 pixels are too many to decode at once"):
        read_rgb(path)


def test_images_of_a_folder_are_listed_by_name_without_hidden_and_other_files(tmp_path):
    for name in ("b.JPG", "a.png", "c.webp", ".hidden.png", "notes.txt", "c.json"):
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "b.JPG", "c.webp"]
    with pytest.raises(DataError, match="no such folder of images"):
        list_images(tmp_path / "missing")


def test_a_written_png_reads_back_and_leaves_no_temporary_file(tmp_path):
    mask = (colours()[..., 0] > 100).astype(np.uint8) * 255
    write_png(tmp_path / "new" / "mask.png", mask)
    write_png(tmp_path / "new" / "photo.png", colours())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "mask.png")), mask)
    assert np.array_equal(read_rgb(tmp_path / "new" / "photo.png"), colours())
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["mask.png", "photo.png"]


def test_two_images_in_one_file_are_read_as_the_first(tmp_path):
    first, second = Image.fromarray(colours()), Image.new("RGB", (W, H))
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=[second])
    (tmp_path / "pages.tif").write_bytes(buffer.getvalue())
    assert np.array_equal(read_rgb(tmp_path / "pages.tif"), colours())
