"""Mean Dice of a glomeruli submission without kagglekit: python independent_score.py SUBMISSION ANSWERS TEST_FOLDER."""

import csv
import sys
from pathlib import Path

import numpy as np
import tifffile

csv.field_size_limit(10**9)


def masks(path, sizes):
    """Slide -> bool [height * width] in column order, from run lengths that count from 1."""
    found = {}
    with open(path, newline="") as file:  # noqa: PTH123 - a plain script
        for row in csv.DictReader(file):
            numbers = [int(n) for n in row["predicted"].split()]
            flat = np.zeros(sizes[row["id"]], bool)
            for start, length in zip(numbers[::2], numbers[1::2], strict=True):
                flat[start - 1 : start - 1 + length] = True
            found[row["id"]] = flat
    return found


def score(submission, answers, folder):
    """The mean over the slides of `answers`; two empty masks agree fully."""
    sizes = {p.stem: tifffile.imread(p).size // 3 for p in Path(folder).glob("*.tiff")}  # of three channels
    guesses, truths = masks(submission, sizes), masks(answers, sizes)
    dices = []
    for name, truth in truths.items():
        both = truth.sum() + guesses[name].sum()
        dices.append(1.0 if both == 0 else 2 * (truth & guesses[name]).sum() / both)
    return float(np.mean(dices))


if __name__ == "__main__":
    print(f"{score(*sys.argv[1:4]):.10f}")
