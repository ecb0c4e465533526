"""Time and peak memory to index a labels.json of contest size, in a process of its own."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write(root: Path, entries: int, points: int) -> int:
    """A contest folder, its images empty (the index looks at names only); returns the bytes of the labels."""
    rng = np.random.default_rng(0)
    for part in ("task02_train", "task02_test"):
        (root / part / "images").mkdir(parents=True)
    with (root / "task02_train" / "labels.json").open("w") as stream:
        stream.write('{"annotations": [')
        for i in range(entries):
            angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
            radii = 120 + 30 * rng.random(points)
            xs = (256 + radii * np.cos(angles)).astype(int).tolist()
            ys = (256 + radii * np.sin(angles)).astype(int).tolist()
            polygon = ", ".join(f'{{"x": {x}, "y": {y}}}' for x, y in zip(xs, ys, strict=True))
            stream.write((", " if i else "") + f'{{"file_name": "P{i // 4:06d}-{i % 4}.jpg", "polygon1": [{polygon}]}}')
            (root / "task02_train" / "images" / f"P{i // 4:06d}-{i % 4}.jpg").touch()
        stream.write("]}")
    (root / "task02_test" / "images" / "T0.jpg").touch()
    sample = {"annotations": [{"file_name": "T0.jpg", "polygon1": [{"x": 0, "y": 0}] * 3}]}
    (root / "task02_test" / "sample_submission.json").write_text(json.dumps(sample))
    return (root / "task02_train" / "labels.json").stat().st_size


def measure(root: str) -> None:
    """Index and print seconds and GiB."""
    from kagglekit_hair_seg.contest import Settings
    from kagglekit_hair_seg.dataset import read

    started = time.perf_counter()
    dataset = read(Path(root), Settings())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(dataset.train)} entries indexed in {seconds:.1f} s, peak memory {peak:.2f} GiB with the map")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=196_058)
    parser.add_argument("--points", type=int, default=121)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        size = write(root, arguments.entries, arguments.points)
        print(f"labels.json: {size / 1e6:.0f} MB")
        subprocess.run([sys.executable, __file__, "--measure", str(root)], check=True, env={**os.environ})


if __name__ == "__main__":
    main()
