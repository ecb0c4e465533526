#!/usr/bin/env bash
# OpenCV mirrors a tiled 8-bit TIFF tile by tile: each tile is mirrored, but stays where it is.
#
# Expected: a TIFF with Orientation 2 (mirrored) or 3 (half turn) gives the mirrored picture, or with
#   IMREAD_UNCHANGED the stored one. Whether the file is tiled or in strips makes no difference.
# What happens: of a tiled 8-bit file each tile is mirrored left to right within itself, but the tiles are not moved,
#   so the picture is a mosaic of mirrored pieces with jumps at each tile edge. (The up-down part of
#   orientations 3 and 4 is right.) Files in strips and tiled 16-bit files are right. A picture of one
#   tile is right too, so a small test does not show it.
# Versions: opencv-python-headless 5.0.0.93, tifffile 2026.3.3 (writes the files), imagecodecs 2026.3.6, numpy 2.4.6.
# Documentation: nothing on tiles. Pull request 14609 mentions that 8-bit pictures are turned in two steps by two libraries.
# Cost: slides, maps and their masks that carry such a tag are garbage, of the right shape, in silence.
# Instead: read tiled TIFFs with tifffile and turn the array by the tag yourself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import os

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
import cv2
import imagecodecs
import numpy as np
import tifffile

print("opencv", cv2.__version__, "tifffile", tifffile.__version__, "imagecodecs", imagecodecs.__version__, "numpy", np.__version__)
TURN = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1]}
ramp = np.arange(64, dtype=np.uint8)[None] + 64 * np.arange(3, dtype=np.uint8)[:, None].repeat(16, 0)  # 48 x 64


def read(picture, orientation, **layout):
    tifffile.imwrite(
        "picture.tif",
        picture,
        photometric="minisblack",
        compression="zlib",
        metadata=None,
        extratags=[(274, "H", 1, orientation, True)],
        **layout,
    )
    return cv2.imread("picture.tif", cv2.IMREAD_UNCHANGED)


for label, dtype, layout in (
    ("8 bit, strips", np.uint8, {"rowsperstrip": 16}),
    ("8 bit, tiles of 16", np.uint8, {"tile": (16, 16)}),
    ("16 bit, tiles of 16", np.uint16, {"tile": (16, 16)}),
):
    picture = ramp.astype(dtype)
    good = {n: bool((read(picture, n, **layout) == turn(picture)).all()) for n, turn in TURN.items()}
    print(f"{label:20s} right for orientation:", good)
    broken = label == "8 bit, tiles of 16"
    assert good == {1: True, 2: not broken, 3: not broken, 4: True}

assert (read(ramp, 2, tile=(48, 64)) == ramp[:, ::-1]).all()  # one tile holds all
seen = read(ramp, 2, tile=(16, 16))
print("mirrored row should be", ramp[0, ::-1].tolist())
print("row as read is        ", seen[0].tolist())
assert sorted(seen[0].tolist()) == list(range(64))
assert (seen != ramp[:, ::-1]).mean() > 0.5
PYTHON
