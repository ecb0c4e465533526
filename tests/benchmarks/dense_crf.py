"""The dense CRF against pydensecrf2: seconds, their ratio, and how far the label maps agree, on natural images.

Unaries are made from annotations: blurred one-hot masks, mixed with smooth noise over all classes (`--noise` is its
share). Both are called alternately on the same arrays, with 10 iterations and 50; the minimum and the median of each
are printed, and the IoU of our label map with theirs: mean over the classes that either shows, and over all images
together. `--random` adds an image of noise, in which nearly every pixel has vertices of its own.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `kk` does, before torch is imported

import cv2
import msgspec
import numpy as np
import pydensecrf.densecrf as densecrf

from kagglekit_dense_crf.mean_field import mean_field

CLASSES = 11
SETS = (  # gaussian (sxy, compat), bilateral (sxy, srgb, compat), iterations
    ((3, 10), (10, 5, 10), 10),
    ((3, 3), (49, 5, 4), 10),
    ((3, 3), (49, 5, 4), 50),
    ((1, 3), (67, 3, 4), 10),
)


def images(data: Path, count: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, image, label map) of `count` annotated images that lie below `data`, spread over all of them."""
    index = msgspec.json.decode((data / "train_all.json").read_bytes())
    present = [image for image in index["images"] if (data / image["file_name"]).is_file()]
    outlines: dict[int, list] = {}
    for annotation in index["annotations"]:
        outlines.setdefault(annotation["image_id"], []).append(annotation)
    found = []
    for image in present[:: max(1, len(present) // count)][:count]:
        pixels = cv2.cvtColor(cv2.imread(str(data / image["file_name"])), cv2.COLOR_BGR2RGB)
        labels = np.zeros(pixels.shape[:2], np.uint8)
        for annotation in sorted(outlines.get(image["id"], []), key=lambda a: -a["area"]):
            for polygon in annotation["segmentation"]:
                points = np.array(polygon).reshape(-1, 2).round().astype(np.int32)
                cv2.fillPoly(labels, [points], int(annotation["category_id"]))
        found.append((image["file_name"], pixels, labels))
    return found


def unary(labels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """float32 probabilities `[K, H, W]` that a network might give: soft borders, and doubts in all classes."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur((labels == k).astype(np.float32), (0, 0), 8) for k in range(CLASSES)]
    doubts = rng.dirichlet(np.ones(CLASSES), labels.shape).astype(np.float32).transpose(2, 0, 1)
    doubts = np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in doubts])
    doubts = (doubts - doubts.min(0)) ** 3 + 1e-6
    probs = (1 - noise) * np.stack(planes) + noise * doubts / doubts.sum(0)
    return (probs / probs.sum(0)).astype(np.float32)


def ours(probs, image, gaussian, bilateral, iterations):
    return mean_field(
        probs,
        image,
        gaussian_sxy=gaussian[0],
        gaussian_compat=gaussian[1],
        bilateral_sxy=bilateral[0],
        bilateral_srgb=bilateral[1],
        bilateral_compat=bilateral[2],
        iterations=iterations,
        exclusive=len(probs) > 1,
    )


def theirs(probs, image, gaussian, bilateral, iterations):
    planes = probs if len(probs) > 1 else np.concatenate([1 - probs, probs])
    field = densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(planes))
    field.setUnaryEnergy(-np.log(np.clip(planes, 1e-5, 1)).reshape(len(planes), -1).astype(np.float32))
    field.addPairwiseGaussian(sxy=gaussian[0], compat=gaussian[1])
    field.addPairwiseBilateral(sxy=bilateral[0], srgb=bilateral[1], rgbim=image, compat=bilateral[2])
    return np.array(field.inference(iterations)).reshape(planes.shape)[-len(probs) :]


def labels_of(probs):
    return probs.argmax(0) if len(probs) > 1 else (probs[0] > 0.5).astype(int)


def confusion(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.bincount((ours * CLASSES + theirs).ravel(), minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def mean_iou(counts: np.ndarray) -> float:
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    return float((counts.diagonal()[union > 0] / union[union > 0]).mean())


def compare(cases: list[tuple[np.ndarray, np.ndarray]], settings, rounds: int) -> str:
    """One line: seconds of both, ratios, agreement."""
    ratios, seconds, ious, total, far = [], ([], []), [], 0, 0.0
    for probs, image in cases:
        taken, results = ([], []), [None, None]
        for _ in range(rounds):
            for which, run in enumerate((ours, theirs)):
                started = time.perf_counter()
                results[which] = run(probs, image, *settings)
                taken[which].append(time.perf_counter() - started)
        ratios.append((min(taken[1]) / min(taken[0]), statistics.median(taken[1]) / statistics.median(taken[0])))
        for which in (0, 1):
            seconds[which].append(min(taken[which]))
        counts = confusion(*(labels_of(result) for result in results))
        ious.append(mean_iou(counts))
        total, far = total + counts, max(far, float(np.abs(results[0] - results[1]).mean()))
    least, middle = (statistics.median(column) for column in zip(*ratios, strict=True))
    return (
        f"ours {statistics.median(seconds[0]):.2f} s, theirs {statistics.median(seconds[1]):.2f} s, "
        f"ratio {least:.2f} ({min(r[0] for r in ratios):.2f} to {max(r[0] for r in ratios):.2f}; of medians "
        f"{middle:.2f}); IoU {mean_iou(total):.5f} together, {min(ious):.5f} in the worst image; "
        f"mean difference at most {far:.6f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train_all.json and its images")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--random", action="store_true")
    arguments = parser.parse_args()
    found = images(arguments.data, arguments.images)
    many = [(unary(labels, arguments.noise, seed), image) for seed, (_, image, labels) in enumerate(found)]
    few = [(1 - probs[:1], image) for probs, image in many]
    print(f"{len(found)} images of {found[0][1].shape[1]} x {found[0][1].shape[0]} pixels")
    ours(*many[0], *SETS[0])  # the first call of a process also pays for loading libraries
    for settings in SETS:
        name = "gaussian {}/{}, bilateral {}/{}/{}, {} iterations".format(*settings[0], *settings[1], settings[2])
        print(f"{name}, {CLASSES} classes: {compare(many, settings, arguments.rounds)}", flush=True)
        print(f"{name}, 1 class: {compare(few, settings, arguments.rounds)}", flush=True)
    if arguments.random:
        noise = np.random.default_rng(0).integers(0, 256, found[0][1].shape).astype(np.uint8)
        print(f"an image of noise, {CLASSES} classes: {compare([(many[0][0], noise)], SETS[0], arguments.rounds)}")
        print(f"an image of noise, 1 class: {compare([(few[0][0], noise)], SETS[0], arguments.rounds)}")


if __name__ == "__main__":
    main()
