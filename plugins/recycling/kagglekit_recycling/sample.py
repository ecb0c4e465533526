"""Sample data in the layout of the contest's second edition: drawn trash on drawn ground, labelled with polygons."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from kagglekit.api import new_folder
from kagglekit_recycling.contest import NAMES, SIZE
from kagglekit_recycling.scenery import Thing, draw_image

FOLDER = "batch_01_vt"
JPEG_QUALITY = 92
MOST_THINGS = 6
VALIDATION_EVERY = 5  # one training image of so many is in val.json, not in train.json
# How often a class comes, as in the contest: paper and bags are everywhere, batteries and clothes are rare.
SHARES = {1: 0.17, 2: 0.22, 3: 0.09, 4: 0.1, 5: 0.1, 6: 0.14, 7: 0.08, 8: 0.1}
BATTERY, CLOTHING = NAMES.index("Battery") + 1, NAMES.index("Clothing") + 1
RARE_EVERY = 8  # images, of which one shows a battery, and one a piece of clothing
CATEGORIES = [{"id": id, "name": name, "supercategory": name} for id, name in enumerate(NAMES, 1)]


class Job(NamedTuple):
    """One image to draw: its number among all, and the classes of its things."""

    number: int
    labels: tuple[int, ...]

    @property
    def file_name(self) -> str:
        """The path that COCO files give."""
        return f"{FOLDER}/{self.number:04d}.jpg"


class Drawn(NamedTuple):
    """An image as far as COCO files tell of it."""

    file_name: str
    things: list[dict]


def draw_sample(root: Path, count: int, seed: int, track: Callable) -> None:
    """Write a sample of `count` training images and max(4, count // 5) test images to the folder `root`.

    Writes train_all.json, its parts train.json and val.json, test.json, answers.json and batch_01_vt/. The same
    arguments write the same bytes. `root` appears only when it is complete. Raises FileExistsError if `root` exists and
    is not empty, ValueError if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    with new_folder(root) as part:
        _write(part, count, seed, track)


def plan(count: int, seed: int) -> list[Job]:
    """What every image shows: all ten classes occur in any eight images from a multiple of eight on."""
    rng = np.random.default_rng((seed, 0))
    common, shares = list(SHARES), np.array(list(SHARES.values()))
    jobs: list[Job] = []
    while len(jobs) < count + max(4, count // 5):
        mains = rng.permutation(common)
        with_battery, with_clothing = rng.integers(RARE_EVERY, size=2)
        for place, main in enumerate(mains):
            labels = [int(main)]
            labels += [rare for rare, at in ((BATTERY, with_battery), (CLOTHING, with_clothing)) if at == place]
            more = max(0, int(rng.integers(1, MOST_THINGS + 1)) - len(labels))
            labels += map(int, rng.choice(common, more, p=shares / shares.sum()))
            jobs.append(Job(len(jobs), tuple(labels)))
    return jobs[: count + max(4, count // 5)]


def _write(part: Path, count: int, seed: int, track: Callable) -> None:
    """Draw all images into `part` and write the JSON files."""
    (part / FOLDER).mkdir(parents=True)
    jobs = plan(count, seed)
    drawn = [_draw(part, job, seed) for job in track(jobs, len(jobs), "drawing the sample")]
    train, test = drawn[:count], drawn[count:]
    for name, drawings in (
        ("train_all", train),
        ("train", [one for at, one in enumerate(train, 1) if at % VALIDATION_EVERY]),
        ("val", train[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]),
        ("answers", test),
    ):
        _save(part / f"{name}.json", _document(drawings))
    _save(part / "test.json", {key: value for key, value in _document(test).items() if key != "annotations"})


def _draw(part: Path, job: Job, seed: int) -> Drawn:
    """Draw and save one image."""
    drawn = draw_image(np.random.default_rng((seed, 1, job.number)), job.labels)
    image = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "cv2 could not encode an image"
    (part / job.file_name).write_bytes(data.tobytes())
    return Drawn(job.file_name, [_annotation(thing) for thing in drawn.things])


def _annotation(thing: Thing) -> dict:
    """What an annotation says of a thing, apart from ids."""
    (left, top), (right, bottom) = thing.polygon.min(0), thing.polygon.max(0)
    return {
        "category_id": thing.label,
        "segmentation": [thing.polygon.ravel().tolist()],
        "area": round(thing.area, 2),
        "bbox": [round(float(value), 2) for value in (left, top, right - left, bottom - top)],
        "iscrowd": 0,
    }


def _document(drawings: Sequence[Drawn]) -> dict:
    """A COCO file; ids count from 0 in each file."""
    images, annotations = [], []
    for id, drawn in enumerate(drawings):
        size = {"height": SIZE[0], "width": SIZE[1], "date_captured": None, "id": id}
        images.append({"license": 0, "url": None, "file_name": drawn.file_name} | size)
        for thing in drawn.things:
            annotations.append({"id": len(annotations), "image_id": id} | thing)
    return {"info": {}, "licenses": [], "images": images, "categories": CATEGORIES, "annotations": annotations}


def _save(path: Path, document: dict) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
