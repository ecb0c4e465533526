#!/usr/bin/env bash
# imagecodecs.tiff_decode(asrgb=True) mirrors by the TIFF's orientation but never swaps rows and columns.
#
# Expected: the decoder either leaves the stored pixels alone (as with asrgb=False) or applies the orientation in full.
# What happens: with asrgb=True the mirroring part of the tag Orientation is applied, the swap of rows and columns is not.
#   2 to 4 come out right. 5 to 8 come out as 1 to 4 would: 5 unchanged, 6 mirrored left to right,
#   7 turned by a half, 8 mirrored top to bottom. Shape and content fit neither the stored picture nor the shown one.
# Versions: imagecodecs 2026.3.6, tifffile 2026.3.3 (writes the files), numpy 2.4.6.
# Documentation: it says "return decoded image as RGBA32" and nothing of the orientation. libtiff, which does the work,
#   documents that its RGBA reader knows the four mirrored origins only.
# Cost: who then turns by the tag turns twice for 2 to 4 and mirrors wrongly for 5 to 8; who does not has
#   mirrored pictures, so picture and mask no longer match.
# Instead: decode with asrgb=False and apply the whole orientation yourself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imagecodecs==2026.3.6 tifffile==2026.3.3 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import imagecodecs
import numpy as np
import tifffile

print("imagecodecs", imagecodecs.__version__, "tifffile", tifffile.__version__, "numpy", np.__version__)
TURN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def orientation_of(seen, picture):
    for number, turn in TURN.items():
        turned = turn(picture)
        if turned.shape == seen.shape and (turned == seen).all():
            return number
    return "other"


random = np.random.default_rng(0)
gray = random.integers(0, 256, (32, 48), dtype=np.uint8)
colour = random.integers(0, 256, (32, 48, 3), dtype=np.uint8)
for label, picture, photometric in (("gray", gray, "minisblack"), ("colour", colour, "rgb")):
    for layout in ({"rowsperstrip": 8}, {"tile": (16, 16)}):
        result = {True: [], False: []}
        for number in TURN:
            tifffile.imwrite(
                "picture.tif",
                picture,
                photometric=photometric,
                metadata=None,
                extratags=[(274, "H", 1, number, True)],
                **layout,
            )
            data = open("picture.tif", "rb").read()
            shown = imagecodecs.tiff_decode(data, asrgb=True)
            assert shown.shape == (32, 48, 4)
            shown = shown[..., 0] if label == "gray" else shown[..., :3]
            result[True].append(orientation_of(shown, picture))
            result[False].append(orientation_of(imagecodecs.tiff_decode(data), picture))
        print(label, layout, "applied for tags 1 to 8: asrgb", result[True], "plain", result[False])
        assert result == {True: [1, 2, 3, 4, 1, 2, 3, 4], False: [1] * 8}
PYTHON
