#!/usr/bin/env bash
# pydicom's windowing turns black and white around when the Rescale Slope is negative.
#
# Expected: apply_modality_lut gives the real values (for example Hounsfield units) and a window brings
#   them to a display range: a higher value in gives a higher value out, whatever the slope was.
# What happens: apply_windowing (and apply_voi_lut, which calls it) takes the output range from the stored range
#   times the slope. With a negative slope its lower end is above its upper end, so the lowest value
#   gets the largest output: the picture comes out inverted. LINEAR, LINEAR_EXACT and SIGMOID all do.
# Versions: pydicom 3.0.2, numpy 2.4.6.
# Documentation: the docstring says that the modality step must come first, as here. It says nothing of the sign.
#   DICOM does not ask for a positive slope, and such pictures exist (a CR with slope -10 is in a viewer's tracker).
#   We found no report for pydicom.
# Cost: one vendor's pictures in a data set are negatives of all others, in silence.
# Instead: window the rescaled values yourself, np.clip((hu - low) / (high - low), 0, 1),
#   or turn the output around if float(ds.RescaleSlope) < 0.
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
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

print("pydicom", pydicom.__version__, "numpy", np.__version__)
real = np.array([[-800, -100, 40, 100, 900]])
rising = {}
for slope, intercept in ((1, -1024), (-1, 1000)):
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope = slope
    dataset.RescaleIntercept = intercept
    dataset.WindowCenter = 40
    dataset.WindowWidth = 400
    stored = ((real - intercept) // slope).astype(np.uint16)
    units = apply_modality_lut(stored, dataset)
    assert (units == real).all()
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        dataset.VOILUTFunction = function
        shown = apply_windowing(units, dataset)
        assert (apply_voi_lut(units, dataset) == shown).all()
        print(f"slope {slope:2d} {function:12s} {real[0].tolist()} -> {shown[0].round().astype(int).tolist()}")
        rising[slope, function] = bool((np.diff(shown[0]) > 0).all())
        assert rising[slope, function] or (np.diff(shown[0]) < 0).all()
print("rises with the value:", rising)
assert all(up == (slope > 0) for (slope, _), up in rising.items())
PYTHON
