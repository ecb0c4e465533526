#!/usr/bin/env bash
# Albumentations takes bool masks in flips, crops and resizes, and fails on them in every warp.
#
# Expected: a pipeline either takes a bool mask or refuses it at once, the same for all geometric transforms.
# What happens: with a bool mask Resize, RandomResizedCrop, flips, Transpose, crops and padding return a right bool mask.
#   Affine, Rotate, SafeRotate, ShiftScaleRotate, Perspective, ElasticTransform, GridDistortion,
#   OpticalDistortion and ThinPlateSpline raise cv2.error about an unsupported type. As transforms are
#   drawn by chance, a pipeline works until one of them is drawn. uint32 and float16 masks do the same.
# Versions: albumentations 2.0.8 (albucore 0.0.24), opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Documentation: the page on targets says that masks can be any integer type, which holds for int32 and not for uint32;
#   it says nothing of bool and float16. We found no report of it in the tracker.
# Cost: a training run with p=0.1 warps dies in a data worker minutes or hours after its start.
# Instead: pass mask.astype("uint8") (or int32 for many labels) and turn it back after the pipeline.
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
PLAIN = {
    "Resize": A.Resize(32, 32),
    "RandomResizedCrop": A.RandomResizedCrop((32, 32), p=1),
    "RandomCrop": A.RandomCrop(32, 32),
    "HorizontalFlip": A.HorizontalFlip(p=1),
    "VerticalFlip": A.VerticalFlip(p=1),
    "Transpose": A.Transpose(p=1),
    "RandomRotate90": A.RandomRotate90(p=1),
    "PadIfNeeded": A.PadIfNeeded(80, 80),
}
WARPS = {
    "Affine": A.Affine(rotate=(10, 10), p=1),
    "Rotate": A.Rotate((20, 20), p=1),
    "SafeRotate": A.SafeRotate((20, 20), p=1),
    "ShiftScaleRotate": A.ShiftScaleRotate(p=1),
    "Perspective": A.Perspective(p=1),
    "ElasticTransform": A.ElasticTransform(p=1),
    "GridDistortion": A.GridDistortion(p=1),
    "OpticalDistortion": A.OpticalDistortion(p=1),
    "ThinPlateSpline": A.ThinPlateSpline(p=1),
}
image = np.zeros((64, 64, 3), np.uint8)


def outcome(transform, dtype):
    mask = np.zeros((64, 64), dtype)
    mask[16:48, 10:40] = 1
    try:
        result = A.Compose([transform], seed=0)(image=image, mask=mask)["mask"]
    except cv2.error as error:
        return "raises " + str(error).strip().splitlines()[-1].strip()
    assert result.dtype == mask.dtype and set(np.unique(result)) <= {0, 1}
    return "works"


for dtype in (np.uint8, np.int32, np.float32, bool, np.uint32, np.float16):
    plain = {name: outcome(t, dtype) for name, t in PLAIN.items()}
    warps = {name: outcome(t, dtype) for name, t in WARPS.items()}
    failing = [name for name, text in warps.items() if text != "works"]
    print(f"{np.dtype(dtype).name:8s} plain: all work; warps that raise:", failing or "none")
    assert set(plain.values()) == {"works"}
    assert failing == ([] if dtype in (np.uint8, np.int32, np.float32) else list(WARPS))
print("Affine, bool mask:", outcome(WARPS["Affine"], bool))
PYTHON
