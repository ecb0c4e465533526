"""Faults while commands work: signals at random moments, full disks, data that go away, several at once.

    python tests/benchmarks/faults.py [--kills 60] [--seed 0] [--only run,tune,...]

`kill -9`, SIGTERM and SIGINT strike `kk run`, `tune --local`, `ablate --local`, `clean` with co-teaching, `bundle`,
`writeup` and `export`; each is then repeated until it ends, and what it gave is compared with an undisturbed one.
Prints counts; exit code 1 unless nothing was lost, nothing was left over and no hash is another.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import faults
from tests.faults import ON_A_RUN, SIGNALS, VERBS, Report, TrialContext

# How many of 60 blows each command gets.
SHARES = {"run": 18, "tune": 9, "ablate": 9, "clean": 6, "bundle": 4, "writeup": 5, "tensorboard": 4, "mlflow": 5}


def undisturbed(top: Path, data: Path) -> tuple[dict, dict, Path]:
    """(hashes, seconds) by verb, and the folder of a place with a finished run, of commands that nothing strikes."""
    expected, seconds = {}, {}
    for verb in VERBS:
        place = TrialContext(top / "quiet" / ("run" if verb in ON_A_RUN else verb), data, run_of(top))
        started = time.monotonic()
        code, said = place.finish(verb)
        if code:
            raise SystemExit(f"{verb}, undisturbed: {said}")
        seconds[verb], expected[verb] = time.monotonic() - started, faults.results(place, verb)
        print(f"undisturbed {verb}: {seconds[verb]:.1f} s, {len(expected[verb])} results, "
              f"left over: {place.leftovers()}", flush=True)  # fmt: skip
    return expected, seconds, top / "quiet" / "run"


def run_of(top: Path) -> str:
    """The run of the quiet place, "" before it is there."""
    return next((p.parent.name for p in (top / "quiet/run/runs/hair-seg").glob("*/result.json")), "")


def signals(top: Path, data: Path, kills: int, rng: random.Random, verbs: list[str]) -> Report:
    """The blows."""
    expected, seconds, quiet = undisturbed(top, data)
    report, number = Report(), 0
    fresh = TrialContext(top / "finished", data)
    faults.copy_of_run(TrialContext(quiet, data), fresh)

    def place(verb: str, folder: Path) -> TrialContext:
        if verb in ON_A_RUN:
            shutil.copytree(fresh.base, folder)
        return TrialContext(folder, data, run_of(top))

    for verb in verbs:
        wanted = report.strikes + max(1, round(SHARES[verb] * kills / 60))
        while report.strikes < wanted:
            number += 1
            some = [SIGNALS[(number + i) % 3] for i in range(min(rng.randint(1, 3), wanted - report.strikes))]
            faults.struck(top / f"round-{number}", verb, lambda folder, verb=verb: place(verb, folder), expected[verb],
                          0.95 * seconds[verb], some, rng, report)  # fmt: skip
        print(f"{verb}: {report}", flush=True)
    return report


def full_disk(top: Path, data: Path) -> Report:
    """A disk that is full at several moments of a run, and then is not."""
    report = Report()
    quiet = TrialContext(top / "roomy", data)
    assert quiet.finish("run")[0] == 0
    expected = faults.results(quiet, "run")
    for megabytes in (0.2, 3, 12, 25, 45, 60, 62, 64, 66):
        folder = top / f"small-{megabytes}"
        folder.mkdir()
        mounted = mount(folder, megabytes)
        place = TrialContext(folder, data)
        limit = {} if mounted else {"preexec_fn": lambda m=megabytes: resource.setrlimit(
            resource.RLIMIT_FSIZE, (int(m * 2**18), resource.RLIM_INFINITY))}  # fmt: skip
        code, said = place.finish("run", **limit)
        told = "Traceback" not in said and "unexpected" not in said and (code == 0 or str(folder) in said)
        report.strikes += code != 0
        kind = "tmpfs" if mounted else "file size limit"
        if not told:
            report.words.append(f"{megabytes} MB: {said[-1500:]}")
        print(f"  {megabytes} MB ({kind}): rc {code}: {said.splitlines()[-1][:150]}",
              flush=True)  # fmt: skip
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)
        report.check(place, "run", expected)
        if mounted:
            subprocess.run(["umount", folder], check=True)
    return report


def mount(folder: Path, megabytes: float) -> bool:
    """A small file system in memory, where that is allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 2**20)}", "tmpfs", folder]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def data_removed(top: Path, data: Path, rng: random.Random, times: int = 6) -> Report:
    """Images that go away while a run reads them, and come back."""
    report = Report()
    quiet = TrialContext(top / "whole", data)
    started = time.monotonic()
    assert quiet.finish("run")[0] == 0
    duration, expected = time.monotonic() - started, faults.results(quiet, "run")
    for number in range(times):
        own = shutil.copytree(data, top / f"data-{number}")
        place, images = TrialContext(top / f"gone-{number}", own), own / "task02_train" / "images"
        process = place.start("run")
        time.sleep(rng.uniform(0.2, 0.9) * duration)
        images.rename(own / "away")
        out, err = process.communicate(timeout=300)
        (own / "away").rename(images)
        report.strikes += 1
        if "Traceback" in err or "unexpected" in err:
            report.words.append(f"data removed: {err[-1500:]}")
        print(f"  data removed: rc {process.returncode}: {(err or out).splitlines()[-1][:150]}", flush=True)
        report.check(place, "run", expected)
    return report


def at_once(top: Path, data: Path, count: int = 6) -> Report:
    """Different runs side by side with one cache, and two searches of one name."""
    report, seeds = Report(), [str(seed) for seed in range(count)]
    alone, together = TrialContext(top / "alone", data), TrialContext(top / "together", data)
    for seed in seeds:
        assert alone.finish("run", "--seed", seed)[0] == 0
    processes = [together.start("run", "--seed", seed) for seed in seeds]
    for process in processes:
        _, err = process.communicate(timeout=600)
        report.strikes += 1
        if process.returncode:
            report.lost.append(f"at once: {err[-1500:]}")
    report.check(together, "run", faults.results(alone, "run"), "--seed", "0")
    searches, one = TrialContext(top / "two", data), TrialContext(top / "single", data)
    pair = [searches.start("tune"), searches.start("tune")]
    said = [process.communicate(timeout=600)[1] for process in pair]
    codes = sorted(process.returncode for process in pair)
    report.strikes += 1
    if codes not in ([0, 0], [0, 1]) or (1 in codes and not any("under way in another process" in s for s in said)):
        report.words.append(f"two searches: {codes}: {said}")
    assert one.finish("tune")[0] == 0
    report.check(searches, "tune", faults.results(one, "tune"))
    return report


def main() -> None:
    """All faults, or some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join([*SHARES, "disk", "data", "once"]))
    chosen = parser.parse_args()
    only, rng, started = chosen.only.split(","), random.Random(chosen.seed), time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job's children would ignore it
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        data = faults.sample(top)
        parts = {}
        if verbs := [verb for verb in SHARES if verb in only]:
            parts["signals"] = signals(top, data, chosen.kills, rng, verbs)
        if "disk" in only:
            parts["full disk"] = full_disk(top, data)
        if "data" in only:
            parts["data removed"] = data_removed(top, data, rng)
        if "once" in only:
            parts["at once"] = at_once(top, data)
        for what, report in parts.items():
            print(f"{what}: {report}")
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if all(report.sound for report in parts.values()) else 1)


if __name__ == "__main__":
    main()
