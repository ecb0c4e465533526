#!/usr/bin/env bash
# OpenCV turns TIFFs whatever the flags say, and imread gives None for the quarter turns.
#
# Expected: IMREAD_UNCHANGED and IMREAD_IGNORE_ORIENTATION leave the stored pixels as they are, as they do for JPEG,
#   PNG and WebP. And imread(path) gives what imdecode(bytes of that path) gives.
# What happens: in a TIFF the tag Orientation is applied always, with any flag. For the values 5 to 8 (width and height
#   swap) imread fails inside and returns None, unless the picture is square; imdecode of the same bytes
#   returns the turned picture. 8-bit, 16-bit and float pictures all do so.
# Versions: opencv-python-headless 5.0.0.93, pillow 13.0.0 (writes the files), numpy 2.4.6.
# Documentation: it says that both flags ignore the EXIF orientation, and names no exception for TIFF. Issue 10703 and
#   pull request 14609 show how TIFF got its own path, not that the flags are without effect.
# Cost: picture and mask of one scan end up in different orientations if one is a TIFF and the other a PNG read
#   with IMREAD_UNCHANGED; a loader that meets one turned TIFF has None in place of an array.
# Instead: read TIFFs with tifffile, and turn them by the tag yourself, or use imdecode and check for None.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import os

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
import cv2
import numpy as np
import PIL
from PIL import Image

print("opencv", cv2.__version__, "pillow", PIL.__version__, "numpy", np.__version__)
TURN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}
FLAGS = {
    "GRAYSCALE": cv2.IMREAD_GRAYSCALE,
    "UNCHANGED": cv2.IMREAD_UNCHANGED,
    "GRAYSCALE|IGNORE_ORIENTATION": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}
FORMATS = {"jpg": {"quality": 95}, "png": {}, "webp": {"lossless": True}, "tif": {}}


def corners(height, width):
    picture = np.zeros((height, width), np.uint8)
    picture[: height // 2, : width // 2] = 60
    picture[: height // 2, width // 2 :] = 120
    picture[height // 2 :, : width // 2] = 180
    picture[height // 2 :, width // 2 :] = 240
    return picture


def orientation_of(seen, picture):
    if seen is None:
        return None
    seen = (seen if seen.ndim == 2 else seen[..., 0]).astype(int)
    for number, turn in TURN.items():
        turned = turn(picture)
        if turned.shape == seen.shape and np.abs(seen - turned).max() <= 12:
            return number
    return "other"


def table(kind, flag, picture):
    by_path, by_bytes = [], []
    for number in TURN:
        path = f"picture.{kind}"
        exif = Image.Exif()
        exif[274] = number
        extra = {"tiffinfo": {274: number}} if kind == "tif" else {"exif": exif}
        Image.fromarray(picture).save(path, **extra, **FORMATS[kind])
        by_path.append(orientation_of(cv2.imread(path, flag), picture))
        by_bytes.append(orientation_of(cv2.imdecode(np.fromfile(path, np.uint8), flag), picture))
    return by_path, by_bytes


kept, applied = [1] * 8, list(range(1, 9))
failing = [1, 2, 3, 4, None, None, None, None]
print("the orientation applied to a 16 x 24 picture tagged 1 to 8")
for kind in FORMATS:
    for name, flag in FLAGS.items():
        by_path, by_bytes = table(kind, flag, corners(16, 24))
        print(f"{kind:4s} {name:29s} imread {by_path} imdecode {by_bytes}")
        if kind == "tif":
            assert (by_path, by_bytes) == (failing, applied)
        else:
            assert by_path == by_bytes == (applied if name == "GRAYSCALE" else kept)
square = table("tif", cv2.IMREAD_UNCHANGED, corners(16, 16))
print("tif  UNCHANGED, 16 x 16                imread", square[0], "imdecode", square[1])
assert square == (applied, applied)
for dtype in (np.uint16, np.float32):
    picture = corners(16, 24).astype(dtype)
    seen = table("tif", cv2.IMREAD_UNCHANGED, picture)
    print("tif  UNCHANGED,", np.dtype(dtype).name, "imread", seen[0], "imdecode", seen[1])
    assert seen == (failing, applied)
PYTHON
