"""How long `kk --help` and `kk list` take, against importing click and pluggy alone; alternating, medians."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
KK = str(Path(sys.executable).with_name("kk"))
COMMANDS = {
    "import click, pluggy": [sys.executable, "-c", "import click, pluggy"],
    "kk --help": [KK, "--help"],
    "kk list": [KK, "list"],
}


def main():
    times = {name: [] for name in COMMANDS}
    for round_number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if round_number:  # the first round fills the file cache
                times[name].append(time.perf_counter() - started)
    base = times["import click, pluggy"]
    for name, values in times.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        print(f"{name:<24}{1000 * statistics.median(values):7.0f} ms   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
