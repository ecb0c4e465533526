"""DICOM images as people see them: rescaled, polarity turned round, every transfer syntax, damage in words."""

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from kagglekit.data.readers.images import describe, read_image, read_rgb
from kagglekit.errors import DataError

H, W = 24, 36


def values(most: int = 3000) -> np.ndarray:
    """uint16 `[H, W]`, brighter to the right and downwards."""
    rows, columns = np.mgrid[:H, :W]
    return ((rows + columns) * most // (H + W)).astype(np.uint16)


def dataset(pixels: np.ndarray, stored: int = 16, **tags) -> Dataset:
    """A secondary capture of unsigned or signed gray, or of 8-bit RGB."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    file.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = 8 * pixels.itemsize
    file.BitsStored = min(stored, 8 * pixels.itemsize)
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    return file


def save(path: Path, file: Dataset) -> Path:
    file.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PresentationLUTShape": "INVERSE"},
    ],
    ids=str,
)
def test_white_is_zero_is_turned_round_within_the_stored_bits_however_the_file_says_it(tmp_path, tags):
    path = save(tmp_path / "a.dcm", dataset(4095 - values(), stored=12, **tags))
    assert np.array_equal(read_image(path, 1, "uint16")[..., 0], values())


def test_two_images_of_one_series_are_turned_round_alike_whatever_their_largest_value(tmp_path):
    bright = save(tmp_path / "a.dcm", dataset(4095 - values(4000), 12, PhotometricInterpretation="MONOCHROME1"))
    dark = save(tmp_path / "b.dcm", dataset(4095 - values(400), 12, PhotometricInterpretation="MONOCHROME1"))
    assert read_image(bright, 1, "uint16").max() > 3800
    assert read_image(dark, 1, "uint16").max() < 400


def test_white_is_zero_and_rescale_together_give_the_rescaled_range(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "2", "RescaleIntercept": "-100"}
    path = save(tmp_path / "a.dcm", dataset(4095 - values(), stored=12, **tags))
    assert np.array_equal(read_image(path, 1, "int16")[..., 0], 2 * values().astype(int) - 100)


EMPTY = [{"RescaleSlope": "", "RescaleIntercept": ""}, {"RescaleSlope": "1", "RescaleIntercept": ""},
         {"RescaleSlope": None, "RescaleIntercept": None}, {}]  # fmt: skip


@pytest.mark.parametrize("tags", EMPTY, ids=str)
def test_an_empty_rescale_is_none(tmp_path, tags):
    path = save(tmp_path / "a.dcm", dataset(values(), **tags))
    assert np.array_equal(read_image(path, 1, "uint16")[..., 0], values())


def test_an_intercept_without_a_slope_counts(tmp_path):
    path = save(tmp_path / "a.dcm", dataset(values(), RescaleIntercept="-1024"))
    assert np.array_equal(read_image(path, 1, "int16")[..., 0], values().astype(int) - 1024)


@pytest.mark.parametrize("group", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_a_rescale_of_an_enhanced_file_counts(tmp_path, group):
    transform, functional = Dataset(), Dataset()
    transform.RescaleSlope, transform.RescaleIntercept = "1", "-1024"
    functional.PixelValueTransformationSequence = Sequence([transform])
    path = save(tmp_path / "a.dcm", dataset(values(), NumberOfFrames=1, **{group: Sequence([functional])}))
    assert np.array_equal(read_image(path, 1, "int16")[..., 0], values().astype(int) - 1024)


@pytest.mark.parametrize("slope", [["1", "2"], "0", "1e400"])
@pytest.mark.filterwarnings("ignore:.*(decimal string|DS).*")
def test_a_rescale_that_is_no_number_is_damage_that_is_named(tmp_path, slope):
    path = save(tmp_path / "a.dcm", dataset(values(), RescaleSlope=slope))
    with pytest.raises(DataError, match=r"a\.dcm: damaged DICOM: RescaleSlope is .+, expected one number"):
        read_image(path, 1, "uint16")


def test_text_where_a_slope_belongs_is_damage_that_is_named(tmp_path):
    path = save(tmp_path / "a.dcm", dataset(values(), RescaleSlope="1.5"))
    path.write_bytes(path.read_bytes().replace(b"1.5 ", b"abc "))
    with pytest.raises(DataError, match=r"a\.dcm: damaged DICOM"):
        read_image(path, 1, "uint16")


def test_a_lookup_table_of_the_modality_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "OW", np.minimum(65_535, 10 * np.arange(4096)).astype("<u2").tobytes())
    path = save(tmp_path / "a.dcm", dataset(values(), stored=12, ModalityLUTSequence=Sequence([table])))
    assert np.array_equal(read_image(path, 1, "uint16")[..., 0], values().astype(int) * 10)


def test_a_rescale_that_rounding_would_flatten_is_refused_and_a_mild_one_is_rounded(tmp_path):
    flat = save(tmp_path / "a.dcm", dataset(values(), RescaleSlope="0.0003", RescaleIntercept="0"))
    with pytest.raises(DataError, match=r"a\.dcm: RescaleSlope 0\.0003 gives fractions that do not fit whole numbers"):
        read_image(flat, 1, "uint16")
    mild = save(tmp_path / "b.dcm", dataset(values(), RescaleSlope="0.5", RescaleIntercept="0"))
    assert np.array_equal(read_image(mild, 1, "uint16")[..., 0], np.rint(values() * 0.5))


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
        ("1.2.840.10008.1.2.4.70", imagecodecs.ljpeg_encode),
        ("1.2.840.10008.1.2.4.57", imagecodecs.ljpeg_encode),
        ("1.2.840.10008.1.2.4.90", lambda p: imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k", reversible=True)),
    ],
    ids=["JPEG-LS", "JPEG lossless SV1", "JPEG lossless", "JPEG 2000"],
)
def test_lossless_compression_comes_back_bit_by_bit(tmp_path, syntax, encode):
    file = dataset(values())
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = encapsulate([encode(values())])
    file["PixelData"].VR = "OB"
    assert np.array_equal(read_image(save(tmp_path / "a.dcm", file), 1, "uint16")[..., 0], values())


@pytest.mark.parametrize(
    ("name", "plain"), [("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"), ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm")]
)
def test_files_of_other_writers_hold_the_pixels_of_their_uncompressed_twins(name, plain):
    found, expected = (pydicom.dcmread(get_testdata_file(n, download=False)) for n in (name, plain))
    read = read_rgb if found.SamplesPerPixel == 3 else lambda p: read_image(p, 1, "int16")
    pixels = read(Path(found.filename))
    assert np.array_equal(pixels.reshape(expected.pixel_array.shape), expected.pixel_array)


def test_a_file_without_preamble_is_read(tmp_path):
    path = save(tmp_path / "a.dcm", dataset(values(), RescaleIntercept="-5"))
    data = path.read_bytes()
    meta = int.from_bytes(data[140:144], "little")  # bytes of the meta information after its own length
    path.write_bytes(data[144 + meta :])
    assert np.array_equal(read_image(path, 1, "int16")[..., 0], values().astype(int) - 5)


def test_colours_gray_and_palettes_of_8_bits_are_read_as_rgb(tmp_path):
    gray = values(255).astype(np.uint8)
    colours = np.dstack([gray, gray // 2, gray // 3])
    assert np.array_equal(read_rgb(save(tmp_path / "c.dcm", dataset(colours))), colours)
    assert np.array_equal(read_rgb(save(tmp_path / "g.dcm", dataset(gray))), np.dstack([gray] * 3))
    palette = read_rgb(Path(get_testdata_file("examples_palette.dcm", download=False)))
    assert palette.shape == (350, 800, 3) and len(np.unique(palette)) > 50
    with pytest.raises(DataError, match="more than 8 bits"):
        read_rgb(save(tmp_path / "d.dcm", dataset(values())))


def test_frames_damage_and_other_files_are_refused_by_name(tmp_path):
    frames = save(tmp_path / "a.dcm", dataset(np.concatenate([values()] * 2), Rows=H, NumberOfFrames=2))
    with pytest.raises(DataError, match=r"a\.dcm: 2 frames; an image has one"):
        read_image(frames, 1, "uint16")
    whole = save(tmp_path / "b.dcm", dataset(values())).read_bytes()
    (tmp_path / "b.dcm").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"b\.dcm: damaged DICOM"):
        read_image(tmp_path / "b.dcm", 1, "uint16")
    (tmp_path / "c.dcm").write_bytes(b"hello, this is a letter" * 20)
    with pytest.raises(DataError, match=r"c\.dcm: (not a DICOM image|damaged DICOM)"):
        read_image(tmp_path / "c.dcm", 1, "uint16")


def test_an_image_without_suffix_is_known_by_its_first_bytes(tmp_path):
    path = save(tmp_path / "IM000001", dataset(values()))
    assert np.array_equal(read_image(path, 1, "uint16")[..., 0], values())


def test_bits_that_do_not_begin_at_0_are_refused_by_name(tmp_path):
    path = save(tmp_path / "a.dcm", dataset(values() << 4, stored=12, HighBit=15))
    with pytest.raises(DataError, match=r"a\.dcm: HighBit 15 of 12 stored bits"):
        read_image(path, 1, "uint16")


def test_8_bits_in_16_and_white_is_zero_of_8_bits_are_colours(tmp_path):
    gray = values(255)
    wide = save(tmp_path / "a.dcm", dataset(gray, stored=8))
    white = save(tmp_path / "b.dcm", dataset((255 - gray).astype(np.uint8), PhotometricInterpretation="MONOCHROME1"))
    for path in (wide, white):
        assert np.array_equal(read_rgb(path)[..., 0], gray)
    assert "zero is white, shown so" in describe(white)[1] and describe(white)[0] == (H, W)


def test_a_file_without_pixels_is_called_so(tmp_path):
    file = dataset(values())
    del file.PixelData
    with pytest.raises(DataError, match=r"a\.dcm: a DICOM file without pixels; remove it"):
        read_image(save(tmp_path / "a.dcm", file), 1, "uint16")
