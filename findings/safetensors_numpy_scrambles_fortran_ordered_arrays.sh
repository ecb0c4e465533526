#!/usr/bin/env bash
# safetensors 0.8.0 writes Fortran-ordered NumPy arrays with scrambled values and no error.
#
# Expected: save_file of any array keeps its values, or raises, as safetensors.torch does for a tensor
#   that is not contiguous. 0.7.0 keeps the values.
# What happens: safetensors.numpy.save_file and save write the memory as it lies, with the shape of the array as seen.
#   A transposed or Fortran-ordered array comes back with its values in another order.
#   The shape and the type are right, and nothing is raised.
# Versions: safetensors 0.8.0 (wrong), 0.7.0 (right), numpy 2.4.6.
# Documentation: the docstring asks for "contiguous and dense" tensors; a Fortran-ordered array is contiguous in
#   NumPy's words (flags.f_contiguous), and nothing checks it. Known as issue 825, open.
# Cost: weights, masks or class maps that were transposed before saving are garbage, and the file
#   passes every check of names, shapes and types. Arrays from SciPy, scikit-learn and COCO masks
#   are often Fortran-ordered.
# Instead: numpy.ascontiguousarray(array) before saving.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > check.py <<'PYTHON'
import importlib.metadata

import numpy as np
from safetensors.numpy import load, load_file, save, save_file

version = importlib.metadata.version("safetensors")
print("safetensors", version, "numpy", np.__version__)
base = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {"C order": base, "transposed": base.T, "Fortran order": np.asfortranarray(base)}
for name, array in arrays.items():
    save_file({"x": array}, "x.safetensors")
    back = load_file("x.safetensors")["x"]
    same = bool((back == array).all())
    print(f"{name:14s} saved {array.tolist()} loaded {back.tolist()} {'same' if same else 'SCRAMBLED'}")
    assert back.shape == array.shape and back.dtype == array.dtype
    assert same == bool((load(save({"x": array}))["x"] == array).all())
    assert same == (name == "C order" or version == "0.7.0")
    save_file({"x": np.ascontiguousarray(array)}, "x.safetensors")
    assert (load_file("x.safetensors")["x"] == array).all()
PYTHON

for version in 0.7.0 0.8.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.4.6
    "venv-$version/bin/python" -I check.py
done
