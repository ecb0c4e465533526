"""16-bit images: read without any change of range from PNG, TIFF and DICOM, refused where damaged or of 8 bits."""

import unicodedata
from dataclasses import replace

import cv2
import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset

from kagglekit import DataError
from kagglekit.cli.common import solution_of
from kagglekit.data.readers.images import read_image
from kagglekit.pipeline.prepare import prepare
from kagglekit.plugin.registry import discover
from kagglekit_contrast.dataset import read
from kagglekit_contrast.sample import draw_sample
from tests.helpers import kk

VALUES = np.array([[0, 1, 255, 256], [257, 4095, 12040, 65535]], np.uint16)


def untracked(items, total, description):
    return items


def save(path, array):
    """An image in the form that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".dcm":
        write_dicom(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        path.write_bytes(cv2.imencode(".png", array)[1].tobytes())


def write_dicom(path, array, slope=1.0, intercept=0.0):
    """A gray DICOM image of 16 bits."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = array.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation = 15, int(array.dtype == np.int16)
    file.RescaleSlope, file.RescaleIntercept = slope, intercept
    file.PixelData = array.tobytes()
    file.save_as(path, enforce_file_format=True)


def folder(root, suffix=".png", count=4, test=2):
    """A small faultless data folder."""
    rng = np.random.default_rng(0)
    for i in range(count + test):
        part = "train" if i < count else "test"
        save(root / part / "images" / f"p{i}{suffix}", rng.integers(0, 12040, (40, 48)).astype(np.uint16))
        mask = np.zeros((40, 48), np.uint8)
        mask[5:20, 5:30] = 255
        save(root / ("train/masks" if i < count else "answers") / f"p{i}.png", mask)
    return root


@pytest.mark.parametrize("suffix", [".png", ".tif", ".dcm"])
def test_every_value_arrives_as_it_was_stored(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", VALUES)
    array = read_image(tmp_path / f"a{suffix}", 1, "uint16", VALUES.shape)
    assert array.dtype == np.uint16 and np.array_equal(array[..., 0], VALUES)


def test_dicom_values_are_rescaled_to_what_they_mean(tmp_path):
    write_dicom(tmp_path / "ct.dcm", np.array([[0, 1024], [2000, 3000]], np.uint16), 1.0, -1024.0)
    array = read_image(tmp_path / "ct.dcm", 1, "int16")
    assert array[..., 0].tolist() == [[-1024, 0], [976, 1976]]
    with pytest.raises(DataError, match=r"values from -1024 to 1976 do not fit uint16"):
        read_image(tmp_path / "ct.dcm", 1, "uint16")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".dcm"])
def test_a_folder_is_read_in_any_of_the_forms(tmp_path, suffix):
    data = read(folder(tmp_path / "d", suffix))
    assert (len(data.train), len(data.test), len(data.answers), data.problems) == (4, 2, 2, [])
    assert (data.channels, data.depth) == (1, "uint16")
    assert data.read_image(data.train[0]).shape == (40, 48, 1)
    assert data.read_mask(data.train[0]).sum() == 15 * 25
    assert data.read_truth(data.train[0]).max() == 1


def test_values_below_zero_make_the_data_signed(tmp_path):
    root = folder(tmp_path / "d", ".dcm")
    write_dicom(root / "train/images/p0.dcm", np.full((40, 48), 5, np.uint16), 1.0, -100.0)
    data = read(root)
    assert data.depth == "int16" and data.read_image(data.train[0]).min() == -95


def test_faults_are_listed_by_image_and_the_rest_is_used(tmp_path):
    root = folder(tmp_path / "d", count=6)
    (root / "train/images/p0.png").write_bytes(b"\x89PNG broken")
    (root / "train/images/p1.png").write_bytes(b"")
    save(root / "train/images/p2.png", np.zeros((40, 48), np.uint8))
    (root / "train/masks/p3.png").unlink()
    save(root / "train/masks/stray.png", np.zeros((40, 48), np.uint8))
    data = read(root)
    assert [s.id for s in data.train] == ["p4.png", "p5.png"]
    told = {p.sample: p for p in data.problems}
    assert "not an image" in told["p0.png"].detail and told["p0.png"].damaged
    assert "empty file" in told["p1.png"].detail
    assert "8-bit pixels where uint16 was expected" in told["p2.png"].detail
    assert told["p3.png"].rule == "image without mask" and not told["p3.png"].damaged
    assert told["stray"].rule == "mask without image"


