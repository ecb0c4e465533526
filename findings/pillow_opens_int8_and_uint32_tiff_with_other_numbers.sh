#!/usr/bin/env bash
# Pillow opens int8 TIFFs as unsigned and uint32 TIFFs as signed, so the numbers change.
#
# Expected: Image.open of a TIFF gives its numbers, or raises UnidentifiedImageError as it does for
#   float16, float64 and 64-bit integers. int16 and int32 keep their sign.
# What happens: the sample format "signed" of 8-bit data is taken as mode L: -1 becomes 255. uint32 data become
#   mode I, which is signed: 2**32 - 1 becomes -1, in the byte order "<". The byte order ">" of the same
#   uint32 picture is refused. No warning. tifffile and OpenCV give the numbers.
# Versions: pillow 13.0.0, tifffile 2026.3.3 (writes the files), opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Documentation: the release notes say that signed 8-bit TIFFs can be read (pull request 7111) and do not say that the
#   sign is lost. The page on modes says that L is 8 bit and I is signed 32 bit.
# Cost: int8 masks with -1 as "ignore" get a class 255, signed difference pictures wrap, and instance ids above
#   2**31 become negative, so a test "> 0" drops these objects.
# Instead: read numeric TIFFs with tifffile.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 opencv-python-headless==5.0.0.93 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image, UnidentifiedImageError

print("pillow", PIL.__version__, "tifffile", tifffile.__version__, "opencv", cv2.__version__, "numpy", np.__version__)


def by_pillow(dtype, numbers, byteorder):
    array = np.tile(np.array(numbers, dtype), (4, 8))
    tifffile.imwrite("picture.tif", array, photometric="minisblack", byteorder=byteorder)
    assert (tifffile.imread("picture.tif") == array).all()
    assert (cv2.imread("picture.tif", cv2.IMREAD_UNCHANGED) == array).all()
    try:
        image = Image.open("picture.tif")
    except UnidentifiedImageError:
        return "refused"
    return image.mode, np.asarray(image)[0, : len(numbers)].tolist()


CASES = (
    ("int8", [-1, -128, 100], "<", ("L", [255, 128, 100])),
    ("int8", [-1, -128, 100], ">", ("L", [255, 128, 100])),
    ("uint32", [5, 2**31, 2**32 - 1], "<", ("I", [5, -(2**31), -1])),
    ("uint32", [5, 2**31, 2**32 - 1], ">", "refused"),
    ("int16", [-1024, 0, 3000], "<", ("I", [-1024, 0, 3000])),
    ("int32", [-5, 0, 2**31 - 1], "<", ("I", [-5, 0, 2**31 - 1])),
    ("float64", [-1.5, 0, 3], "<", "refused"),
)
for dtype, numbers, byteorder, expected in CASES:
    seen = by_pillow(dtype, numbers, byteorder)
    print(f"{byteorder} {dtype:8s} {numbers} -> Pillow {seen}")
    assert seen == expected, (seen, expected)
PYTHON
