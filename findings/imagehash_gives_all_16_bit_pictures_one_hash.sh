#!/usr/bin/env bash
# ImageHash gives every ordinary 16-bit gray picture the same hash, as Pillow cuts at 255.
#
# Expected: perceptual hashes of unlike 16-bit pictures (X-ray, microscopy, satellite) differ as those of 8-bit copies do.
# What happens: each hash first calls image.convert("L"). For mode I;16 Pillow does not scale to 8 bits, it cuts at 255.
#   A picture whose values lie above 255 becomes all white: phash, average_hash, dhash and whash are the same
#   for all such pictures, with distance 0. Mode I (32 bits) is cut too.
# Versions: ImageHash 4.3.2, pillow 13.0.0, numpy 2.4.6, scipy 1.17.1, PyWavelets 1.9.0.
# Documentation: ImageHash's names no limit to 8 bits. Pillow's tracker knows the cut (issue 1108); ImageHash's issue 134
#   explains equal hashes of one-coloured pictures and does not speak of 16 bits.
# Cost: a search for near-duplicates reports a whole 16-bit data set as copies of one picture; a split by hash
#   puts all into one fold; a clean-up by hash deletes all but one.
# Instead: scale to 8 bits first, by a range common to all: Image.fromarray((array >> 8).astype("uint8")).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ImageHash==4.3.2 pillow==13.0.0 numpy==2.4.6 scipy==1.17.1 PyWavelets==1.9.0

venv/bin/python -I - <<'PYTHON'
import imagehash
import numpy as np
import PIL
from PIL import Image

print("ImageHash", imagehash.__version__, "pillow", PIL.__version__, "numpy", np.__version__)
rows, columns = np.mgrid[:128, :128]
pictures = {
    "ramp": (1000 + 400 * columns).astype(np.uint16),
    "disc": np.where(np.hypot(rows - 64, columns - 64) < 30, 50000, 1000).astype(np.uint16),
    "noise": np.random.default_rng(0).integers(1000, 60000, (128, 128)).astype(np.uint16),
}
for name, array in pictures.items():
    Image.fromarray(array).save(name + ".png")
    image = Image.open(name + ".png")
    assert image.mode == "I;16" and (np.asarray(image) == array).all()
    assert np.unique(np.asarray(image.convert("L"))).tolist() == [255]
for function in (imagehash.phash, imagehash.average_hash, imagehash.dhash, imagehash.whash):
    deep = [function(Image.open(name + ".png")) for name in pictures]
    wide = [function(Image.fromarray(array.astype(np.int32))) for array in pictures.values()]
    small = [function(Image.fromarray((array >> 8).astype(np.uint8))) for array in pictures.values()]
    print(f"{function.__name__:12s} 16 bit {[str(h) for h in deep]}, scaled to 8 bit {[str(h) for h in small]}")
    assert len(set(map(str, deep))) == 1 and deep[0] - deep[1] == 0
    assert len(set(map(str, wide))) == 1
    assert len(set(map(str, small))) == 3
PYTHON
