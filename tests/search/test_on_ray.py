"""The ladder on a real Ray: the same table as in-process, crashed workers, a lost node, killed drivers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kagglekit.errors import RunError, UsageError
from kagglekit.search.on_ray import Share, share
from tests.helpers import KK, environment
from tests.search.world import install, path_of

RUNGS = "32:50%:1,64:100%:2"


def test_gpus_are_shared_as_asked_and_cores_fall_to_them():
    nodes = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]
    assert share(nodes, 4, None) == (Share(8.0, 1.0), 3)
    assert share(nodes, 4, 0.5) == (Share(4.0, 0.5), 6)
    with pytest.raises(UsageError, match="--gpus-per-trial 3: no machine has so many"):
        share(nodes, 4, 3.0)


def test_cores_are_dealt_out_among_a_wave_of_trials():
    assert share([{"CPU": 2.0}], 4, None) == (Share(1.0, 0.0), 2)
    assert share([{"CPU": 64.0}], 4, None) == (Share(16.0, 0.0), 4)
    assert share([{"CPU": 4.0}, {"CPU": 4.0}], 4, None) == (Share(2.0, 0.0), 4)
    with pytest.raises(UsageError, match="there is no free GPU"):
        share([{"CPU": 2.0}], 4, 0.5)
    with pytest.raises(RunError, match="no free core"):
        share([{"object_store_memory": 1.0}], 4, None)


def prepared(folder: Path, model: str = "", more: str = "") -> dict[str, str]:
    """Environment of a `kk` that finds the toy competition, its data in `folder`/data."""
    install(folder / "plugins", model, more)
    (folder / "data").mkdir()
    (folder / "data" / "discs.txt").write_text("32 0")
    return environment(folder, KAGGLEKIT_PLUGINS="discs", PYTHONPATH=path_of(folder / "plugins"))


def command(folder: Path, *words: str) -> list[str]:
    """A search of the toy competition."""
    fixed = ["--rungs", RUNGS, "--trials", "6", "--name", "one", "--json"]
    return [str(KK), "tune", "discs", "--data", str(folder / "data"), *fixed, *words]


def tuned(folder: Path, env: dict[str, str], *words: str) -> dict:
    """The result of a search."""
    done = subprocess.run(command(folder, *words), cwd=folder, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def table(result: dict) -> list:
    """What a search came to, comparable between searches."""
    return [
        (t["number"], t["params"], [(s["rung"], s["status"], s["score"], s["curve"], s["weights"]) for s in t["steps"]])
        for t in result["trials"]
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """The search in-process, which nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return tuned(folder, prepared(folder), "--local")


@pytest.mark.slow
def test_ray_comes_to_the_same_table_as_one_process(undisturbed, tmp_path):
    result = tuned(tmp_path, prepared(tmp_path))
    assert table(result) == table(undisturbed) and result["winner"]["params"] == undisturbed["winner"]["params"]
    assert result["cost"]["overhead"] is not None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_whose_driver_or_workers_are_killed_ends_with_the_same_table(undisturbed, tmp_path):
    env, rng, kills = prepared(tmp_path), random.Random(5), []
    for attempt in range(12):
        driver = subprocess.Popen(command(tmp_path), cwd=tmp_path, env=env, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
        victim = "driver" if attempt % 2 else "worker"
        deadline = time.monotonic() + rng.uniform(6, 25)
        while time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.1)
        if driver.poll() is None and len(kills) < 5:
            kills.append(victim)
            if victim == "worker":
                strike(driver.pid, "ray::ImplicitFunc")
            else:
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()
                continue
        out, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        break
    result = json.loads(out)
    assert kills and table(result) == table(undisturbed)


def strike(driver: int, name: str) -> None:
    """Kill -9 one of the workers of a driver."""
    import psutil

    for process in psutil.Process(driver).children(recursive=True):
        try:
            if any(name in part for part in process.cmdline()):
                process.kill()
                return
        except psutil.Error:
            continue


FALLS_ONCE = """
    import os

    marker = os.environ["TOY_MARKER"]
    if recipe.lr == 0.02 and recipe.encoder_weights == "none" and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_worker_that_dies_begins_its_trial_anew(undisturbed, tmp_path):
    env = prepared(tmp_path, FALLS_ONCE.strip())
    # The driver builds the network too, to check the recipe: only workers may fall.
    env["TOY_MARKER"] = str(tmp_path / "fell")
    guard, inside = tmp_path / "plugins" / "toy_discs.py", 'if "RAY_JOB_ID" in os.environ and recipe.lr == 0.02'
    guard.write_text(guard.read_text().replace("if recipe.lr == 0.02", inside))
    result = tuned(tmp_path, env)
    assert (tmp_path / "fell").exists() and all(s["status"] == "done" for t in result["trials"] for s in t["steps"])
    assert [t["params"] for t in result["trials"]] == [t["params"] for t in undisturbed["trials"]]


CLUSTER = """
import os, sys, threading, time
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "remove":
        cluster.remove_node(second)
        print("removed", flush=True)
    if line.strip() == "end":
        break
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_comes_to_the_same_table(undisturbed, tmp_path):
    env = prepared(tmp_path)
    cluster = subprocess.Popen([sys.executable, "-c", CLUSTER], env=env | {"RAY_USAGE_STATS_ENABLED": "0"}, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        address = cluster.stdout.readline().strip()
        driver = subprocess.Popen(command(tmp_path, "--address", address), cwd=tmp_path, env=env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        time.sleep(25)
        still = driver.poll() is None
        print("remove", file=cluster.stdin, flush=True)
        out, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert still, "the search ended before the node was removed"
        assert table(json.loads(out)) == table(undisturbed)
    finally:
        if cluster.poll() is None:
            print("end", file=cluster.stdin, flush=True)
            cluster.wait(60)
