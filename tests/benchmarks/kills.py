"""`kill -9` at many moments of a run, then `--resume`: are the final weights those of an undisturbed run, bit for bit?

Some kills wait for a moment by watching files (decoding, a half-written checkpoint, the submission), others strike at a
random time. Prints one line per kill; exit code 1 if anything differs.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KK = str(Path(sys.executable).with_name("kk"))
# what to wait for below the run or cache folder before striking; None: a random time
MOMENTS = {
    "random": None,
    "store": "cache/store/*/images.raw",
    "first checkpoint": "runs/*/*/checkpoints/.epoch-000*.part",
    "state": "runs/*/*/checkpoints/.state*.part",
    "mid-epoch": "runs/*/*/checkpoints/epoch-001.safetensors",
    "validation": "runs/*/*/validation/*/.*.part",
    "submission": "runs/*/*/.submission*.part",
    "page": "runs/*/*/submission.json",
}


def command(data: Path, options: list[str]) -> list[str]:
    small = ["fidelity.image_size=64", "fidelity.epochs=3", "batch_size=8"]
    return [
        KK,
        "run",
        "hair-seg",
        "--data",
        str(data),
        "--fidelity",
        "demo",
        *(x for s in small for x in ("-o", s)),
        *options,
    ]


def environment(base: Path) -> dict[str, str]:
    return {**os.environ, "KAGGLEKIT_RUNS": str(base / "runs"), "KAGGLEKIT_CACHE": str(base / "cache")}


def strike(base: Path, data: Path, moment: str, rng: random.Random, duration: float) -> str:
    """Start the run, kill it when a file of the moment appears anew; returns what happened."""
    before = set(base.glob(MOMENTS[moment])) if MOMENTS[moment] else set()
    process = subprocess.Popen(command(data, ["--resume"]), env=environment(base), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    started = time.perf_counter()
    limit = rng.uniform(0.02, 0.7 * duration) if MOMENTS[moment] is None else 4 * duration
    while process.poll() is None and time.perf_counter() - started < limit:
        if MOMENTS[moment] and set(base.glob(MOMENTS[moment])) - before:
            break
        time.sleep(0.001)
    if process.poll() is not None:
        return "had ended already"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return f"killed after {time.perf_counter() - started:.2f} s"


def finish(base: Path, data: Path) -> dict[str, str]:
    """Resume until done; returns the hash of every file that must not depend on interruptions."""
    done = subprocess.run(command(data, ["--resume"]), env=environment(base), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the resumed run failed:\n{done.stdout}{done.stderr}")
    (folder,) = [p for p in (base / "runs" / "hair-seg").iterdir() if p.is_dir()]
    litter = [p.name for p in folder.rglob("*.part")]
    if litter:
        raise SystemExit(f"left half-written: {litter}")
    kept = [*folder.glob("checkpoints/epoch-*.safetensors"), folder / "submission.json", *folder.glob("validation/*/*")]
    return {str(p.relative_to(folder)): digest(p) for p in kept}


def digest(path: Path) -> str:
    """Hash of a file; of a checkpoint only the tensors, since its header tells the seconds an epoch took."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        data = data[8 + int.from_bytes(data[:8], "little") :]
    return hashlib.sha256(data).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        data = top / "data"
        subprocess.run([KK, "data", "sample", "hair-seg", str(data), "--count", "40"], check=True, capture_output=True)
        started = time.perf_counter()
        expected = finish(top / "undisturbed", data)
        duration = time.perf_counter() - started
        print(f"undisturbed: {duration:.1f} s, {len(expected)} files compared")
        wrong = struck = attempts = round_number = 0
        while struck < arguments.kills:
            base = top / f"round-{round_number}"
            round_number += 1
            # Several kills of one run: an interrupted resume must be resumable too.
            for _ in range(rng.randint(1, 3)):
                moment = list(MOMENTS)[attempts % len(MOMENTS)]
                attempts += 1
                what = strike(base, data, moment, rng, duration)
                struck += what.startswith("killed")
                print(f"kill {struck:>3}  {moment:<17}{what}", flush=True)
                if not what.startswith("killed"):
                    break
            differing = [f for f, h in finish(base, data).items() if expected.get(f) != h]
            wrong += bool(differing)
            print(f"   resumed: {'equal' if not differing else 'DIFFERENT: ' + ', '.join(differing)}", flush=True)
    print(f"{struck} kills in {round_number} runs, {wrong} runs with a difference")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
