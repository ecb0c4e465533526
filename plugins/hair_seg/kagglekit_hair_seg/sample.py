"""Sample data in the layout of the Korean Hair Segmentation contest: drawn people, labels with known flaws.

The flaws and their rates follow what the contest's teams found in the real labels.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from kagglekit.api import new_folder

from .draw_person import DrawnImage, draw_image
from .strokes import SIZE

# share of the training images whose label is ...
EMPTY_RATE = 0.01  # no polygon: fewer than three points
TINY_RATE = 0.015  # a few pixels only
WIDE_RATE = 0.03  # much wider than the hair
ROTATED_RATE = 0.01  # turned by 90 degrees
PIGTAIL_RATE = 0.5  # without one of the pigtails; share of the images with two pigtails
DUPLICATE_RATE = 0.03  # the same image again under another name, slightly shifted and brightened

LEAST_HAIR = 1500  # pixels; an image with less is drawn anew
LEAST_PIGTAIL = 300  # pixels; a smaller rest of a pigtail cannot be missed
LEAST_REGION = 80  # pixels; stray tufts that nobody labels
LEAST_HOLE = 150  # pixels; gaps between strands that nobody labels
MOST_POINTS = 500
JPEG_QUALITY = 90
RETRY = 1000  # added to the image number for another attempt; no person has that many images

Points = np.ndarray  # (n, 2) int x, y
Progress = Callable[[Iterable, int, str], Iterable]


class Job(NamedTuple):
    """One image to draw; `of` names the image it nearly repeats, with that image's number."""

    folder: str
    person: int
    number: int
    of: int | None = None

    def file_name(self, number: int | None = None) -> str:
        """The name of the image, or of another one of the same person."""
        return f"KHD{self.person:05d}-{number or self.number}.jpg"


class Outlined(NamedTuple):
    """The true polygon of an image, and the polygons that miss one pigtail if it has two."""

    job: Job
    polygon: Points
    lacking: list[Points]


def _no_progress(iterable: Iterable, total: int, description: str) -> Iterable:
    return iterable


