"""Time and peak memory to group many 64-bit hashes, planted groups among them, and whether the groups are found."""

import argparse
import resource
import time

import numpy as np

from kagglekit.data.duplicates import group


def planted(count: int, share: float, bits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(hashes, group of each): random ones, `share` of them copies of others with at most `bits` bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 1 << 64, count, np.uint64, endpoint=False)
    of = np.arange(count)
    copies = int(share * count)
    source = rng.integers(0, count - copies, copies)
    for at, origin in zip(range(count - copies, count), source, strict=True):
        flipped = rng.choice(64, rng.integers(0, bits + 1), replace=False)
        hashes[at] = hashes[origin] ^ np.bitwise_or.reduce(np.uint64(1) << flipped.astype(np.uint64), initial=0)
        of[at] = origin
    return hashes, of


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--distance", type=int, default=8)
    arguments = parser.parse_args()
    hashes, of = planted(arguments.count, arguments.share, arguments.distance)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started = time.perf_counter()
    labels = group(hashes, arguments.distance)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    together = float((labels == labels[of]).mean())
    print(f"{arguments.count} hashes within {arguments.distance} bits grouped in {seconds:.1f} s")
    print(f"peak memory {peak:.2f} GiB ({before:.2f} before)")
    print(f"{len(np.unique(of))} groups planted, {len(np.unique(labels))} found; {together:.2%} with their origin")


if __name__ == "__main__":
    main()
