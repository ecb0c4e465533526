"""`object-paste` on real images: milliseconds per image beside the plain distortions of the recycling contest.

Both are called in turn on the same decoded images with the same seeds, `--rounds` times each; printed are the medians
over the rounds and the ratios of neighbouring rounds. The bank is built once per run and timed apart. Every pasted
image is compared with the one before: pixels outside the alpha are untouched, those inside are the object's, black
ones too, and labels change under the alpha alone.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from kagglekit.cli.common import compose_recipe, registry
from kagglekit.data.fingerprint import fingerprint
from kagglekit.data.loader import distort
from kagglekit.data.store import open_store
from kagglekit.plugin.solution import resolve


def solution_of(pixels: int, *techniques: str, **settings):
    changes = [f"fidelity.image_size={pixels}", "encoder_weights=none"]
    changes += [f"techniques.{name}.{key}={value}" for name in techniques for key, value in settings.items()]
    recipe, _, _ = compose_recipe(registry(), "recycling", "demo", techniques, (), changes, None)
    return resolve(recipe, registry())


def check_pastes(pasted, pairs, count: int) -> tuple[int, int]:
    """(images that got an object, black pixels of objects that are there); AssertionError for any stray pixel.

    The object is drawn again from the same seed; where it was put is found by looking at every possible place.
    """
    placed = black = 0
    for seed in range(count):
        image, mask = pairs[seed % len(pairs)]
        pasted.set_random_seed(seed)
        new, labels = pasted.change(image, mask)
        if new is image:
            continue
        pasted.set_random_seed(seed)
        one = pasted._moved(pasted.bank.draw(pasted.rng), image.shape[:2])
        alpha = one.alpha.astype(bool)
        changed = (new != image).any(-1) | (labels != mask)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        spans = [
            range(max(0, found[-1] - side + 1), min(found[0], whole - side) + 1)
            for found, side, whole in zip((rows, columns), alpha.shape, mask.shape, strict=True)
        ]
        best = None
        for top, left in itertools.product(*spans):
            window = slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1])
            if (new[window][alpha] == one.image[alpha]).all() and (labels[window][alpha] == one.mask[alpha]).all():
                best = window
        assert best is not None, "the object is not where pixels changed"
        outside = np.ones(mask.shape, bool)
        outside[best] = ~alpha
        assert np.array_equal(new[outside], image[outside]) and np.array_equal(labels[outside], mask[outside])
        black += int((one.image[alpha] == 0).all(-1).sum())
        placed += 1
    return placed, black


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of the recycling competition")
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--p", type=float, nargs="+", default=(0.15, 0.5, 1.0))
    arguments = parser.parse_args()
    cv2.setNumThreads(0)  # as in the processes of a loader

    plain = solution_of(arguments.pixels)
    dataset = plain.dataset(arguments.data)
    samples = dataset.train
    with tempfile.TemporaryDirectory() as cache:
        mark = fingerprint(arguments.data, dataset.files)
        store = open_store(Path(cache), mark, dataset, arguments.pixels, "multiclass", 12)
        store.fill(dataset, samples)
        pairs = [store.read(sample) for sample in samples]
        before = plain.augment(dataset, samples, store)
        print(f"{len(pairs)} images of {arguments.pixels} pixels")
        for p in arguments.p:
            solution = solution_of(arguments.pixels, "object-paste", p=p)
            started = time.perf_counter()
            after = solution.augment(dataset, samples, store)
            built, count = time.perf_counter() - started, sum(map(len, after.bank.objects.values()))
            size = sum(one.bytes for objects in after.bank.objects.values() for one in objects)
            ratios, taken = [], ([], [])
            for round in range(arguments.rounds):
                for which, augment in enumerate((before, after)):
                    started = time.perf_counter()
                    for at, (image, mask) in enumerate(pairs):
                        distort(augment, image, mask, (0, round, at))
                    taken[which].append((time.perf_counter() - started) / len(pairs) * 1e3)
                ratios.append(taken[1][-1] / taken[0][-1])
            plainly, pasting = (statistics.median(times) for times in taken)
            print(
                f"p {p}: plain {plainly:.2f} ms, with object-paste {pasting:.2f} ms, "
                f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
                f"bank of {count} objects, {size / 2**20:.0f} MiB, in {built:.1f} s",
                flush=True,
            )
        placed, black = check_pastes(after, pairs, 60)
        print(f"{placed} of 60 got an object; pixels and labels are where they belong, {black} black ones too")


if __name__ == "__main__":
    main()
