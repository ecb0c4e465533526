"""Run-length codec against pycocotools, and a mask of two billion pixels encoded in stripes.

What is compared, on one thread, alternating, medians of ratios of single rounds. Time is that of the thread: what else
runs on the machine is not counted.

text -> mask      ours: decode, strict, to a row-major array.
                  pycocotools: numpy reads the numbers unchecked and makes counts, frPyObjects, decode (column-major).
runs -> mask      ours: decode_box of the whole image, from runs to a row-major array.
                  pycocotools: decode, from its compressed counts to a column-major array.
mask -> text      ours: encode, from a row-major array.
                  pycocotools: copy to column-major, encode, and what it lacks from here: counts, numbers, text.
mask -> runs      ours: changes, from a row-major array. pycocotools: copy to column-major, encode.
columns -> runs   ours: changes, from a column-major array. pycocotools: encode of the same array.

The stripes are drawn one after the other and given to Encoder; pycocotools encodes the widest part of the same mask
whose one column-major array fits into the same memory. Drawing is not timed, writing the text is. Ends with status 1
where a bar is missed.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as theirs

from kagglekit.data.codecs import coco, rle

FULL, QUARTER = (1400, 2100), (350, 525)
SLIDE, STRIPE, BLOBS = (40_000, 50_000), 512, 3000
MEMORY = 1e9  # bytes


def rectangles(rng) -> np.ndarray:
    """A few overlapping rectangles, as people drew them around clouds, with ragged holes and lost single pixels."""
    height, width = FULL
    mask = np.zeros(FULL, np.uint8)
    for _ in range(rng.integers(1, 5)):
        top, left = rng.integers(0, height - 300), rng.integers(0, width - 400)
        mask[top : top + rng.integers(300, 1000), left : left + rng.integers(400, 1200)] = 1
    ragged = cv2.GaussianBlur(rng.random(FULL, np.float32), (0, 0), 9)
    mask[ragged > np.quantile(ragged, 0.97)] = 0
    mask[rng.integers(0, height, 300), rng.integers(0, width, 300)] = 0
    return mask


def blobs(rng) -> np.ndarray:
    """Smooth regions over a quarter of the image, as a network predicts them."""
    smooth = cv2.GaussianBlur(rng.random(FULL, np.float32), (0, 0), 40)
    return (smooth > np.quantile(smooth, 0.75)).astype(np.uint8)


def real_rows(folder: Path) -> list[np.ndarray]:
    """Masks of the first rows with a mask of a contest's train.csv."""
    csv.field_size_limit(2**31 - 1)
    with (folder / "train.csv").open(newline="", encoding="utf-8") as stream:
        texts = [row["EncodedPixels"] for row in csv.DictReader(stream)]
    return [rle.decode(text, FULL) for text in texts if text][:24]


def pycocotools_decode(text: str, size: tuple[int, int]) -> np.ndarray:
    numbers = np.fromstring(text, np.int64, sep=" ").reshape(-1, 2)
    ends = np.stack([numbers[:, 0] - 1, numbers[:, 0] - 1 + numbers[:, 1]], 1).ravel()
    counts = np.diff(np.concatenate([[0], ends, [size[0] * size[1]]]))
    return theirs.decode(theirs.frPyObjects({"size": list(size), "counts": counts.tolist()}, *size))


