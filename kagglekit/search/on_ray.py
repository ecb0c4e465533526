"""The ladder on Ray Tune: one Tune run for all rungs, fed by the ladder, on this machine or a cluster.

Tune brings workers and their share of a device. What is tried, who climbs, what counts and what is tried again after a
crash or a lost node is the ladder's; its record is the truth, and nothing that Tune writes is ever read.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kagglekit import progress
from kagglekit.errors import RunError, UsageError
from kagglekit.files import unfinished
from kagglekit.pipeline.cluster import worker_environment
from kagglekit.search.ladder import Task
from kagglekit.search.local import Nobody, Schedule, Watcher
from kagglekit.search.trial_runner import TrialContext
from kagglekit.search.trial_store import Outcome
from kagglekit.train.trained import Epoch

ROW = "row"  # the epoch, as JSON, in what a worker reports to Tune
RETRIES = 2  # times that a trial begins anew, from its last whole epoch, after its worker died
PAUSE = (
    10.0  # seconds before the first of them, twice as many before the second: Ray learns late that a machine is gone
)
SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the ladder keeps the record
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command as it does elsewhere
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Share:
    """What one trial gets: cores, and GPUs (a part of one lets trials share it)."""

    cpus: float
    gpus: float

    @property
    def resources(self) -> dict[str, float]:
        """As Ray wants it."""
        return {"cpu": self.cpus, **({"gpu": self.gpus} if self.gpus else {})}


def share(nodes: list[dict[str, float]], wave: int, gpus_per_trial: float | None) -> tuple[Share, int]:
    """What each trial gets of machines with these resources, and how many run at once.

    With GPUs one each, or the part asked for, and the cores that fall to it; else the cores are dealt out among a wave
    of trials. Raises UsageError for more GPU than any machine has.
    """
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    if gpus_per_trial and not gpus:
        raise UsageError(
            f"--gpus-per-trial {gpus_per_trial:g}: there is no free GPU; leave it out to train on the cores"
        )
    if gpus:
        each = gpus_per_trial or 1.0
        if each > max(node.get("GPU", 0.0) for node in nodes):
            raise UsageError(f"--gpus-per-trial {each:g}: no machine has so many")
        slots = sum(int(node.get("GPU", 0.0) / each + 1e-9) for node in nodes)
        cpus = min(node.get("CPU", 1.0) * each / node["GPU"] for node in nodes if node.get("GPU"))
        return Share(max(1.0, float(int(cpus))), each), slots
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    if not cores:
        raise RunError("Ray has no free core")
    cpus = max(1, min(max(cores), sum(cores) // max(1, wave)))
    return Share(float(cpus), 0.0), sum(node // cpus for node in cores)


def climb(ladder: Schedule, context: TrialContext, part: Share, slots: int, watcher: Watcher | None = None) -> None:
    """Run a ladder, or a study, to its end on the Ray that this process is connected to."""
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    from ray import tune

    feed = make_feed(ladder, watcher or Nobody())
    where = {"data": str(context.data), "command": context.command, "environment": worker_environment(part.cpus)}
    trainable = tune.with_resources(tune.with_parameters(train, context=where), part.resources)
    with unfinished(Path(tempfile.gettempdir()) / "kagglekit-tune", folder=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric="score", mode="max", search_alg=feed, num_samples=-1, max_concurrent_trials=slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="ladder", storage_path=str(scratch), verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),  # `Feed` begins trials anew, Ray would at once
            ),
        )  # fmt: skip
        for name in ("ray.tune.execution.tune_controller", "ray.tune.tune"):
            logging.getLogger(name).addFilter(in_a_line)
        tuner.fit()
    if not ladder.finished:
        raise RunError(f"{feed.full or 'Ray ended before the search did'}; the same command goes on with it")


def train(config: dict[str, Any], context: dict[str, Any]) -> None:
    """One trial in a worker: names and numbers in, rows and at last the outcome out."""
    os.environ.update(context["environment"])  # before torch is imported, which reads it
    from ray import tune

    from kagglekit.search.trial_runner import run_trial

    content = json.loads(config["task"])
    task = Task(**content | {"key": tuple(content["key"]), "bars": tuple(content["bars"])})
    where = TrialContext(Path(context["data"]), context["command"])

    def report(epoch: Epoch) -> None:
        tune.report({"score": epoch.valid_score or 0.0, ROW: json.dumps(epoch.as_dict()), "outcome": ""})

    with progress.console(progress.Console(quiet=True)):
        outcome = run_trial(task, where, report)
    tune.report({"score": outcome.score or 0.0, ROW: "", "outcome": json.dumps(asdict(outcome))})


def make_feed(ladder: Schedule, watcher: Watcher):
    """A Tune searcher that asks the ladder. Made here because its base class takes seconds to import."""
    from ray.tune.search import Searcher

    class Feed(forgetful(Searcher)):  # type: ignore[misc]  # a base that is made when Ray is there
        """Suggests what the ladder has next, and tells it how trials end."""

        def __init__(self):
            super().__init__(metric="score", mode="max")
            self.tasks: dict[str, Task] = {}
            self.since: dict[str, float] = {}
            self.full = ""  # what is said of a full disk, with which nothing more can be tried
            self.deaths: Counter = Counter()  # of workers, by trial
            self.again: list[tuple[float, Task]] = []  # trials to begin anew, and not before when

        def suggest(self, trial_id: str):
            """A task, None to be asked again, or the end."""
            if self.full:
                return Searcher.FINISHED
            task = self.due() or ladder.next()
            if task is None:
                return Searcher.FINISHED if ladder.finished else None
            self.tasks[trial_id], self.since[trial_id] = task, time.perf_counter()
            watcher.began(task)
            return {"task": json.dumps(asdict(task))}

        def due(self) -> Task | None:
            """A trial whose worker died some time ago."""
            if not self.again or time.monotonic() < self.again[0][0]:
                return None
            return self.again.pop(0)[1]

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            """One more epoch."""
            if row := result.get(ROW):
                watcher.epoch(self.tasks[trial_id].key, Epoch(**json.loads(row)))

        def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
            """The outcome, or what is known of a worker that died too often."""
            task, said = self.tasks.pop(trial_id), (result or {}).get("outcome")
            key, elapsed = task.key, time.perf_counter() - self.since.pop(trial_id)
            if not said and self.deaths[key] < RETRIES:
                self.deaths[key] += 1
                self.again.append((time.monotonic() + PAUSE * self.deaths[key], task))
                self.again.sort(key=lambda one: one[0])
                progress.say(f"{task.name}: its worker died; it begins anew in {PAUSE * self.deaths[key]:.0f} s")
                return
            outcome = ended(said, elapsed)
            if outcome.full:
                self.full = f"{task.name}: {outcome.error}"
                return
            ladder.take(key, outcome)
            watcher.ended(key, outcome)

    return Feed()


def in_a_line(record: logging.LogRecord) -> bool:
    """A filter of Tune's log: of an error what it is, without a traceback; nothing of trials that begin anew."""
    if record.exc_info and record.exc_info[1]:
        lines = [line for line in str(record.exc_info[1]).splitlines() if line.strip()]
        last = lines[-1] if "Traceback" in str(record.exc_info[1]) else (lines or [""])[0]
        record.msg, record.args, record.exc_info = f"a worker ended: {last.strip()}", (), None
    return "did not complete" not in str(record.msg)


def ended(said: str | None, elapsed: float) -> Outcome:
    """The outcome that a worker told, with what Ray added to its time; or that of a worker that told nothing."""
    if not said:
        return Outcome("failed", error=f"its worker died {RETRIES + 1} times, often for want of memory")
    content: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(said).items()}
    outcome = Outcome(**content)
    return replace(outcome, overhead=round(max(0.0, elapsed - outcome.wall), 3))


def forgetful(base: type) -> type:
    """A kind of searcher that Tune can neither copy nor write to disk: there is one ladder, and it keeps the record."""

    class Forgetful(base):
        """Keeps nothing of its own."""

        def __deepcopy__(self, memo: dict):
            """Itself: Tune works on copies of what it is given."""
            return self

        def __reduce__(self):
            """Nothing worth keeping."""
            return dict, ()

        def set_search_properties(self, metric, mode, config, **spec) -> bool:
            """The ladder knows what it searches."""
            return True

        def save(self, checkpoint_path: str) -> None:
            """Nothing."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing."""

        def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
            """Nothing."""

    return Forgetful
