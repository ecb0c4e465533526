"""Mean IoU of a hair-seg submission without kagglekit: python independent_score.py SUBMISSION ANSWERS."""

import json
import sys

import numpy as np
from PIL import Image, ImageDraw


def masks(path):
    """File name -> bool [512, 512]; three points at one place are how an empty mask is written."""
    found = {}
    for entry in json.load(open(path, encoding="utf-8"))["annotations"]:  # noqa: SIM115, PTH123 - a plain script
        points = [(p["x"], p["y"]) for p in entry["polygon1"]]
        canvas = Image.new("L", (512, 512))
        if len(set(points)) > 1:
            ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
        found[entry["file_name"]] = np.array(canvas) > 0
    return found


def score(submission, answers):
    """The mean over the images of `answers`; two empty masks agree fully."""
    guesses, truths = masks(submission), masks(answers)
    return np.mean(
        [(g & t).sum() / (g | t).sum() if (g | t).any() else 1.0 for n, t in truths.items() for g in [guesses[n]]]
    )


if __name__ == "__main__":
    print(f"{score(*sys.argv[1:3]):.10f}")
