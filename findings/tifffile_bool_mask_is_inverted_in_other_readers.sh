#!/usr/bin/env bash
# tifffile writes a bool mask as "0 is white", so Pillow and OpenCV read it inverted.
#
# Expected: tifffile.imwrite("mask.tif", mask) of a bool mask gives a file in which True is white,
#   like the uint8 mask of 0 and 255. Any reader gives back the object as set pixels.
# What happens: for bool data the default of photometric is MINISWHITE (0 is white, 1 is black).
#   tifffile reads the bits back as they are, so a round trip looks right. Pillow and OpenCV
#   obey the tag and give the background as set. Integer masks get MINISBLACK.
# Versions: tifffile 2026.3.3, pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Documentation: imwrite's parameter list says that photometric is inferred from shape and dtype, and what both names
#   mean. It does not say that bool gives MINISWHITE. That reading never inverts is documented.
# Cost: a mask folder written with tifffile and read with another library is its own negative,
#   so a model learns the background, or a score is near 0.
# Instead: imwrite(path, mask, photometric="minisblack"), or write mask.astype("uint8") * 255.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tifffile==2026.3.3 pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("tifffile", tifffile.__version__, "pillow", PIL.__version__, "opencv", cv2.__version__, "numpy", np.__version__)
mask = np.zeros((4, 8), bool)
mask[1:3, 2:5] = True


def readers(path):
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].photometric.name
    seen = {
        "tifffile": tifffile.imread(path) != 0,
        "pillow": np.asarray(Image.open(path)) != 0,
        "opencv": cv2.imread(path, cv2.IMREAD_UNCHANGED) != 0,
    }
    return tag, {
        name: "right" if (a == mask).all() else "inverted" if (a == ~mask).all() else "other"
        for name, a in seen.items()
    }


tifffile.imwrite("bool.tif", mask)
tifffile.imwrite("uint8.tif", mask.astype(np.uint8) * 255)
tifffile.imwrite("chosen.tif", mask, photometric="minisblack")
for path in ("bool.tif", "uint8.tif", "chosen.tif"):
    print(path, *readers(path))
assert readers("bool.tif") == ("MINISWHITE", {"tifffile": "right", "pillow": "inverted", "opencv": "inverted"})
assert set(readers("uint8.tif")[1].values()) == {"right"}
assert readers("chosen.tif") == ("MINISBLACK", {"tifffile": "right", "pillow": "right", "opencv": "right"})
PYTHON
