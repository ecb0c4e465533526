"""`kk run --workers`: what is refused, what a worker is told, and whole runs through Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from kagglekit import progress
from kagglekit.errors import PluginError, RunError, UsageError
from kagglekit.pipeline import cluster
from kagglekit.pipeline.cluster import check_workers, share_of, worker_environment
from kagglekit.pipeline.prepare import prepare
from kagglekit.pipeline.request import Request
from kagglekit.pipeline.workers import NEWS, SCRATCH, Lost, brief_of, listen, needs, reason_of
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.recipe import Recipe, compose
from kagglekit.train.checkpoint import read_weights
from tests.helpers import KK, write_plugin
from tests.helpers import environment as surroundings
from tests.toy_data import hair_folder

TINY = ["--fidelity", "demo", "-o", "fidelity.image_size=64", "-o", "batch_size=4", "-o", "precision=fp32"]


@pytest.mark.parametrize(
    ("name", "place", "fault"),
    [
        (
            "TMPDIR",
            "/tmp/" + "x" * 60,
            r"TMPDIR=/tmp/x+: is \d+ characters too long for the sockets .*; give a short one",
        ),
        ("TMPDIR", "/tmp/임시", "TMPDIR=/tmp/임시: holds other characters than ASCII; .* --local"),
        ("RAY_TMPDIR", "/tmp/\udcb0", r"RAY_TMPDIR=/tmp/\\udcb0: holds other characters than ASCII"),
    ],
)
def test_a_temporary_folder_in_which_ray_cannot_make_sockets_is_named_before_any_work(monkeypatch, name, place, fault):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(name, place)
    with pytest.raises(UsageError, match=fault):
        check_workers(2, "", 8)
    monkeypatch.setenv(name, "/tmp/short")
    check_workers(2, "", 8)


def test_ray_that_does_not_start_in_time_is_started_a_second_time(monkeypatch):
    import ray

    tries, said = [], []

    def init(**options):
        tries.append(options)
        if len(tries) < wanted:
            raise Exception("The current node timed out during startup.\nlong\nstory")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(progress, "say", said.append)
    wanted = 2
    with cluster.connected():
        assert len(tries) == 2 and tries[0] == tries[1]
    assert said == [
        "Ray does not start on this machine: The current node timed out during startup.; trying a second time"
    ]
    tries.clear()
    wanted = 9
    with pytest.raises(RunError, match=r"timed out during startup\.; tried twice; do without Ray: --local"):  # noqa: SIM117
        with cluster.connected():
            pytest.fail("there is no Ray")
    assert len(tries) == 2


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers):
    with pytest.raises(UsageError, match=rf"--workers {workers}: give 1 \(no Ray\) or more"):
        check_workers(workers, "", 8)


def test_more_workers_than_images_in_a_batch_are_refused_with_what_would_fit():
    check_workers(8, "", 8)
    check_workers(1, "", 1)
    with pytest.raises(UsageError, match=r"a batch of 8 cannot .* 9; use --workers 8 or fewer, or -o batch_size=9"):
        check_workers(9, "", 8)


def test_an_address_without_workers_is_refused():
    with pytest.raises(UsageError, match="--address is where workers train; give --workers 2 or more with it"):
        check_workers(1, "10.0.0.1:6379", 8)


@pytest.mark.parametrize("address", ["somewhere", "ray://10.0.0.1:10001", ":6379", "host:port", "10.0.0.1:"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(UsageError, match=f"--address {address}: expected HOST:PORT of the cluster's head"):
        check_workers(2, address, 8)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "no-such-host.invalid:6379"])
def test_an_address_where_nothing_answers_costs_seconds_and_a_sentence(address):
    started = time.monotonic()
    with pytest.raises(RunError, match=rf"--address {address}: .*; start one there with `ray start --head`"):
        check_workers(2, address, 8)
    assert time.monotonic() - started < 15


def test_an_address_where_something_else_answers_costs_seconds_and_a_sentence():
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            port = server.stdout.readline().split(" port ")[1].split()[0]
            started = time.monotonic()
            with pytest.raises(RunError, match=f"127.0.0.1:{port}: what answers there is not a Ray cluster"):
                check_workers(2, f"127.0.0.1:{port}", 8)
            assert time.monotonic() - started < 15
        finally:
            server.kill()


def machines(*cores: float, gpus: tuple[float, ...] = ()) -> list[dict[str, float]]:
    """The resources of machines with these cores, the first ones with these GPUs."""
    given = [*gpus, *[0.0] * (len(cores) - len(gpus))]
    return [{"CPU": c, "memory": 1e9} | ({"GPU": g} if g else {}) for c, g in zip(cores, given, strict=True)]


@pytest.mark.parametrize(
    ("nodes", "workers", "each"),
    [
        (machines(8), 2, 4),
        (machines(8), 3, 2),
        (machines(4, 4), 3, 2),
        (machines(6, 2), 2, 3),  # four each would leave the second one without room
        (machines(2), 4, 0.45),  # they share, and leave a little
        ([{"memory": 1.0}, *machines(2)], 2, 1),
        (machines(8, 8, gpus=(1, 1)), 2, 8),
        (machines(16, 16, gpus=(2,)), 2, 8),
        (machines(1, gpus=(4,)), 4, 0.22),
    ],
)
def test_each_worker_gets_as_many_cores_as_let_all_find_room(nodes, workers, each):
    cores, gpu = share_of(nodes, workers)
    assert cores == pytest.approx(each) and gpu == any("GPU" in node for node in nodes)
    assert workers * cores <= sum(node.get("CPU", 0) for node in nodes)
    assert needs(cores, gpu) == ({"CPU": cores, "GPU": 1} if gpu else {"CPU": cores})


def test_more_workers_than_gpus_are_refused_with_what_would_fit():
    with pytest.raises(UsageError, match="--workers 3: each needs a GPU, and there are 2; use --workers 2"):
        share_of(machines(8, gpus=(2,)), 3)


def test_a_worker_is_told_of_its_threads_and_of_all_places_as_absolute_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in {"RUNS": "r", "CACHE": "c", "SAMPLES": "s", "PLUGINS": "hair-seg"}.items():
        monkeypatch.setenv(f"KAGGLEKIT_{name}", value)
    told = worker_environment(3.0)
    assert {k: v for k, v in told.items() if k.startswith("KAGGLEKIT_")} == {
        "KAGGLEKIT_RUNS": f"{tmp_path}/r", "KAGGLEKIT_CACHE": f"{tmp_path}/c", "KAGGLEKIT_SAMPLES": f"{tmp_path}/s",
        "KAGGLEKIT_PLUGINS": "hair-seg",
    }  # fmt: skip
    assert (told["OMP_NUM_THREADS"], told["GOMP_SPINCOUNT"]) == ("3", "1000")
    assert worker_environment(0.45)["OMP_NUM_THREADS"] == "1"
    for name in ("RUNS", "CACHE", "SAMPLES"):
        monkeypatch.delenv(f"KAGGLEKIT_{name}")
    assert (
        worker_environment(1)["KAGGLEKIT_RUNS"] == f"{tmp_path}/runs"
        and Path(worker_environment(1)["KAGGLEKIT_CACHE"]).is_absolute()
    )


def test_what_travels_to_a_worker_is_names_numbers_and_paths(tmp_path):
    recipe, _ = compose([("test", {"competition": "hair-seg", "fidelity": {"image_size": 32}, "folds": 3})])
    solution = resolve(recipe, discover())
    folder = hair_folder(tmp_path / "data")
    data = prepare(solution, solution.dataset(folder), "mark")
    brief = brief_of(Request(solution, folder, workers=2), data, data.splits[0], tmp_path / "place")
    assert json.loads(json.dumps(brief)) == brief
    assert Recipe.model_validate_json(brief["recipe"]) == solution.recipe
    assert brief["mark"] == "mark" and brief["fold"] == 0 and brief["place"] == str(tmp_path / "place")
    assert {*brief["train"], *brief["validation"]} == {sample.id for sample in data.dataset.train}


def failed(**failures: Exception) -> Exception:
    """The error of Ray Train in which workers failed, by rank."""
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError

    wrapped = {}
    for name, error in failures.items():
        dead = isinstance(error, SystemExit)
        cause = WorkerHealthCheckFailedError("dead", error) if dead else UserExceptionWithTraceback(error, "Traceback")
        wrapped[int(name.removeprefix("worker"))] = cause
    return WorkerGroupError("all of it", wrapped)


def test_the_error_that_is_told_is_the_one_that_says_most():
    cut_off, ours, dead = (
        RuntimeError("[gloo/pair.cc] Connection closed by peer"),
        PluginError("who is it"),
        SystemExit(),
    )
    assert reason_of(failed(worker0=cut_off, worker1=ours)) is ours
    assert reason_of(failed(worker0=dead, worker1=ours)) is ours
    lost = [reason_of(failed(worker0=cut_off, worker1=dead)), reason_of(failed(worker1=cut_off))]
    assert all(isinstance(error, Lost) for error in lost)
    assert [str(error) for error in lost] == ["worker 1 died", "worker 1 could not reach another one"]
    fault = reason_of(failed(worker0=cut_off, worker1=ValueError("no such thing"), worker2=dead))
    assert isinstance(fault, RunError) and str(fault) == "training: worker 1 failed with ValueError: no such thing"
    other = reason_of(ValueError("first\nthe controller is gone"))
    assert isinstance(other, RunError) and str(other).endswith("ValueError: the controller is gone")


class Recorder(progress.Console):
    """Keeps what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_news_are_said_line_by_line_while_the_task_is_at_work(tmp_path):
    news = tmp_path / NEWS

    def task():
        for piece in ("one\ntw", "o\n", "three\n"):
            with news.open("a") as stream:
                stream.write(piece)
            time.sleep(0.3)
        return 5

    with progress.console(Recorder()) as console:
        assert listen(task, news) == 5
        with pytest.raises(Lost, match="again"):
            listen(lambda: (_ for _ in ()).throw(Lost("again")), tmp_path / "none")
    assert console.lines == ["one", "two", "three"]