@pytest.mark.parametrize("part", ["train/images", "train/masks", "test/images"])
def test_a_missing_folder_is_named_with_the_layout(tmp_path, part):
    import shutil

    root = folder(tmp_path / "d")
    shutil.rmtree(root / part)
    with pytest.raises(DataError, match=rf"{part} is missing; expected\nDIR/train/images"):
        read(root)


def test_the_submission_takes_its_own_images_alone(tmp_path):
    data = read(folder(tmp_path / "d"))
    form, mask = data.submission, data.read_mask(data.train[0])
    rows = {s.id: form.encode(mask) for s in data.test}
    form.write(tmp_path / "s.csv", rows)
    assert form.read(tmp_path / "s.csv") == rows and np.array_equal(form.decode(rows["p4.png"], (40, 48)), mask)
    from kagglekit import SubmissionError

    with pytest.raises(SubmissionError, match=r"ids missing: 1 of 2, first 'p5\.png'"):
        form.write(tmp_path / "s.csv", {"p4.png": ""})


ANSWERS = {
    "another size": lambda path: save(path, np.zeros((30, 48), np.uint8)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "empty": lambda path: path.write_bytes(b""),
    "index numbers": lambda path: save(path, np.repeat(np.arange(40, dtype=np.uint8)[:, None], 48, 1)),
    "coloured": lambda path: save(path, np.dstack([np.eye(40, 48, k, np.uint8) * 255 for k in range(3)])),
    "16-bit": lambda path: save(path, np.repeat(np.arange(40, dtype=np.uint16)[:, None], 48, 1)),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_that_cannot_be_used_is_told_before_anything_is_trained(tmp_path, kind):
    root = folder(tmp_path / "d", count=8)
    ANSWERS[kind](root / "answers/p8.png")
    done = kk(tmp_path, "data", "check", "contrast", "d")
    assert done.returncode == 1 and "answer unreadable: 1\n  p8.png (damaged): " in done.stdout
    chosen = solution_of(discover(), "contrast", "demo")
    with pytest.raises(DataError, match=r"(?s)1 of 2 answers cannot be used:\n  p8\.png: .*`kk data check` lists all"):
        prepare(chosen, chosen.dataset(root), "mark")


def test_answers_and_masks_in_other_forms_are_those_of_white_and_black(tmp_path):
    root = folder(tmp_path / "d")
    mask = np.zeros((40, 48), np.uint8)
    mask[5:20, 5:30] = 1
    save(root / "answers/p4.png", mask.astype(np.uint16) * 65535)
    save(root / "train/masks/p0.png", np.dstack([mask * 255] * 3))
    (root / "train/masks/p1.png").unlink()
    (root / "train/masks/p1.jpg").write_bytes(cv2.imencode(".jpg", mask * 255)[1].tobytes())
    data = read(root)
    assert all(np.array_equal(data.read_mask(s), mask) for s in data.train) and data.problems == []
    known = replace(data.test[0], label=data.answers["p4.png"])
    assert np.array_equal(data.read_truth(known), mask)


def test_an_answer_that_is_missing_or_of_no_image_is_told(tmp_path):
    root = folder(tmp_path / "d")
    (root / "answers/p5.png").rename(root / "answers/q5.png")
    told = {p.sample: (p.rule, p.skip, p.damaged) for p in read(root).problems}
    assert told == {"p5.png": ("no answer", False, False), "q5": ("answer without image", False, False)}


def test_korean_names_of_images_and_masks_are_compared_composed(tmp_path):
    root = folder(tmp_path / "d")
    for part, form in (("train/images", "NFC"), ("train/masks", "NFD"), ("test/images", "NFD"), ("answers", "NFC")):
        for path in sorted((root / part).iterdir()):
            path.rename(path.with_name(unicodedata.normalize(form, f"\uba38\ub9ac{path.name}")))
    data = read(root)
    assert data.problems == [] and len(data.train) == 4 and len(data.answers) == 2


def test_a_part_without_images_is_told(tmp_path):
    folder(tmp_path / "none", count=4, test=0).joinpath("test/images").mkdir(parents=True)
    done = kk(tmp_path, "data", "check", "contrast", "none")
    assert done.returncode == 0 and "no test image: 1" in done.stdout
    folder(tmp_path / "bare", count=0, test=2)
    for part in ("images", "masks"):
        (tmp_path / "bare/train" / part).mkdir(parents=True)
    done = kk(tmp_path, "data", "check", "contrast", "bare")
    assert done.returncode == 1 and "no image with a mask" in done.stderr


def test_drawn_images_hide_one_kind_of_object_in_each_window(tmp_path):
    draw_sample(tmp_path / "d", 10, 3, untracked)
    data = read(tmp_path / "d")
    assert (len(data.train), len(data.test), len(data.answers)) == (10, 4, 4)
    faint, bright = [], []
    for sample in data.train:
        image, mask = data.read_image(sample)[..., 0].astype(float), data.read_mask(sample) > 0
        dark = image < 400
        if (mask & dark).sum() > 100:
            faint.append(image[mask & dark].mean() - image[~mask & dark].mean())
        if (mask & ~dark).sum() > 100:
            bright.append(image[mask & ~dark].mean() - image[~mask & ~dark].mean())
        assert image.max() <= 12040
    assert len(faint) >= 5 and len(bright) >= 2
    assert all(20 < d < 256 for d in faint), "nothing in the full range, clear from 0 to 256"
    assert np.mean(bright) > 600, "clear in the full range, all white from 0 to 256"


def test_a_sample_is_the_same_for_the_same_seed_and_leaves_nothing_when_interrupted(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_sample(tmp_path / name, 3, seed, untracked)
    a, b, c = ((tmp_path / name / "train/images/p0001.png").read_bytes() for name in "abc")
    assert a == b != c

    def stops(items, total, description):
        yield items[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "d", 3, 1, stops)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]
    with pytest.raises(FileExistsError, match="not empty"):
        draw_sample(tmp_path / "a", 3, 1, untracked)


def test_deep_images_without_windows_are_refused_by_the_command_in_one_line(tmp_path):
    folder(tmp_path / "d", count=12)
    done = kk(tmp_path, "run", "contrast", "--data", tmp_path / "d", "--fidelity", "demo", "--without", "multi-window")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "uint16 pixels and the recipe does not say which range of values to show" in done.stderr


def test_masks_and_images_of_one_stem_stay_apart_by_their_endings_or_are_named(tmp_path):
    root, mask = folder(tmp_path / "d", count=4), np.full((40, 48), 255, np.uint8)
    mask[:9] = 0
    save(root / "train/images/p0.tif", np.full((40, 48), 300, np.uint16))  # beside p0.png, with a mask of its own
    save(root / "train/masks/p0.tif", mask)
    save(root / "train/images/p1.tif", np.full((40, 48), 300, np.uint16))  # beside p1.png, without
    save(root / "train/masks/p2.tif", mask)  # a second mask for p2.png
    data = read(root)
    names = ("p0.png", "p0.tif", "p1.png", "p2.png", "p3.png")
    assert {s.id: s.label.name for s in data.train} == {name: name for name in names}
    told = {p.sample: p.rule for p in data.problems}
    assert told == {"p1.tif": "image without mask", "p2": "mask without image"}
    (root / "train/masks/p3.png").rename(root / "train/masks/p3.bmp")
    save(root / "train/masks/p3.tif", mask)
    data = read(root)
    assert "p3.png" not in {s.id for s in data.train}
    told = {p.sample: p for p in data.problems}
    assert told["p3.png"].rule == "mask is in doubt" and "p3.bmp, p3.tif" in told["p3.png"].detail


def test_a_test_image_named_in_no_utf_8_stops_the_run_before_it_trains(tmp_path):
    root = folder(tmp_path / "d", count=12)
    odd = "머리.png".encode("euc-kr").decode("utf-8", "surrogateescape")
    next(iter((root / "test/images").iterdir())).rename(root / "test/images" / odd)
    done = kk(tmp_path, "run", "contrast", "--data", root, "--fidelity", "demo")
    assert done.returncode == 1 and "its name is no UTF-8 text, which no submission can hold" in done.stderr
    assert "epoch" not in done.stderr
    checked = kk(tmp_path, "data", "check", "contrast", root)
    assert checked.returncode == 1 and "name of no submission" in checked.stdout
