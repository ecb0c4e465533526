#!/usr/bin/env bash
# Pillow scrambles an uncompressed TIFF that carries a turned orientation, if it is opened by its path.
#
# Expected: a TIFF with the tag Orientation 5, 6, 7 or 8 gives the same pixels from a path,
#   from the same bytes in memory and from a compressed copy. Pillow turns TIFFs when it loads them.
# What happens: opened by a path, an uncompressed one-strip file of mode L, P, I;16, CMYK or RGBA
#   is read with width and height swapped. Rows are cut at the wrong length, so the pixels are
#   scrambled, and the size goes back to the unturned one. The same bytes from BytesIO, the LZW copy
#   and mode RGB are right. Orientations 2 to 4 are right everywhere. The fast path by memory mapping
#   uses the size after the turn for data stored before the turn. No error, no warning.
# Versions: pillow 13.0.0, numpy 2.4.6.
# Documentation: ImageOps.exif_transpose and the TIFF page do not speak of it. The tracker has the turning
#   of TIFFs on load (pull requests 4063 and 7383), and we found no report of this case.
# Cost: masks and 16-bit scans that a scanner or a phone has tagged are garbage of the right type,
#   and image.size seen before load differs from the array's shape.
# Instead: open the file as Image.open(io.BytesIO(path.read_bytes())), or read it with tifffile.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import io

import numpy as np
import PIL
from PIL import Image, ImageOps

print("pillow", PIL.__version__, "numpy", np.__version__)
TURN = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def picture(mode):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    if mode == "I;16":
        return Image.fromarray(values.astype(np.uint16) * 1000)
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (4, 3), values.repeat(bands).tobytes())
    if mode == "P":
        image.putpalette([v for v in range(256) for _ in range(3)])
    return image


def right(image, stored, orientation):
    expected = TURN[orientation](stored)
    seen = np.asarray(image)
    return seen.shape == expected.shape and bool((seen == expected).all())


for mode in ("L", "P", "I;16", "CMYK", "RGBA", "RGB"):
    image = picture(mode)
    assert image.mode == mode
    stored = np.asarray(image)
    wrong = []
    for orientation in TURN:
        image.save("plain.tif", tiffinfo={274: orientation})
        image.save("lzw.tif", tiffinfo={274: orientation}, compression="tiff_lzw")
        memory = io.BytesIO(open("plain.tif", "rb").read())
        assert right(Image.open(memory), stored, orientation)
        assert right(Image.open("lzw.tif"), stored, orientation)
        opened = Image.open("plain.tif")
        before = opened.size
        opened.load()
        if not right(opened, stored, orientation):
            wrong.append(orientation)
            assert before == (3, 4) and opened.size == (4, 3)
            # The helper made for orientations does not help.
            assert not right(ImageOps.exif_transpose(Image.open("plain.tif")), stored, orientation)
    print(f"mode {mode}: wrong from a path for orientations {wrong}")
    assert wrong == ([] if mode == "RGB" else [5, 6, 7, 8])

picture("L").save("plain.tif", tiffinfo={274: 6})
print("stored rows          ", np.asarray(picture("L")).tolist())
print("orientation 6, memory", np.asarray(Image.open(io.BytesIO(open("plain.tif", "rb").read()))).tolist())
seen = np.asarray(Image.open("plain.tif")).tolist()
print("orientation 6, path  ", seen)
assert seen == [[9, 6, 3, 0], [10, 7, 4, 1], [11, 8, 5, 2]]
PYTHON
