#!/usr/bin/env bash
# OpenCV for Python cuts int64 and uint64 arrays to 32 bits, so Albumentations loses large labels.
#
# Expected: cv2.flip or A.HorizontalFlip of an int64 label picture returns the same int64 numbers in another order,
#   or raises, as OpenCV does for types that it does not have. (OpenCV 5 itself knows 64-bit integers.)
# What happens: a 64-bit integer array is copied to int32 on the way in, with the upper bits dropped. The result is int32:
#   2**40 + 7 becomes 7, 2**31 becomes negative. No error, no warning. In Albumentations the result's type
#   depends on the transform: Transpose, crops and RandomRotate90 keep int64, flips, resizes and warps do not.
# Versions: opencv-python-headless 5.0.0.93, albumentations 2.0.8 (albucore 0.0.24), numpy 2.4.6.
# Documentation: Albumentations' page on targets says that masks can be any integer type. Its issue 877 reports the mix
#   of int32 and int64, not the lost values. OpenCV's says nothing of it.
# Cost: two cells whose packed or hashed ids share the lower 32 bits become one object, an id of 2**32 becomes
#   background, and batches mix int32 and int64, which a loss in PyTorch refuses.
# Instead: renumber labels to 0..n (numpy.unique with return_inverse) and pass them as int32.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check albumentations==2.0.8 albucore==0.0.24 opencv-python-headless==5.0.0.93 numpy==2.4.6 scipy==1.17.1 pydantic==2.14.4 stringzilla==5.3.2 simsimd==6.5.16 PyYAML==6.0.4

venv/bin/python -I - <<'PYTHON'
import os
import warnings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
warnings.simplefilter("ignore")
import albumentations as A
import cv2
import numpy as np

print("albumentations", A.__version__, "opencv", cv2.__version__, "numpy", np.__version__)
VALUES = [5, 2**31, 2**32, 2**40 + 7]
for dtype in (np.int64, np.uint64):
    row = np.array([VALUES], dtype)
    flipped = cv2.flip(row, 1)
    print(f"cv2.flip of {np.dtype(dtype).name} {VALUES} -> {flipped.dtype} {flipped[0, ::-1].tolist()}")
    assert flipped.dtype == np.int32
    assert flipped[0, ::-1].tolist() == [5, -(2**31), 0, 7]

image = np.zeros((64, 64, 3), np.uint8)
labels = np.zeros((64, 64), np.int64)
labels[8:24, 8:56] = 2**40 + 7
labels[40:56, 8:56] = 7
seen = {}
for transform in (
    A.Transpose(p=1),
    A.RandomRotate90(p=1),
    A.RandomCrop(60, 60),
    A.HorizontalFlip(p=1),
    A.Resize(32, 32),
    A.Affine(rotate=(10, 10), p=1),
):
    result = A.Compose([transform], seed=0)(image=image, mask=labels)["mask"]
    name = type(transform).__name__
    seen[name] = (result.dtype.name, np.unique(result).tolist())
    print(f"A.{name}: int64 {np.unique(labels).tolist()} -> {seen[name][0]} {seen[name][1]}")
kept, cut = ("int64", [0, 7, 2**40 + 7]), ("int32", [0, 7])
assert [seen[n] for n in ("Transpose", "RandomRotate90", "RandomCrop")] == [kept] * 3
assert [seen[n] for n in ("HorizontalFlip", "Resize", "Affine")] == [cut] * 3
PYTHON
