"""A small glomeruli folder made from scratch: pink tissue with dark discs on glass."""

import csv
import json
from pathlib import Path

import numpy as np
import tifffile

from kagglekit.data.codecs import rle
from tests.toy_data import disc

SIZE = (192, 256)
INFO = ["image_file", "width_pixels", "height_pixels", "anatomical_structures_segmention_file"]
INFO += ["glomerulus_segmentation_file", "patient_number", "race", "ethnicity", "sex", "age", "weight_kilograms"]
INFO += ["height_centimeters", "bmi_kg/m^2", "laterality", "percent_cortex", "percent_medulla"]


def make_image(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 image, uint8 mask)."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE, np.uint8)
    for _ in range(3):
        mask |= disc(SIZE, rng.uniform(30, 160), rng.uniform(30, 160), rng.uniform(12, 18))
    image = np.full((*SIZE, 3), 243, np.uint8)
    image[10:180, 10:200] = (220, 130, 180)
    image[mask > 0] = (120, 50, 130)
    return image, mask


def write_rows(path: Path, header: list[str], rows) -> None:
    """A CSV file."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def folder(root: Path, train: int = 4, test: int = 2, patients: int = 4) -> Path:
    """A faultless data folder; slides are named aaa0, aaa1 ... and bbb0 ..."""
    (root / "train").mkdir(parents=True)
    (root / "test").mkdir()
    encodings, answers, info = [], [], []
    for i in range(train + test):
        part, id = ("train", f"aaa{i}") if i < train else ("test", f"bbb{i - train}")
        image, mask = make_image(i)
        tifffile.imwrite(root / part / f"{id}.tiff", image, photometric="rgb", tile=(64, 64), compression="zlib")
        (encodings if part == "train" else answers).append([id, rle.encode(mask)])
        patient = 100 + i % patients if part == "train" else 900 + i
        info.append([f"{id}.tiff", SIZE[1], SIZE[0], f"{id}-anatomical-structure.json", f"{id}.json", patient])
        info[-1] += [""] * (len(INFO) - len(info[-1]))
    write_rows(root / "train.csv", ["id", "encoding"], encodings)
    write_rows(root / "answers.csv", ["id", "predicted"], answers)
    write_rows(root / "sample_submission.csv", ["id", "predicted"], [[id, ""] for id, _ in answers])
    write_rows(root / "HuBMAP-20-dataset_information.csv", INFO, info)
    return root


def feature(name: str, rings: list, kind: str = "Polygon") -> dict:
    """A GeoJSON feature as QuPath writes it."""
    geometry = {"type": kind, "coordinates": rings}
    return {
        "type": "Feature",
        "id": "PathAnnotationObject",
        "geometry": geometry,
        "properties": {"classification": {"name": name, "colorRGB": -3140401}, "isLocked": True, "measurements": []},
    }


def write_regions(path: Path, *features: dict) -> None:
    """A file of anatomical structures."""
    path.write_text(json.dumps(list(features)))
