"""A slide of 40,000 x 50,000 pixels through `kk predict`: peak memory, time outside the network, tiles read.

The slide (deflate, tiled) is written tile by tile: irregular pieces of stained tissue on glass, about 30% of the area.
A run of a small network is made first, on drawn data. Then a process of its own predicts the slide; it reports its own
peak memory, the time inside the network, how often each tile was decoded, and how many windows were looked at.

    python tests/benchmarks/slide_predict.py [--height 40000] [--width 50000] [--reduce 4] [--keep DIR]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile

TILE = 512
KK = Path(sys.executable).with_name("kk")


def tissue_map(height: int, width: int) -> np.ndarray:
    """uint8 `[rows, columns]`, one value for each tile: 1 where it shows tissue."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 1, (8, 10)).astype(np.float32)
    smooth = cv2.resize(coarse, (-(-width // TILE), -(-height // TILE)), interpolation=cv2.INTER_CUBIC)
    return (smooth > np.quantile(smooth, 0.7)).astype(np.uint8)


def tiles(height: int, width: int):
    """The tiles of the slide in rows."""
    rng = np.random.default_rng(1)
    glass = np.full((TILE, TILE, 3), 243, np.uint8)
    stained = []
    for _ in range(24):
        noise = cv2.resize(rng.normal(0, 1, (64, 64, 3)).astype(np.float32), (TILE, TILE))
        tile = np.clip(np.array([190, 110, 170]) + 25 * noise + rng.normal(0, 6, (TILE, TILE, 3)), 0, 255)
        for _ in range(3):
            y, x, r = (int(v) for v in rng.integers((80, 80, 40), (TILE - 80, TILE - 80, 80)))
            cv2.circle(tile, (x, y), r, (120, 60, 130), -1)
        stained.append(tile.astype(np.uint8))
    for row in tissue_map(height, width):
        for shown in row:
            yield stained[rng.integers(len(stained))] if shown else glass


def write_slide(path: Path, height: int, width: int) -> None:
    """The slide, never held whole."""
    options = {"tile": (TILE, TILE), "compression": "zlib", "compressionargs": {"level": 1}, "photometric": "rgb"}
    tifffile.imwrite(path, tiles(height, width), shape=(height, width, 3), dtype=np.uint8, bigtiff=True, **options)


def make_run(home: Path, reduce: int) -> str:
    """The folder of a finished run of a small network."""
    settings = [f"settings.reduce={reduce}", "fidelity.image_size=256", "fidelity.epochs=1", "encoder_weights=none"]
    settings += ["encoder=tu-mobilenetv3_small_050", "techniques.random-windows.per_epoch=16"]
    flags = [word for text in settings for word in ("-o", text)]
    flags += ["--without", "epoch-ensemble", "--without", "flip-tta"]
    done = subprocess.run(
        [KK, "run", "glomeruli", "--fidelity", "demo", *flags, "--json"],
        env=environment(home),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)["folder"]


def environment(home: Path) -> dict[str, str]:
    """Nothing is written outside `home`."""
    places = {f"KAGGLEKIT_{name}": str(home / name.lower()) for name in ("RUNS", "CACHE", "SAMPLES")}
    return {**os.environ, **places, "GOMP_SPINCOUNT": "1000"}


def measure(run: str, images: Path, out: Path) -> None:
    """Predict the folder in this process and print what it took as JSON."""
    import resource

    from kagglekit.cli import kk
    from kagglekit.data.readers.slides import Slide
    from kagglekit.predict.infer import Predictor

    inside, windows, decoded = [0.0], [0], {}
    ask, decode = Predictor.__call__, Slide._decode

    def timed(self, windows_in):
        started = time.perf_counter()
        answer = ask(self, windows_in)
        inside[0] += time.perf_counter() - started
        windows[0] += len(windows_in)
        return answer

    def counted(self, part):
        decoded[part.number] = decoded.get(part.number, 0) + 1
        return decode(self, part)

    Predictor.__call__, Slide._decode = timed, counted
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    kk.main(["predict", run, "--images", str(images), "--out", str(out)], standalone_mode=False)
    total = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "peak_gib": used.ru_maxrss / 2**20,
                "seconds": total,
                "inside_network": inside[0],
                "outside_network": total - inside[0],
                "cpu_seconds": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
                "windows": windows[0],
                "tiles": len(decoded),
                "most_reads_of_a_tile": max(decoded.values()),
            }
        )
    )


def main() -> None:
    """Write, train, predict, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=40_000)
    parser.add_argument("--width", type=int, default=50_000)
    parser.add_argument("--reduce", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="a folder to keep slide, run and masks in")
    parser.add_argument("--measure", nargs=3, metavar=("RUN", "IMAGES", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.measure[0], Path(arguments.measure[1]), Path(arguments.measure[2]))
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.keep or Path(temporary)
        slide = home / "slides" / "slide.tiff"
        if not slide.exists():
            slide.parent.mkdir(parents=True, exist_ok=True)
            write_slide(slide, arguments.height, arguments.width)
        print(f"slide: {arguments.height} x {arguments.width}, {slide.stat().st_size / 2**30:.2f} GiB, deflate tiles")
        run = make_run(home, arguments.reduce)
        words = [sys.executable, __file__, "--measure", run, str(slide.parent), str(home / "masks")]
        done = subprocess.run(words, env=environment(home), capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        step = arguments.reduce * 128
        whole = -(-arguments.height // step) * -(-arguments.width // step)
        print(f"peak memory              {found['peak_gib']:.2f} GiB")
        print(
            f"time                     {found['seconds']:.0f} s, outside the network {found['outside_network']:.0f} s"
        )
        print(f"windows looked at        {found['windows']:,} of about {whole:,}")
        print(f"tiles decoded            {found['tiles']:,}, each at most {found['most_reads_of_a_tile']} time(s)")


if __name__ == "__main__":
    main()
