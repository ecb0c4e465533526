#!/usr/bin/env bash
# Pillow fills an empty tile of a sparse TIFF with the first bytes of the file instead of zeros.
#
# Expected: a tile with offset 0 and byte count 0 is one that was not written because it is empty (GDAL's SPARSE_OK,
#   slide scanners, tifffile's writer for a tile given as None). A reader gives zeros, or an error.
# What happens: if the tiles are uncompressed, Pillow reads from offset 0 and shows the TIFF header, the directory and other
#   tiles as pixels. No error, no warning. If the tiles are compressed, it raises OSError.
#   tifffile gives zeros in both cases. OpenCV gives None in both.
# Versions: pillow 13.0.0, tifffile 2026.3.3, opencv-python-headless 5.0.0.93, imagecodecs 2026.3.6, numpy 2.4.6.
# Documentation: Pillow's says nothing of sparse files. GDAL documents them. They are a convention beside the TIFF 6.0 text,
#   which does not know them, so an error would be fair, and pixels from elsewhere are not.
# Cost: empty background of slides, maps and label pictures gets random labels, near 73 73 42 0 ("II*") at each corner.
# Instead: read tiled TIFFs with tifffile, or refuse a file whose TileByteCounts hold a 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import os

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

print("pillow", PIL.__version__, "tifffile", tifffile.__version__, "opencv", cv2.__version__, "numpy", np.__version__)
full = np.random.default_rng(0).integers(100, 200, (3, 16, 16), dtype=np.uint8)


def write(path, compression):
    tiles = iter([full[0], full[1], None, full[2]])  # the lower left tile is empty
    tifffile.imwrite(
        path,
        tiles,
        shape=(32, 32),
        dtype=np.uint8,
        tile=(16, 16),
        photometric="minisblack",
        compression=compression,
        byteorder="<",
        metadata=None,
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        print(path, "offsets", page.dataoffsets, "byte counts", page.databytecounts)
        assert page.dataoffsets[2] == page.databytecounts[2] == 0


write("plain.tif", None)
write("zlib.tif", "zlib")
for path in ("plain.tif", "zlib.tif"):
    assert (tifffile.imread(path)[16:, :16] == 0).all()
    assert cv2.imread(path, cv2.IMREAD_UNCHANGED) is None
seen = np.asarray(Image.open("plain.tif"))
header = np.fromfile("plain.tif", np.uint8)[:256].reshape(16, 16)
print("Pillow, empty tile, first row:", seen[16, :16].tolist())
print("first bytes of the file:      ", header[0].tolist())
assert (seen[16:, :16] == header).all()
assert (seen[:16, :16] == full[0]).all() and (seen[16:, 16:] == full[2]).all()
try:
    Image.open("zlib.tif").load()
except OSError as error:
    print("Pillow, compressed tiles: OSError:", error)
else:
    raise AssertionError("the compressed sparse file was read")
PYTHON
