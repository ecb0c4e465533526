"""mIoU of a recycling submission over the data set, without kagglekit: independent_score.py SUBMISSION ANSWERS."""

import csv
import json
import sys

import numpy as np
from pycocotools import mask as coco

csv.field_size_limit(10**9)


def truths(path):
    """File name -> label map [256, 256] of the second edition: smaller objects lie on larger ones."""
    document = json.load(open(path, encoding="utf-8"))  # noqa: SIM115, PTH123 - a plain script
    maps = {}
    for image in document["images"]:
        labels = np.zeros((image["height"], image["width"]), int)
        objects = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        for one in sorted(objects, key=lambda a: a["area"], reverse=True):
            parts = coco.frPyObjects(one["segmentation"], image["height"], image["width"])
            labels[coco.decode(coco.merge(parts)) > 0] = one["category_id"]
        maps[image["file_name"]] = labels[::2, ::2]
    return maps


def score(submission, answers):
    """The mean over the classes that occur in truth or prediction, background included."""
    hits, either = np.zeros(11), np.zeros(11)
    known = truths(answers)
    with open(submission, newline="") as file:  # noqa: PTH123
        for row in csv.DictReader(file):
            guess = np.array([int(n) for n in row["PredictionString"].split()]).reshape(256, 256)
            truth = known[row["image_id"]]
            for k in range(11):
                hits[k] += ((truth == k) & (guess == k)).sum()
                either[k] += ((truth == k) | (guess == k)).sum()
    return float((hits[either > 0] / either[either > 0]).mean())


if __name__ == "__main__":
    print(f"{score(*sys.argv[1:3]):.10f}")
