"""Mutated bytes of valid files of every kind that is read: words or right values, no traceback, no hang.

    python tests/benchmarks/reader_fuzz.py [KIND ...] [--mutations 2000] [--seed 0]

Each kind is read in a process of its own, with a limit on its memory and on the time of a case. A line per kind counts
what came of it: refused in words (KagglekitError), read to the same values, read to others (formats without
checksums cannot know), and the faults: other exceptions, deaths (memory, signals), time-outs. It exits with 1 if there
is a fault, or if a format with checksums gave other values.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

MEMORY = 6 << 30  # address space of a reader
SECONDS = 20  # of a case, from which on it counts as a hang
FAULTS = ("traceback", "death", "hang")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Valid bytes with one of the kinds of damage that files meet: flips, runs overwritten, cut, repeated, swapped."""
    out = bytearray(data)
    size = len(out)
    # Headers are short and decide most: half of the damage is near the begin or the end.
    edge = min(size, 512)
    at = int(rng.choice([rng.integers(edge), size - 1 - rng.integers(edge), rng.integers(size), rng.integers(size)]))
    match rng.integers(7):
        case 0:
            for _ in range(rng.integers(1, 4)):
                out[rng.integers(size)] ^= 1 << rng.integers(8)
        case 1:
            out[at] = rng.integers(256)
        case 2:
            run = out[at : at + int(rng.integers(1, 40))]
            out[at : at + len(run)] = rng.bytes(len(run))
        case 3:
            del out[at:]
        case 4:
            del out[at : at + int(rng.integers(1, 20))]
        case 5:
            out[at:at] = out[at : at + int(rng.integers(1, 200))]
        case _:
            # Lengths and counts at their limits.
            limit = rng.choice([0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF])
            out[at : at + 4] = int(limit).to_bytes(4, str(rng.choice(["little", "big"])))
    return bytes(out)


def all_kinds() -> dict:
    """Images first, then all else."""
    from tests.benchmarks.fuzz_kinds import IMAGES
    from tests.benchmarks.fuzz_texts import TEXTS

    return IMAGES | TEXTS


def serve(kind: str, mutations: int, seed: int, begin: int) -> None:
    """Read mutation after mutation and print what came of each; the parent watches the clock."""
    from kagglekit.errors import KagglekitError

    kinds = all_kinds()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    subject = kinds[kind]
    folder = Path(tempfile.mkdtemp())
    path = folder / subject.name
    valid = subject.write(path) or path.read_bytes()
    expected = subject.read(path)
    for number in range(begin, mutations):
        path.write_bytes(mutated(valid, np.random.default_rng((seed, number))))
        try:
            found = subject.read(path)
            told = "same" if found == expected else "other"
        except KagglekitError as error:
            told = "refused" if str(error).strip() else "traceback"
        except Exception as error:
            told = "traceback"
            (folder / f"fault-{number}").write_bytes(path.read_bytes())
            print(f"{kind} {number}: {type(error).__name__}: {error} ({folder}/fault-{number})", file=sys.stderr)
        print(told, flush=True)


def watch(kind: str, mutations: int, seed: int) -> tuple[Counter, float]:
    """Run the reader of a kind to the end, anew after each death and hang; what came of the cases, and the slowest."""
    counts, done, slowest = Counter(), 0, 0.0
    while done < mutations:
        options = ["--serve", kind, "--mutations", str(mutations), "--seed", str(seed), "--begin", str(done)]
        process = subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE)
        first = True
        while done < mutations:
            began = time.monotonic()
            ready = select.select([process.stdout], [], [], SECONDS + 60 * first)[0]
            told = process.stdout.readline().decode().strip() if ready else "hang"
            if told not in ("same", "other", "refused", "traceback"):
                told = told or "death"
                print(f"{kind} {done}: {told} (seed {seed})", file=sys.stderr)
                process.kill()
            slowest = slowest if first else max(slowest, time.monotonic() - began)
            counts[told] += 1
            done, first = done + 1, False
            if told in ("hang", "death"):
                break
        process.stdout.close()
        process.wait()
    return counts, slowest


def main() -> int:
    """Fuzz the kinds asked for and print a table; 1 if a reader is at fault."""
    kinds = all_kinds()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=list(kinds))
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve")
    parser.add_argument("--begin", type=int, default=0)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.mutations, options.seed, options.begin)
        return 0
    failed, total = False, Counter()
    for kind in options.kinds:
        began = time.monotonic()
        counts, slowest = watch(kind, options.mutations, options.seed)
        bad = any(counts[f] for f in FAULTS) or (kinds[kind].checked and counts["other"])
        failed, total = failed or bool(bad), total + counts
        row = {"kind": kind, **counts, "slowest_s": round(slowest, 2), "s": round(time.monotonic() - began, 1)}
        print(("BAD " if bad else "ok  ") + json.dumps(row), flush=True)
    print("total", json.dumps(total))
    return int(failed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
