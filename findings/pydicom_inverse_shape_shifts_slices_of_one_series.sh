#!/usr/bin/env bash
# pydicom inverts each picture by its own largest value, so two slices of one series do not match.
#
# Expected: Presentation LUT Shape INVERSE turns the full range around, by bits stored (12 bits: 4095 - value)
#   or by the range of the window, so equal values stay equal in all slices of a series.
# What happens: pydicom.pixels.apply_presentation_lut computes arr.max() - arr. The same tissue gets another
#   number in each slice, as the brightest pixel of that slice decides. A Presentation LUT Sequence
#   is also scaled by the smallest and largest value of the array in hand.
# Versions: pydicom 3.0.2, numpy 2.4.6.
# Documentation: the docstring says that the array becomes P-values. It does not say that the range is taken
#   from the array. The tracker (issue 1265, pull request 2080) does not speak of it.
# Cost: a volume or a data set of X-rays inverted so flickers from slice to slice, and a threshold or
#   a normalisation learned on one slice is wrong on the next. A tile of a picture differs from the whole.
# Instead: invert by the known range: (2 ** BitsStored - 1) - arr, or y_min + y_max - arr after windowing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_presentation_lut

print("pydicom", pydicom.__version__, "numpy", np.__version__)


def tags():
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.PixelRepresentation = 0
    return dataset


# The first three pixels are the same in both slices; only the brightest differs.
first = np.array([[0, 100, 500, 1000]], np.uint16)
second = np.array([[0, 100, 500, 3000]], np.uint16)

inverse = tags()
inverse.PresentationLUTShape = "INVERSE"
a = apply_presentation_lut(first, inverse)
b = apply_presentation_lut(second, inverse)
print("slice 1 in ", first.tolist(), "INVERSE ->", a.tolist())
print("slice 2 in ", second.tolist(), "INVERSE ->", b.tolist())
print("by 12 bits stored the first three would be", (4095 - first[:, :3].astype(int)).tolist(), "in both")
assert a.tolist() == [[1000, 900, 500, 0]]
assert b.tolist() == [[3000, 2900, 2500, 0]]

table = tags()
item = Dataset()
item.LUTDescriptor = [4096, 0, 12]
item.add_new(0x00283006, "US", list(range(4096)))  # the table that changes nothing
table.PresentationLUTSequence = [item]
a = apply_presentation_lut(first, table)
b = apply_presentation_lut(second, table)
print("slice 1, table that maps each value to itself ->", a.tolist())
print("slice 2, table that maps each value to itself ->", b.tolist())
assert a.tolist() != b.tolist()
assert a[0, -1] == b[0, -1] == 4095
PYTHON
