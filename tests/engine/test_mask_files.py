"""Masks of one object as people save them: each is read as it is shown, or refused by name."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from kagglekit.data.codecs.mask_png import read as read_png
from kagglekit.data.readers.mask_files import read_binary
from kagglekit.errors import DataError

SIZE = (40, 56)
MASK = np.zeros(SIZE, np.uint8)
MASK[10:20, 10:30] = 1
cv2.circle(MASK, (42, 28), 8, 1, -1)
ONES = np.full(SIZE, 255, np.uint8)
COLOURS = (np.dstack([MASK * 200, MASK * 30, MASK * 0]) + np.dstack([(1 - MASK) * 9, MASK * 0, MASK * 0])).astype(
    np.uint8
)
SOFT = cv2.GaussianBlur(MASK.astype(np.float32), (0, 0), 1.0)


def palette(indices, *colours):
    """An image of indices with these colours."""
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def saved(path, image, **options):
    """The path of an image, saved by Pillow or, an array beside its options, by tifffile."""
    if isinstance(image, Image.Image):
        image.save(path, **options)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, image, **options)
    else:
        Image.fromarray(image).save(path, **options)
    return path


READ = {
    "0 and 1": ("m.png", MASK, {}),
    "0 and 255": ("m.png", MASK * 255, {}),
    "0 and 38": ("m.png", MASK * 38, {}),
    "bits": ("m.png", Image.fromarray(MASK * 255).convert("1"), {}),
    "fax": ("m.tif", Image.fromarray(MASK.astype(bool)), {"compression": "group4"}),
    "JPEG": ("m.jpg", MASK * 255, {"quality": 75}),
    "coarse JPEG": ("m.jpg", MASK * 255, {"quality": 30}),
    "colour JPEG": ("m.jpg", np.dstack([MASK * 255] * 3), {"quality": 75}),
    "WebP": ("m.webp", np.dstack([MASK * 255] * 3), {"quality": 75}),
    "palette": ("m.png", palette(MASK, (0, 0, 0), (128, 0, 0)), {}),
    "palette the other way": ("m.png", palette(1 - MASK, (255, 0, 0), (0, 0, 0)), {}),
    "gray palette the other way": ("m.png", palette(1 - MASK, (255, 255, 255), (0, 0, 0)), {}),
    "GIF": ("m.gif", MASK * 255, {}),
    "colours": ("m.png", np.dstack([MASK * 255] * 3), {}),
    "red": ("m.png", np.dstack([MASK * 90, MASK * 0, MASK * 0]), {}),
    "alpha": ("m.png", np.dstack([MASK * 255] * 3 + [ONES]), {}),
    "alpha that tells the same": ("m.png", np.dstack([MASK * 255] * 4), {}),
    "gray and alpha": ("m.png", Image.fromarray(np.dstack([MASK * 255, ONES]), "LA"), {}),
    "16 bits": ("m.png", MASK.astype(np.uint16) * 65535, {}),
    "0 and 1 in 16 bits": ("m.tif", MASK.astype(np.uint16), {}),
    "32 bits": ("m.tif", MASK.astype(np.int32) * 255, {}),
    "float": ("m.tif", MASK.astype(np.float32), {}),
    "white is 0": ("m.tif", 255 - MASK * 255, {"photometric": "miniswhite"}),
    "white is 0 in 16 bits": ("m.tif", 65535 - MASK.astype(np.uint16) * 65535, {"photometric": "miniswhite"}),
    "inks": ("m.tif", Image.fromarray(np.dstack([MASK * 255] * 3)).convert("CMYK"), {}),
}


@pytest.mark.parametrize("form", READ)
def test_a_mask_is_read_in_every_form_that_means_one_thing(tmp_path, form):
    name, image, options = READ[form]
    found = read_binary(saved(tmp_path / name, image, **options), SIZE)
    assert found.dtype == np.uint8 and found.shape == SIZE
    wrong = np.count_nonzero(found != MASK)
    assert wrong <= (8 if name.endswith(("jpg", "webp")) else 0)


@pytest.mark.parametrize(
    ("name", "image"),
    [("m.png", (SOFT * 255).astype(np.uint8)), ("m.png", (SOFT * 65535).astype(np.uint16)), ("m.tif", SOFT)],
    ids=["8 bits", "16 bits", "float"],
)
def test_soft_edges_are_cut_at_half_of_the_range(tmp_path, name, image):
    most = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    assert np.array_equal(read_binary(saved(tmp_path / name, image)), image > most / 2)
    assert (image > 0).sum() > 1.3 * MASK.sum()  # what counting everything above 0 would make of it


def test_an_empty_and_a_full_mask_stay_so_in_every_form(tmp_path):
    for number, name in enumerate(("m.png", "m.jpg", "m.tif", "m.gif", "m.bmp")):
        empty, full = (saved(tmp_path / f"{v}{number}{name}", np.full(SIZE, v, np.uint8)) for v in (0, 255))
        assert not read_binary(empty).any() and read_binary(full).all()
    assert read_binary(saved(tmp_path / "ones.png", np.ones(SIZE, np.uint8))).all()
    assert not read_binary(saved(tmp_path / "p.png", palette(MASK * 0, (0, 0, 0), (128, 0, 0)))).any()
    assert not read_binary(saved(tmp_path / "c.png", np.zeros((*SIZE, 4), np.uint8))).any()


def test_a_mask_is_turned_as_viewers_show_it(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("m.png", "m.tif", "m.webp"):
        path = saved(tmp_path / name, Image.fromarray(np.rot90(MASK).copy() * 255), exif=turned, lossless=True)
        assert np.count_nonzero(read_binary(path, SIZE) != MASK) <= 8, name


REFUSED = {
    "index numbers": ("m.png", MASK + np.roll(MASK, 9), {}, "2 values above 0, up to 2, none above half of 255"),
    "a void class": ("m.png", np.where(np.roll(MASK, 9), 255, MASK).astype(np.uint8), {}, "the values 0, 1 and 255"),
    "0 and 1 as JPEG": ("m.jpg", MASK, {}, "none above half of 255"),
    "8 bits in 16": ("m.png", (SOFT * 255).astype(np.uint16), {}, "none above half of 65535"),
    "two colours": ("m.png", COLOURS, {}, "several colours, not black and one more"),
    "red as JPEG": ("m.jpg", np.dstack([MASK * 255, MASK * 0, MASK * 0]), {}, "several colours"),
    "three of a palette": (
        "m.png",
        palette(MASK + np.roll(MASK, 9), (0, 0, 0), (9, 0, 0), (0, 9, 0)),
        {},
        "a palette of 3 colours",
    ),
    "a coloured ground": ("m.png", palette(MASK, (0, 9, 0), (128, 0, 0)), {}, "a palette of 2 colours"),
    "nothing but a coloured ground": ("m.png", palette(MASK * 0, (0, 9, 0), (1, 0, 0)), {}, "a palette of 1 colours"),
    "alpha alone": ("m.png", np.dstack([ONES] * 3 + [MASK * 255]), {}, "its transparency tells another mask"),
    "below zero": ("m.tif", MASK.astype(np.float32) - 1, {}, "values from -1 to 0"),
    "no number": ("m.tif", np.where(MASK, np.nan, 0).astype(np.float32), {}, "values from 0 to nan"),
    "bool by tifffile": ("m.tif", MASK.astype(bool), {}, "a bool array saved by tifffile"),
    "white is 0 in 16 bits": ("m.tif", MASK.astype(np.uint16), {"photometric": "miniswhite"}, "none of them black"),
    "two pages": ("m.tif", np.stack([MASK, MASK]), {"photometric": "minisblack"}, "2 images in one file"),
    "another size": ("m.png", MASK[:-1], {}, r"39x56 pixels \(height x width\); expected 40x56"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_mask_that_could_mean_two_things_is_refused_by_name(tmp_path, form):
    name, image, options, reason = REFUSED[form]
    with pytest.raises(DataError, match=rf"m\.\w+: .*{reason}"):
        read_binary(saved(tmp_path / name, image, **options), SIZE)


def test_16_bit_colour_is_refused_not_cut_to_8_bits(tmp_path):
    (tmp_path / "m.png").write_bytes(cv2.imencode(".png", np.dstack([MASK.astype(np.uint16)] * 3))[1].tobytes())
    with pytest.raises(DataError, match="16 bits"):
        read_binary(tmp_path / "m.png")


def test_what_is_no_image_is_refused_by_name(tmp_path):
    whole = saved(tmp_path / "m.png", MASK * 255).read_bytes()
    for name, data in (("cut.png", whole[:-40]), ("empty.png", b""), ("text.png", b"hello")):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.png").mkdir()
    for name in ("cut.png", "empty.png", "text.png", "folder.png", "none.png"):
        with pytest.raises(DataError, match=name):
            read_binary(tmp_path / name)


def test_a_palette_of_a_decided_mask_is_read_by_its_colours(tmp_path):
    path = saved(tmp_path / "m.png", palette(1 - MASK, (255, 255, 255), (0, 0, 0)))
    assert np.array_equal(read_png(path, SIZE, "binary", 1), MASK)


@pytest.mark.parametrize("form", ["gray", "colours", "palette"])
def test_transparency_that_tells_another_mask_is_refused_however_it_is_stated(tmp_path, form):
    black = np.where(MASK > 0, 0, 255).astype(np.uint8)  # the object is black on a transparent ground
    if form == "gray":
        Image.fromarray(black).save(tmp_path / "m.png", transparency=255)
    elif form == "colours":
        Image.fromarray(np.dstack([black] * 3)).save(tmp_path / "m.png", transparency=(255, 255, 255))
    else:
        palette(MASK, (0, 0, 0), (0, 0, 0)).save(tmp_path / "m.png", transparency=bytes([0, 255]))
    with pytest.raises(DataError, match=r"m\.png: its transparency tells another mask than its colours"):
        read_binary(tmp_path / "m.png")
