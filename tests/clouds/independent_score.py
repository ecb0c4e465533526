"""Mean Dice of a clouds submission without kagglekit: python independent_score.py SUBMISSION ANSWERS."""

import csv
import sys

import numpy as np

csv.field_size_limit(10**9)


def masks(path, height, width):
    """Image_Label -> bool [height, width], from run lengths down the columns that count from 1."""
    found = {}
    with open(path, newline="") as file:  # noqa: PTH123 - a plain script
        for row in csv.DictReader(file):
            numbers = [int(n) for n in row["EncodedPixels"].split()]
            flat = np.zeros(height * width, bool)
            for start, length in zip(numbers[::2], numbers[1::2], strict=True):
                flat[start - 1 : start - 1 + length] = True
            found[row["Image_Label"]] = flat.reshape(width, height).T
    return found


def score(submission, answers):
    """The mean over all rows of `answers`, whose every fourth pixel is compared; two empty masks agree fully."""
    guesses, truths = masks(submission, 350, 525), masks(answers, 1400, 2100)
    dices = []
    for name, large in truths.items():
        truth, guess = large[::4, ::4], guesses[name]
        both = truth.sum() + guess.sum()
        dices.append(1.0 if both == 0 else 2 * (truth & guess).sum() / both)
    return float(np.mean(dices))


if __name__ == "__main__":
    print(f"{score(*sys.argv[1:3]):.10f}")