class Running:
    """`kk run` at work; its news line by line."""

    def __init__(self, home: Path, *words: str, **more: str):
        self.process = subprocess.Popen(
            [KK, "run", "hair-seg", *TINY, *words],
            cwd=home, env=surroundings(home, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, beginning: str) -> str:
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(beginning):
                return line
        raise AssertionError(f"{beginning} was never said: {self.lines}")

    def workers(self) -> list[psutil.Process]:
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in family if any("RayTrainWorker" in word for word in p.cmdline())]

    def end(self) -> tuple[int, str]:
        out, rest = self.process.communicate(timeout=240)
        self.lines += rest.splitlines()
        return self.process.returncode, out


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return hair_folder(tmp_path_factory.mktemp("data") / "hair", train=20)


@pytest.mark.long
def test_two_workers_of_ray_train_as_one_and_the_run_says_how_many_they_were(tmp_path, data):
    # Plain SGD: Adam makes whole steps even of gradients that are nothing but rounding.
    words = ["--data", str(data), "-o", "fidelity.epochs=2", "-o", "optimizer=sgd", "-o", "lr=1e-3", "--json"]
    found = {}
    for workers in ("1", "2"):
        home = tmp_path / workers
        home.mkdir()
        running = Running(home, *words, "--workers", workers)
        code, out = running.end()
        assert code == 0, running.lines
        found[workers] = json.loads(out)
        assert ("2 workers, each with 1 cores" in running.lines) == (workers == "2")
    one, two = (Path(found[workers]["folder"]) for workers in ("1", "2"))
    assert one.name == two.name, "the number of workers became part of the identity"
    assert [json.loads((run / "manifest.json").read_text())["workers"] for run in (one, two)] == [1, 2]
    assert [found[workers]["workers"] for workers in ("1", "2")] == [1, 2]
    curves = [
        [list(map(float, row.split(","))) for row in (run / "history.csv").read_text().splitlines()[1:]]
        for run in (one, two)
    ]
    for row, other in zip(*curves, strict=True):
        assert other[2] == row[2] and other[3:5] == pytest.approx(row[3:5], rel=5e-3)
    assert curves[1][0][3] == pytest.approx(curves[0][0][3], rel=1e-4)
    weights = [read_weights(run / "checkpoints" / "epoch-001.safetensors")[0] for run in (one, two)]
    names = [key for key in weights[0] if "running" not in key and "num_batches" not in key]
    flat = [torch.cat([found[key].flatten() for key in names]) for found in weights]
    distance = float((flat[1] - flat[0]).norm() / flat[0].norm())
    assert distance < 1e-4, distance
    trees = [{p.relative_to(run).as_posix() for p in run.rglob("*")} for run in (one, two)]
    assert trees[0] == trees[1] and not any(name.endswith((NEWS, SCRATCH)) for name in trees[1])


