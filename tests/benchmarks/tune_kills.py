"""Kill -9 a search at random moments, again and again, and compare its table with that of an undisturbed one.

    python tests/benchmarks/tune_kills.py [--kills 10] [--seed 0]

In turn the driver, a worker, and a machine of a cluster of two are the victims; a killed driver is started again with
the same command. Prints each kill and, at the end, whether any trial differs, is missing or ran twice.
"""

import argparse
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.search.test_on_ray import CLUSTER, command, prepared, strike, table, tuned

VICTIMS = ("driver", "worker", "node")


def main() -> None:
    """Search undisturbed, then disturbed until enough kills are spent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, victims = random.Random(chosen.seed), itertools.cycle(VICTIMS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = table(tuned(folder, prepared(folder), "--local"))
        spent = searches = different = 0
        while spent < chosen.kills:
            place = folder / f"search-{searches}"
            place.mkdir()
            result, kills = disturbed(place, rng, victims, chosen.kills - spent)
            spent, searches = spent + kills, searches + 1
            different += table(result) != expected
            with sqlite3.connect(place / "runs/searches/one/trials.db") as record:
                [count] = record.execute("select count(*) from trials").fetchone()
            print(f"search {searches}: {kills} kill(s), {count} trials recorded, "
                  f"{'the same table' if table(result) == expected else 'ANOTHER TABLE'}", flush=True)  # fmt: skip
    print(f"{spent} kills in {searches} searches, {different} tables differ")
    sys.exit(bool(different))


def disturbed(folder: Path, rng: random.Random, victims, most: int) -> tuple[dict, int]:
    """(result, kills) of one search that is disturbed at most three times."""
    env, kills = prepared(folder), 0
    cluster = subprocess.Popen([sys.executable, "-c", CLUSTER], env=env | {"RAY_USAGE_STATS_ENABLED": "0"}, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    whole = True
    try:
        address = cluster.stdout.readline().strip()
        while True:
            driver = subprocess.Popen(
                command(folder, "--address", address), cwd=folder, env=env, text=True, start_new_session=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            if kills < min(3, most) and wait(driver, rng.uniform(8, 30)):
                victim = next(victims)
                if victim == "node" and not whole:
                    victim = next(victims)
                hit = victim != "worker" or strike(cluster.pid, time.monotonic() + 5)
                kills += hit
                print(f"  kill -9 of a {victim}{'' if hit else ': none was training'}", flush=True)
                if victim == "driver":
                    os.killpg(driver.pid, signal.SIGKILL)
                    driver.wait()
                    continue
                if victim == "node":
                    whole = False
                    print("remove", file=cluster.stdin, flush=True)
            out, err = driver.communicate(timeout=600)
            if driver.returncode:
                raise SystemExit(err)
            return json.loads(out), kills
    finally:
        print("end", file=cluster.stdin, flush=True)
        cluster.wait(60)


def wait(driver: subprocess.Popen, seconds: float) -> bool:
    """Is the search still under way after so long?"""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.1)
    return driver.poll() is None


if __name__ == "__main__":
    main()
