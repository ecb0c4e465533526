"""The ladder on a real Ray: the same table as in-process, crashed workers, a lost node, killed drivers."""

import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from kagglekit.errors import RunError, UsageError
from kagglekit.search import on_ray
from kagglekit.search.ladder import Ladder
from kagglekit.search.local import Nobody
from kagglekit.search.on_ray import Share, share
from kagglekit.search.trial_store import Outcome, Trials
from tests.helpers import KK, environment
from tests.search.planted import plan
from tests.search.toy import data_at, install, path_of

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
    data_at(folder)
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


@pytest.mark.long
def test_ray_comes_to_the_same_table_as_one_process(undisturbed, tmp_path):
    result = tuned(tmp_path, prepared(tmp_path))
    assert table(result) == table(undisturbed) and result["winner"]["params"] == undisturbed["winner"]["params"]
    assert result["cost"]["overhead"] is not None


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_search_whose_driver_and_worker_are_killed_ends_with_the_same_table(undisturbed, tmp_path):
    env, rng = prepared(tmp_path, "import time; time.sleep(0.3)"), random.Random(5)  # long enough to be struck
    driver = begun(tmp_path, env)
    record = tmp_path / "runs/searches/one/trials.db"
    wait_until(lambda: record.exists() and recorded(record) >= 2, driver)
    time.sleep(rng.uniform(0, 3))
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    done = recorded(record)
    again = begun(tmp_path, env)
    assert strike(again.pid, time.monotonic() + 120), "no worker was seen training"
    out, err = again.communicate(timeout=400)
    assert again.returncode == 0, err
    assert f"going on after {done} finished trial(s)" in err and done < recorded(record) == 9
    assert table(json.loads(out)) == table(undisturbed)


def begun(folder: Path, env: dict[str, str], *words: str) -> subprocess.Popen:
    """A search under way, in a process group of its own."""
    return subprocess.Popen(
        command(folder, *words), cwd=folder, env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def recorded(record: Path) -> int:
    """Trials in the record; none before its tables are there, a moment after the file."""
    with contextlib.closing(sqlite3.connect(record)) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'trials'").fetchone():
            return 0
        return connection.execute("select count(*) from trials").fetchone()[0]


def wait_until(true, process: subprocess.Popen, seconds: float = 240) -> None:
    """Wait until something is true of a process that must not end before."""
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)


def strike(parent: int, until: float) -> bool:
    """Kill -9 one of the workers that train below a process; False if none did until then."""
    import psutil

    while time.monotonic() < until:
        for process in psutil.Process(parent).children(recursive=True):
            try:
                if any("ray::ImplicitFunc.train" in part for part in process.cmdline()):
                    process.kill()
                    return True
            except psutil.Error:
                continue
        time.sleep(0.05)
    return False


FALLS_ONCE = """
    import os

    marker = os.environ["TOY_MARKER"]
    if recipe.lr == 0.02 and recipe.encoder_weights == "none" and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), 9)
"""


@pytest.mark.long
def test_a_worker_that_dies_begins_its_trial_anew(undisturbed, tmp_path):
    env = prepared(tmp_path, FALLS_ONCE.strip())
    # The driver builds the network too, to check the recipe: only workers may fall.
    env["TOY_MARKER"] = str(tmp_path / "fell")
    guard, inside = tmp_path / "plugins" / "toy_discs.py", 'if "RAY_JOB_ID" in os.environ and recipe.lr == 0.02'
    guard.write_text(guard.read_text().replace("if recipe.lr == 0.02", inside))
    result = tuned(tmp_path, env)
    assert (tmp_path / "fell").exists() and all(s["status"] == "done" for t in result["trials"] for s in t["steps"])
    assert [t["params"] for t in result["trials"]] == [t["params"] for t in undisturbed["trials"]]


@pytest.mark.long
def test_a_trial_begins_anew_some_time_after_its_worker_died_and_fails_with_the_third_death(tmp_path, monkeypatch):
    ladder = Ladder(plan(trials=4), Trials(tmp_path, "c"))
    feed = on_ray.make_feed(ladder, Nobody())
    first = json.loads(feed.suggest("a")["task"])
    monkeypatch.setattr(on_ray, "PAUSE", 1000.0)
    feed.on_trial_complete("a", error=True)
    second = json.loads(feed.suggest("b")["task"])
    assert second["key"] != first["key"], "others do not wait for it"
    monkeypatch.setattr(on_ray, "PAUSE", 0.0)
    feed.on_trial_complete("b", error=True)
    assert json.loads(feed.suggest("c")["task"]) == second and not ladder.results
    feed.on_trial_complete("c", {"outcome": "", "row": "{}"}, error=True)
    assert json.loads(feed.suggest("d")["task"]) == second
    feed.on_trial_complete("d", error=True)
    [(key, outcome)] = ladder.results.items()
    assert list(key) == second["key"] and outcome.status == "failed"
    assert outcome.error == "its worker died 3 times, often for want of memory"


@pytest.mark.long
def test_a_full_disk_in_a_worker_ends_the_search_without_entering_the_trial(tmp_path):
    ladder = Ladder(plan(trials=4), Trials(tmp_path, "c"))
    feed = on_ray.make_feed(ladder, Nobody())
    feed.suggest("a")
    outcome = asdict(Outcome("failed", error="disk full", full=True))
    feed.on_trial_complete("a", {"outcome": json.dumps(outcome)})
    assert feed.suggest("b") == "FINISHED" and not ladder.results and feed.full.endswith(": disk full")


def test_tunes_log_tells_a_crash_in_a_line_and_nothing_of_trials_that_begin_anew():
    def said(message, error=None):
        record = logging.LogRecord(
            "ray", logging.ERROR, "", 0, message, (), (type(error), error, None) if error else None
        )
        return on_ray.in_a_line(record) and (record.getMessage(), record.exc_info)

    died = RuntimeError("The actor died unexpectedly.\n  pid: 1\n  ip: 2")
    raised = RuntimeError("Traceback (most recent call last):\n  File x\nImportError: no module named toy")
    assert said("Trial task failed for trial 1", died) == ("a worker ended: The actor died unexpectedly.", None)
    assert said("Trial task failed for trial 1", raised) == ("a worker ended: ImportError: no module named toy", None)
    assert not said("Trials did not complete: [a]") and said("other") == ("other", None)


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


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_comes_to_the_same_table(undisturbed, tmp_path):
    env = prepared(tmp_path, "import time; time.sleep(0.3)")
    cluster = subprocess.Popen([sys.executable, "-c", CLUSTER], env=env | {"RAY_USAGE_STATS_ENABLED": "0"}, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        address = cluster.stdout.readline().strip()
        driver = begun(tmp_path, env, "--address", address)
        record = tmp_path / "runs/searches/one/trials.db"
        wait_until(lambda: record.exists() and recorded(record) >= 1, driver)
        print("remove", file=cluster.stdin, flush=True)
        out, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert table(json.loads(out)) == table(undisturbed)
    finally:
        if cluster.poll() is None:
            print("end", file=cluster.stdin, flush=True)
            cluster.wait(60)
