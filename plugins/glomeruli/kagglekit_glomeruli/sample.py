"""Sample data in the layout of the contest: small slides of drawn kidney tissue, in all forms of TIFF that it has."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kagglekit.api import new_folder, rle, write_rows
from kagglekit_glomeruli.dataset import INFO, TRAIN_HEADER
from kagglekit_glomeruli.slide_files import form_of, write_slide
from kagglekit_glomeruli.stains import STAINS, vary
from kagglekit_glomeruli.submission import HEADER
from kagglekit_glomeruli.tissue import Plan, draw_section, outlines

HEIGHT, WIDTH = (2000, 2700), (2600, 3500)  # pixels of a slide
LARGER = 400  # pixels that the first slide is larger by
PER_PATIENT = 2
IDS = 16**9  # ids are nine hexadecimal digits
COLOURS = {"Cortex": -3140401, "Medulla": -6895466}  # as QPath writes red, green and blue in one number
COLUMNS = (
    "image_file",
    "width_pixels",
    "height_pixels",
    "anatomical_structures_segmention_file",  # so it stands in the contest's file
    "glomerulus_segmentation_file",
    "patient_number",
    "race",
    "ethnicity",
    "sex",
    "age",
    "weight_kilograms",
    "height_centimeters",
    "bmi_kg/m^2",
    "laterality",
    "percent_cortex",
    "percent_medulla",
)


class Job(NamedTuple):
    """One slide to draw: where it goes, its number among all, its size, and its patient."""

    folder: str
    id: str
    number: int
    size: tuple[int, int]
    patient: int

    def anatomy(self) -> str:
        """The name of the file with its cortex and medulla."""
        return f"{self.id}-anatomical-structure.json"


def draw_sample(root: Path, count: int, seed: int, track: Callable) -> None:
    """Write a sample of `count` training slides and max(2, count // 4) test slides to the folder `root`.

    Writes train.csv, sample_submission.csv, answers.csv, the information on the slides, and the slides with the
    polygons of their anatomy. Patients have two slides each, and are in one part only. The same arguments write the
    same bytes. `root` appears only when it is complete. Raises FileExistsError if `root` exists and is not empty,
    ValueError if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    with new_folder(root) as part:
        _write(part, plan(count, seed), seed, track)


def plan(count: int, seed: int) -> list[Job]:
    """Which slides there are; the first one is a little larger than all others."""
    rng = np.random.default_rng((seed, 0))
    total = count + max(2, count // 4)
    ids = [f"{value:09x}" for value in rng.choice(IDS, total, replace=False)]
    patients = [int(number) for number in 60000 + rng.choice(10000, total, replace=False)]
    jobs = []
    for number, id in enumerate(ids):
        folder, place = ("train", number) if number < count else ("test", number - count)
        height, width = int(rng.integers(*HEIGHT)), int(rng.integers(*WIDTH))
        size = (HEIGHT[1] + LARGER, WIDTH[1] + LARGER) if number == 0 else (height, width)
        first = place // PER_PATIENT * PER_PATIENT + (0 if folder == "train" else count)
        jobs.append(Job(folder, id, number, size, patients[first]))
    return jobs


def _write(part: Path, jobs: Sequence[Job], seed: int, track: Callable) -> None:
    """Draw all slides into `part` and write the tables."""
    masks: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for folder in masks:
        (part / folder).mkdir(parents=True)
    information = []
    for job in track(jobs, len(jobs), "drawing the sample"):
        rng = np.random.default_rng((seed, 1, job.number))
        section = draw_section(rng, job.size, vary(rng, STAINS[(seed + job.number) % len(STAINS)]))
        write_slide(part / job.folder / f"{job.id}.tiff", section.image, form_of(job.number))
        features = json.dumps(_features(section.plan))
        (part / job.folder / job.anatomy()).write_text(features, encoding="utf-8")
        masks[job.folder][job.id] = rle.encode(section.mask)
        information.append(_information(job, section.plan, np.random.default_rng((seed, 2, job.patient))))
    write_rows(part / "train.csv", TRAIN_HEADER, _sorted(masks["train"]))
    answers = _sorted(masks["test"])
    write_rows(part / "answers.csv", HEADER, answers)
    write_rows(part / "sample_submission.csv", HEADER, dict.fromkeys(answers, ""))
    _write_table(part / INFO, sorted(information))


def _sorted(rows: dict[str, str]) -> dict[str, str]:
    return {id: rows[id] for id in sorted(rows)}


def _features(plan: Plan) -> list[dict]:
    """The polygons of cortex and medulla as the contest's files have them."""
    return [
        {
            "type": "Feature",
            "id": "PathAnnotationObject",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "classification": {"name": name, "colorRGB": COLOURS[name]},
                "isLocked": False,
                "measurements": [],
            },
        }
        for name, region in (("Cortex", plan.cortex), ("Medulla", plan.medulla))
        for ring in outlines(region)
    ]


def _information(job: Job, plan: Plan, rng: np.random.Generator) -> tuple:
    """A row of the information file; `rng` is the patient's own, so that both slides say the same of them."""
    weight, height = round(float(rng.normal(80, 16)), 1), round(float(rng.normal(170, 10)), 1)
    cortex = round(100 * np.count_nonzero(plan.cortex) / max(np.count_nonzero(plan.tissue), 1))
    return (
        f"{job.id}.tiff",
        job.size[1],
        job.size[0],
        job.anatomy(),
        f"{job.id}.json",
        job.patient,
        str(rng.choice(("White", "Black or African American", "Asian"))),
        str(rng.choice(("Not Hispanic or Latino", "Hispanic or Latino"))),
        str(rng.choice(("Female", "Male"))),
        int(rng.integers(21, 80)),
        weight,
        height,
        round(weight / (height / 100) ** 2, 1),
        str(rng.choice(("Left", "Right"))),
        cortex,
        100 - cortex,
    )


def _write_table(path: Path, rows: Iterable[Sequence]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