@pytest.mark.long
def test_a_worker_that_is_killed_is_replaced_and_the_run_ends_well(tmp_path, data):
    running = Running(tmp_path, "--data", str(data), "-o", "fidelity.epochs=5", "--workers", "2", "--json")
    running.until("epoch 1/5")
    victims = running.workers()
    assert len(victims) == 2
    victims[-1].kill()
    code, out = running.end()
    assert code == 0, running.lines
    said = "\n".join(running.lines)
    assert "died; going on from the last whole epoch with new ones" in said and "going on after epoch " in said
    result = json.loads(out)  # Ray printed nothing beside it
    rows = (Path(result["folder"]) / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["0", "1", "2", "3", "4"]


@pytest.mark.long
def test_an_interrupted_run_of_workers_goes_on_with_one_and_leaves_no_process(tmp_path, data):
    words = ["--data", str(data), "-o", "fidelity.epochs=4"]
    running = Running(tmp_path, *words, "--workers", "2")
    running.until("epoch 1/4")
    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(signal.SIGINT)
    code, _ = running.end()
    assert code == 130
    assert running.lines[-1] == "kk: interrupted; the same command goes on from the last whole epoch"
    assert psutil.wait_procs(family, timeout=20)[1] == []
    alone = Running(tmp_path, *words, "--json")
    code, out = alone.end()
    assert code == 0 and any(line.startswith("going on after epoch ") for line in alone.lines)
    folder = Path(json.loads(out)["folder"])
    assert len((folder / "history.csv").read_text().splitlines()) == 5
    assert json.loads((folder / "result.json").read_text())["workers"] == 1


HEAD = """
import ray, sys
print(ray.init(num_cpus=2, include_dashboard=False).address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_a_cluster_at_an_address_trains_and_outlives_the_run_and_tells_errors_as_sentences(tmp_path, data):
    loss = "def loss(output, target):\n    raise ValueError('this loss is broken')\n"
    hook = "@kagglekit.hookimpl(wrapper=True)\n    def kk_loss(self):\n        yield\n        return loss\n"
    technique = f"@dataclasses.dataclass(frozen=True)\nclass Bad:\n    name = 'bad-loss'\n\n    {hook}"
    offer = "@kagglekit.hookimpl\ndef kk_techniques():\n    return [Bad]\n"
    source = "\n\n".join(["import dataclasses", "import kagglekit", loss, technique, offer])
    write_plugin(tmp_path / "stranger", "stranger", source)
    path = {"PYTHONPATH": str(tmp_path / "stranger")}
    door = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}  # a token of this cluster's own, made by Ray
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **path, **cluster.QUIET, **door},
    )  # fmt: skip
    try:
        address = head.stdout.readline().strip()
        words = ["--data", str(data), "--workers", "2", "--address", address, "-o", "fidelity.epochs=1"]
        uninvited = Running(tmp_path, *words, RAY_AUTH_MODE="disabled")
        assert uninvited.end()[0] == 1 and "this cluster wants a token; say RAY_AUTH_MODE=token" in uninvited.lines[-1]
        running = Running(tmp_path, *words, "--json", **door)
        code, out = running.end()
        assert code == 0, running.lines
        assert json.loads(out)["workers"] == 2
        broken = Running(tmp_path, *words, "--with", "bad-loss", **path, **door)
        code, out = broken.end()
        assert code == 1 and out == ""
        assert broken.lines[-1] == (
            "kk: plugin stranger (stranger 1.0): ValueError: this loss is broken; this is for the author of the plugin "
            "(KAGGLEKIT_TRACE=1 shows the traceback)"
        )
        assert not any("Traceback" in line or "going on" in line for line in broken.lines)
        assert head.poll() is None
    finally:
        head.stdin.close()
        head.wait(30)
        head.stdout.close()


def test_the_command_line_refuses_workers_that_cannot_be_before_it_reads_data(tmp_path):
    for workers, sentence in (("0", "give 1 (no Ray) or more"), ("5", "use --workers 4 or fewer")):
        running = Running(tmp_path, "--data", "/nowhere", "--workers", workers)
        code, _ = running.end()
        assert code == 2 and len(running.lines) == 1 and sentence in running.lines[0]
