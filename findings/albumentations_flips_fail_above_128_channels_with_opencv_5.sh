#!/usr/bin/env bash
# With OpenCV 5, Albumentations' flips fail on more than 128 channels; resizes and warps do not.
#
# Expected: a transform that took a hyperspectral picture or a stack of 200 class masks before takes it with the
#   newer OpenCV too. albumentations 2.0.8 accepts any OpenCV from 4.9, version 5 included.
# What happens: OpenCV 5 lowered the largest number of channels from 512 to 128. Albumentations (through albucore) splits
#   an array for flips only above the old limit of 512, into pieces of 512. So HorizontalFlip and
#   VerticalFlip raise above 128 channels, for pictures and for masks. Resize, Affine, PadIfNeeded and
#   Transpose work. With OpenCV 4.12 all work, above 512 channels too.
# Versions: albumentations 2.0.8 (albucore 0.0.24), opencv-python-headless 5.0.0.93 (fails), 4.12.0.88 (works),
#   numpy 2.2.6.
# Documentation: Albumentations' names no limit of channels. OpenCV's issue 29586 reports the new limit for other
#   functions. The error speaks of dimensions, not of channels.
# Cost: an upgrade of OpenCV stops a training run on the first flip that is drawn, often in a data worker.
# Instead: stay with OpenCV 4, or flip such arrays with NumPy (array[:, ::-1]) in a Lambda transform.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > check.py <<'PYTHON'
import os
import warnings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
warnings.simplefilter("ignore")
import albumentations as A
import cv2
import numpy as np

print("albumentations", A.__version__, "opencv", cv2.__version__, "numpy", np.__version__)
TRANSFORMS = {
    "HorizontalFlip": A.HorizontalFlip(p=1),
    "VerticalFlip": A.VerticalFlip(p=1),
    "Resize": A.Resize(16, 16),
    "Affine": A.Affine(rotate=(9, 9), p=1),
    "PadIfNeeded": A.PadIfNeeded(40, 40),
    "Transpose": A.Transpose(p=1),
}


def failing(channels, target):
    stack = np.random.default_rng(0).integers(0, 2, (32, 32, channels), dtype=np.uint8)
    names = []
    for name, transform in TRANSFORMS.items():
        data = {"image": np.zeros((32, 32, 3), np.uint8), target: stack}
        try:
            result = A.Compose([transform], seed=0)(**data)[target]
        except cv2.error as error:
            names.append(name)
            message = str(error).strip().splitlines()[-1]
            assert "flip" in message, message
            continue
        assert result.shape[-1] == channels
        if name == "HorizontalFlip":
            assert (result == stack[:, ::-1]).all()
    return names


broken = cv2.__version__.startswith("5")
for target in ("mask", "image"):
    for channels in (128, 129, 512, 513):
        names = failing(channels, target)
        print(f"{target:5s} of {channels} channels: fails in", names or "none")
        assert names == (["HorizontalFlip", "VerticalFlip"] if broken and channels > 128 else [])
PYTHON

for version in 4.12.0.88 5.0.0.93; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet --disable-pip-version-check albumentations==2.0.8 albucore==0.0.24 "opencv-python-headless==$version" numpy==2.2.6 scipy==1.17.1 pydantic==2.14.4 stringzilla==5.3.2 simsimd==6.5.16 PyYAML==6.0.4
    "venv-$version/bin/python" -I check.py
done