def draw_sample(root: Path, count: int, seed: int, *, progress: Progress = _no_progress) -> None:
    """Write a sample of `count` training images and max(4, count // 5) test images to the folder `root`.

    Writes task02_train/, task02_test/, answers.json (true test polygons) and truth.json (true train polygons and
    the flaw of each label). The same arguments write the same bytes. `root` appears only when it is complete.
    Raises FileExistsError if `root` exists and is not empty, ValueError if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    with new_folder(root) as part:
        _write(part, count, seed, progress)


def _write(part: Path, count: int, seed: int, progress: Progress) -> None:
    """Draw all images into `part` and write the four JSON files."""
    jobs = _plan(count, seed)
    for folder in ("task02_train", "task02_test"):
        (part / folder / "images").mkdir(parents=True)
    drawn = [_draw(part, job, seed) for job in progress(jobs, len(jobs), "drawing the sample")]
    train = sorted((one for one in drawn if one.job.folder == "task02_train"), key=lambda one: one.job.file_name())
    test = sorted((one for one in drawn if one.job.folder == "task02_test"), key=lambda one: one.job.file_name())
    flaws = _choose_flaws(train, count, seed)
    labels, truths = [], []
    for one in train:
        name, flaw = one.job.file_name(), flaws.get(one.job)
        rng = np.random.default_rng([seed, one.job.person, one.job.number, 1])
        labels.append(_annotation(name, _spoil(rng, one, flaw)))
        of = {"of": one.job.file_name(one.job.of)} if flaw == "duplicate" else {}
        truths.append(_annotation(name, one.polygon) | {"flaw": flaw, "pigtails": bool(one.lacking)} | of)
    _save(part / "task02_train" / "labels.json", labels)
    _save(part / "truth.json", truths)
    _save(part / "answers.json", [_annotation(one.job.file_name(), one.polygon) for one in test])
    blank = np.zeros((3, 2), int)
    _save(part / "task02_test" / "sample_submission.json", [_annotation(one.job.file_name(), blank) for one in test])


def _plan(count: int, seed: int) -> list[Job]:
    """Deal the images to persons, two to five each; train and test share no person."""
    rng = np.random.default_rng([seed, 0, 0, 2])
    repeats = min(round(DUPLICATE_RATE * count), count // 2)
    jobs, person = [], 0
    for folder, wanted in (("task02_train", count - repeats), ("task02_test", max(4, count // 5))):
        while wanted:
            images = min(wanted, int(rng.integers(2, 6)))
            jobs += [Job(folder, person, number) for number in range(1, images + 1)]
            wanted -= images
            person += 1
    last = {job.person: job.number for job in jobs}
    for index in rng.permutation(count - repeats)[:repeats]:
        job = jobs[index]
        last[job.person] += 1
        jobs.append(Job(job.folder, job.person, last[job.person], of=job.number))
    return jobs


def _draw(part: Path, job: Job, seed: int) -> Outlined:
    """Draw and save one image; outline its hair."""
    number, attempt = job.of or job.number, 0
    image = draw_image(seed, job.person, number)
    while image.hair.sum() < LEAST_HAIR:
        attempt += 1
        image = draw_image(seed, job.person, number + attempt * RETRY)
    if job.of:
        image = _nearly_same(np.random.default_rng([seed, job.person, job.number]), image)
    done, jpeg = cv2.imencode(".jpg", image.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "cv2 could not encode an image"
    (part / job.folder / "images" / job.file_name()).write_bytes(jpeg.tobytes())
    lacking = []
    if len(image.pigtails) == 2 and all(tail.sum() >= LEAST_PIGTAIL for tail in image.pigtails):
        lacking = [outline(image.hair & ~tail) for tail in image.pigtails]
    return Outlined(job, outline(image.hair), [polygon for polygon in lacking if len(polygon) >= 3])


def _nearly_same(rng: np.random.Generator, image: DrawnImage) -> DrawnImage:
    """Shift an image by some pixels and brighten it."""
    dx, dy = rng.integers(2, 7, 2) * rng.choice([-1, 1], 2)
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)

    def shifted(image: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(image, move, (SIZE, SIZE), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)

    brighter = cv2.convertScaleAbs(shifted(image.image), alpha=rng.uniform(1.03, 1.1))
    hair, *tails = (shifted(mask.astype(np.uint8)) > 0 for mask in (image.hair, *image.pigtails))
    return DrawnImage(brighter, hair, tuple(tails))


def _choose_flaws(train: list[Outlined], count: int, seed: int) -> dict[Job, str]:
    """Choose which labels are wrong and how; exact counts, so that small samples have the known rates too."""
    rng = np.random.default_rng([seed, 0, 0, 3])
    repeated = {(one.job.person, one.job.of) for one in train}
    flaws = {one.job: "duplicate" for one in train if one.job.of}
    order = [train[index] for index in rng.permutation(len(train))]
    free = [one for one in order if not one.job.of and (one.job.person, one.job.number) not in repeated]
    tailed = [one for one in free if one.lacking]
    spoilt = tailed[: round(PIGTAIL_RATE * sum(bool(one.lacking) for one in train))]
    flaws |= {one.job: "pigtail" for one in spoilt}
    rest = [one.job for one in free if one.job not in flaws]
    for flaw, rate in (("wide", WIDE_RATE), ("tiny", TINY_RATE), ("empty", EMPTY_RATE), ("rotated", ROTATED_RATE)):
        wanted = round(rate * count)
        flaws |= dict.fromkeys(rest[:wanted], flaw)
        rest = rest[wanted:]
    return flaws


def _spoil(rng: np.random.Generator, one: Outlined, flaw: str | None) -> Points:
    """The polygon in the label: the true one, or a wrong one."""
    match flaw:
        case "empty":
            return one.polygon[: rng.integers(0, 3)]
        case "tiny":
            x, y = np.clip(one.polygon[rng.integers(len(one.polygon))], 0, SIZE - 8)
            return np.array([(x, y), (x + rng.integers(2, 6), y + 1), (x + 1, y + rng.integers(2, 6))])
        case "wide":
            radius = int(rng.integers(14, 27))
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            return outline(cv2.dilate(rasterise(one.polygon).astype(np.uint8), disc) > 0)
        case "rotated":
            return np.stack([SIZE - 1 - one.polygon[:, 1], one.polygon[:, 0]], axis=-1)
        case "pigtail":
            return one.lacking[rng.integers(len(one.lacking))]
        case _:
            return one.polygon


def rasterise(polygon: Points) -> np.ndarray:
    """Fill a polygon of at least three points as the contest does, boundary included; (SIZE, SIZE) bool."""
    canvas = Image.new("1", (SIZE, SIZE))
    ImageDraw.Draw(canvas).polygon([tuple(map(int, point)) for point in polygon], outline=1, fill=1)
    return np.array(canvas)


def outline(mask: np.ndarray) -> Points:
    """One polygon (n, 2) around a (SIZE, SIZE) bool mask, all its regions and holes joined by closed bridges.

    Single hairs, small regions and small holes are left out, as people leave them out who draw such polygons.
    n is at most about MOST_POINTS, 0 for a mask without a region.
    """
    thick = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    )
    contours, hierarchy = cv2.findContours(thick, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = []
    for index, ring in enumerate(contours):
        least = LEAST_REGION if hierarchy[0][index][3] < 0 else LEAST_HOLE
        if cv2.contourArea(ring) >= least:
            rings.append(ring)
    tolerance = 0.6
    simple = [cv2.approxPolyDP(ring, tolerance, True)[:, 0] for ring in rings]
    while sum(map(len, simple)) > MOST_POINTS and tolerance < 3:
        tolerance *= 1.25
        simple = [cv2.approxPolyDP(ring, tolerance, True)[:, 0] for ring in rings]
    return _bridged(sorted(simple, key=cv2.contourArea, reverse=True))


def _bridged(rings: list[Points]) -> Points:
    """Join rings, largest first, to one polygon: hop to the nearest vertex, go round, hop back the same way."""
    if not rings:
        return np.zeros((0, 2), int)
    joined = rings[0]
    for ring in rings[1:]:
        gaps = ((joined[:, None] - ring[None]) ** 2).sum(-1)
        here, there = np.unravel_index(gaps.argmin(), gaps.shape)
        tour = np.concatenate([ring[there:], ring[: there + 1]])
        joined = np.concatenate([joined[: here + 1], tour, joined[here:]])
    return joined


def _annotation(name: str, polygon: Points) -> dict:
    """One entry of an annotation file."""
    return {"file_name": name, "polygon1": [{"x": int(x), "y": int(y)} for x, y in polygon]}


def _save(path: Path, annotations: list[dict]) -> None:
    path.write_text(json.dumps({"annotations": annotations}), encoding="utf-8")