def pycocotools_encode(mask: np.ndarray) -> str:
    counts = coco.decompress(theirs.encode(np.asfortranarray(mask))["counts"].decode())
    edges = counts.cumsum()[: len(counts) // 2 * 2].reshape(-1, 2)
    return rle.text(np.stack([edges[:, 0], edges[:, 1] - edges[:, 0]], 1))


def tasks(masks: list[np.ndarray]) -> dict:
    """Name -> (ours, pycocotools), each a function of the number of a mask; checks that both agree."""
    size = masks[0].shape
    texts = [rle.encode(mask) for mask in masks]
    runs = [rle.runs(text, size) for text in texts]
    columns = [np.asfortranarray(mask) for mask in masks]
    encoded = [theirs.encode(mask) for mask in columns]
    for mask, text in zip(masks, texts, strict=True):
        assert np.array_equal(rle.decode(text, size), mask) and np.array_equal(pycocotools_decode(text, size), mask)
        assert pycocotools_encode(mask) == text
    return {
        "text -> mask": (lambda i: rle.decode(texts[i], size), lambda i: pycocotools_decode(texts[i], size)),
        "runs -> mask": (lambda i: rle.decode_box(runs[i], size, 0, 0, *size), lambda i: theirs.decode(encoded[i])),
        "mask -> text": (lambda i: rle.encode(masks[i]), lambda i: pycocotools_encode(masks[i])),
        "mask -> runs": (lambda i: rle.changes(masks[i]), lambda i: theirs.encode(np.asfortranarray(masks[i]))),
        "columns -> runs": (lambda i: rle.changes(columns[i]), lambda i: theirs.encode(columns[i])),
    }


def seconds(task, count: int, repeats: int) -> float:
    """Seconds per mask."""
    started = time.thread_time()
    for _ in range(repeats):
        for index in range(count):
            task(index)
    return (time.thread_time() - started) / repeats / count


def compare(name: str, masks: list[np.ndarray], rounds: int) -> bool:
    """Print the ratios of one set of masks; whether all are at least 1."""
    size, good = masks[0].shape, True
    runs = statistics.median(len(rle.runs(rle.encode(mask), size)) for mask in masks)
    print(f"{name}, {size[0]}x{size[1]}, {len(masks)} masks, median {runs:.0f} runs")
    repeats = max(1, 3_000_000 // masks[0].size)
    for task, (ours, other) in tasks(masks).items():
        times = [(seconds(ours, len(masks), repeats), seconds(other, len(masks), repeats)) for _ in range(rounds)]
        mine, ratio = statistics.median(a for a, _ in times), statistics.median(b / a for a, b in times)
        other_time = statistics.median(b for _, b in times)
        good &= ratio >= 1
        print(f"  {task:<16} {1e6 * mine:8.0f} us  pycocotools {1e6 * other_time:8.0f} us  {ratio:6.2f} times as fast")
    return good


def stripes(columns: int):
    """The slide's columns from the left, drawn stripe by stripe into the same memory."""
    rng = np.random.default_rng(0)
    xs, ys = rng.integers(0, SLIDE[1], BLOBS), rng.integers(0, SLIDE[0], BLOBS)
    axes = rng.integers(60, 260, (BLOBS, 2))
    angles = rng.integers(0, 180, BLOBS)
    canvas = np.empty((SLIDE[0], STRIPE), np.uint8)
    for left in range(0, columns, STRIPE):
        stripe = canvas[:, : min(STRIPE, columns - left)]
        canvas[:] = 0
        for i in np.flatnonzero((xs + 260 >= left) & (xs - 260 < left + STRIPE)):
            centre = (int(xs[i]) - left, int(ys[i]))
            cv2.ellipse(canvas, centre, tuple(map(int, axes[i])), int(angles[i]), 0, 360, 1, -1)
        yield stripe


def measure_stripes() -> dict:
    """Encode the whole slide in stripes."""
    encoder, spent = rle.Encoder(SLIDE[0]), 0.0
    for stripe in stripes(SLIDE[1]):
        started = time.thread_time()
        encoder.add(stripe)
        spent += time.thread_time() - started
    started = time.thread_time()
    text = encoder.finish()
    spent += time.thread_time() - started
    return {"pixels": SLIDE[0] * SLIDE[1], "seconds": spent, "runs": text.count(" ") // 2 + 1}


def measure_whole() -> dict:
    """Encode with pycocotools, as one array, as many columns as fit; what it finds must be what the stripes give."""
    columns = int(0.85 * MEMORY / SLIDE[0]) // STRIPE * STRIPE  # the rest is Python, numpy and a stripe
    memory = np.empty((columns, SLIDE[0]), np.uint8)
    encoder = rle.Encoder(SLIDE[0])
    for at, stripe in enumerate(stripes(columns)):
        memory[at * STRIPE : (at + 1) * STRIPE] = stripe.T
        encoder.add(stripe)
    mask, spent = memory.T, []
    for _ in range(3):
        started = time.thread_time()
        encoded = theirs.encode(mask)
        spent.append(time.thread_time() - started)
    runs = rle.runs(encoder.finish(), mask.shape)
    counts = coco.decompress(encoded["counts"].decode())
    assert np.array_equal(counts.cumsum()[::2][: len(runs)], runs[:, 0]) and np.array_equal(counts[1::2], runs[:, 1])
    return {"pixels": mask.size, "seconds": statistics.median(spent), "runs": len(runs)}


def peak_kib() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def slide() -> bool:
    """Print speed and memory of both, each in a process of its own; whether the bars are met."""
    found = {}
    for name in ("stripes", "whole"):
        done = subprocess.run([sys.executable, __file__, "--measure", name], check=True, capture_output=True, text=True)
        found[name] = made = json.loads(done.stdout)
        made["speed"] = made["pixels"] / made["seconds"]
        who = "kagglekit, stripes" if name == "stripes" else "pycocotools, whole"
        print(
            f"{who:<20} {made['pixels'] / 1e9:5.2f} Gpx, {made['runs']:,} runs, {made['seconds']:.2f} s, "
            f"{made['speed'] / 1e9:.2f} Gpx/s, peak memory {made['peak'] / 1e9:.2f} GB"
        )
    ratio = found["stripes"]["speed"] / found["whole"]["speed"]
    print(f"  {ratio:.2f} times as fast, {found['stripes']['peak'] / MEMORY:.2f} of the memory allowed")
    return ratio >= 1 and found["stripes"]["peak"] <= MEMORY


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with a train.csv of masks of 1400x2100")
    parser.add_argument("--masks", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--measure", choices=["stripes", "whole"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of pycocotools
    if arguments.measure:
        made = measure_stripes() if arguments.measure == "stripes" else measure_whole()
        print(json.dumps(made | {"peak": 1024 * peak_kib()}))
        return
    good = slide()  # first: the peak memory of a process counts that of its parent at the start
    rng = np.random.default_rng(0)
    sets = {kind.__name__: [kind(rng) for _ in range(arguments.masks)] for kind in (rectangles, blobs)}
    if arguments.data:
        sets["real rows"] = real_rows(arguments.data)
    for name, masks in sets.items():
        quarter = [np.ascontiguousarray(mask[::4, ::4]) for mask in masks]
        assert quarter[0].shape == QUARTER
        good &= compare(name, quarter, arguments.rounds)
        good &= compare(name, masks, arguments.rounds)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
