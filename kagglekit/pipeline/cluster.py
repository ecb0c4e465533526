"""Ray: one of this machine's own, or a cluster at an address; what its machines have, and what a worker gets of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import RunError, UsageError
from kagglekit.files import printable
from kagglekit.runs import folder as folders

QUIET = {  # read by Ray when it is imported or started
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns that it will change this
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # a lost process is told on stdout otherwise, where --json prints
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of the path of a Unix socket
WITHOUT = "do without Ray: --local (of `kk run`: leave out --workers)"
PATIENCE = 4.0  # seconds for an address to answer, and again for Ray to answer there
GREETING = "import sys, ray; ray._raylet.GcsClient(address=sys.argv[1]).get_all_node_info()"


def check_workers(workers: int, address: str, batch_size: int) -> None:
    """Raise UsageError for numbers of workers that cannot be, RunError for an address where no Ray answers."""
    if workers < 1:
        raise UsageError(f"--workers {workers}: give 1 (no Ray) or more")
    if workers > batch_size:
        raise UsageError(
            f"--workers {workers}: a batch of {batch_size} cannot be split among {workers}; use --workers {batch_size} "
            f"or fewer, or -o batch_size={workers} (which is another experiment)"
        )
    if address and workers == 1:
        raise UsageError("--address is where workers train; give --workers 2 or more with it")
    if address:
        refuse_unreachable(address)
    elif workers > 1:
        refuse_temporary_folder()


def refuse_unreachable(address: str) -> None:
    """Raise RunError, after some seconds at most, unless a Ray cluster answers at `HOST:PORT` (or `auto`)."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UsageError(
            f"--address {address}: expected HOST:PORT of the cluster's head, such as 10.0.0.1:6379, or auto"
        )
    advice = "start one there with `ray start --head`, join it from here with `ray start --address`"
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"--address {address}: nothing answers there ({error}); {advice}") from None
    # In a process of its own, because Ray's client ends the process when what answers is not Ray.
    command = [sys.executable, "-c", GREETING, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)
    except subprocess.TimeoutExpired:
        done = None
    if done and "AuthToken" in done.stderr:
        raise RunError(
            f"--address {address}: this cluster wants a token; say RAY_AUTH_MODE=token, with the cluster's token in "
            "RAY_AUTH_TOKEN_PATH or where Ray keeps it (`ray get-auth-token`)"
        )
    if done is None or done.returncode:
        raise RunError(f"--address {address}: what answers there is not a Ray cluster; {advice}")


def refuse_temporary_folder() -> None:
    """Raise UsageError where Ray of this machine could not make its sockets: their paths are short, and plain."""
    name = next((one for one in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(one)), "")
    folder = os.environ.get(name, "/tmp")
    session = f"{folder}/ray/session_2000-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    fault = ""
    if not folder.isascii():
        fault = "holds other characters than ASCII"
    elif len(os.fsencode(session)) > LONGEST_SOCKET:
        fault = f"is {len(session) - LONGEST_SOCKET} characters too long for the sockets that Ray makes in it"
    if fault and sys.platform != "win32":
        raise UsageError(f"{name}={printable(folder)}: {fault}; give a short one, as {name}=/tmp, or {WITHOUT}")


@contextmanager
def connected(address: str = "") -> Iterator[None]:
    """Inside the block Ray is there: the cluster at `address`, or one with the cores of this machine, ended after.

    Raises RunError where it cannot be had.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if address:
        refuse_unreachable(address)
    else:
        refuse_temporary_folder()
    _start(address)
    try:
        yield
    finally:
        ray.shutdown()


def _start(address: str) -> None:
    """Join the cluster, or start Ray here: that is tried twice, for it waits half a minute for its own processes."""
    import ray

    own: dict[str, Any] = {} if address else {"num_cpus": own_cores(), "include_dashboard": False}
    own |= {"logging_level": "ERROR"}  # a name serves as well as a number
    where = f"the Ray cluster at {address} cannot be joined" if address else "Ray does not start on this machine"
    for last in (True,) if address else (False, True):
        try:
            ray.init(address=address or "local", log_to_driver=False, **own)
            return
        except Exception as error:  # Ray's own kinds, and plain ones from deep inside
            ray.shutdown()
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if last:
                raise RunError(f"{where}: {said}" + ("" if address else f"; tried twice; {WITHOUT}")) from error
            progress.say(f"{where}: {said}; trying a second time")


def nodes() -> list[dict[str, float]]:
    """Resources of the living machines of the Ray that this process is connected to."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def worker_environment(cores: float) -> dict[str, str]:
    """What the process of a worker must find: its threads, and the places of kagglekit as absolute paths."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("KAGGLEKIT_")}
    if "KAGGLEKIT_SAMPLES" in kept:
        kept["KAGGLEKIT_SAMPLES"] = str(Path(kept["KAGGLEKIT_SAMPLES"]).resolve())
    kept |= {"KAGGLEKIT_RUNS": str(folders.home().resolve()), "KAGGLEKIT_CACHE": str(folders.cache().resolve())}
    # A spinning thread takes the core from another worker.
    return kept | {"OMP_NUM_THREADS": str(max(1, int(cores))), "GOMP_SPINCOUNT": "1000"}


def own_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of(nodes: Sequence[Mapping[str, float]], workers: int) -> tuple[float, bool]:
    """(cores of each worker, does it get a GPU) of machines whose resources are `nodes`.

    Each worker has a GPU where there are any; raises UsageError for more workers than GPUs. Where there are fewer cores
    than workers, they share.
    """
    cores, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
    if 0 < gpus < workers:
        raise UsageError(f"--workers {workers}: each needs a GPU, and there are {gpus:.0f}; use --workers {gpus:.0f}")

    def fitting(each: int) -> int:
        """How many workers with that many cores find room."""
        return sum(int(min(n.get("CPU", 0) // each, n.get("GPU", 0) if gpus else workers)) for n in nodes)

    for each in range(int(cores // workers), 0, -1):
        if fitting(each) >= workers:
            return float(each), gpus > 0
    return max(0.01, int(90 * min(1.0, cores / workers)) / 100), gpus > 0
