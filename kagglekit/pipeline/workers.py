"""One network trained by several workers through Ray Train, each with a part of every batch.

A worker receives names, numbers and paths, and makes everything itself: plugins, data set, network. The first worker
writes checkpoints into the run folder and its news into a file there, which the program that asked reads aloud.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.errors import KagglekitError, RunError
from kagglekit.files import remove_unfinished
from kagglekit.pipeline.cluster import nodes, share_of, worker_environment
from kagglekit.pipeline.job import job_of
from kagglekit.pipeline.prepare import Data, Split, store_of
from kagglekit.pipeline.request import Request
from kagglekit.plugin.registry import blaming, discover
from kagglekit.plugin.solution import resolve
from kagglekit.train.trained import Trained

if TYPE_CHECKING:
    from kagglekit.train.distributed import ProcessGroup

NEWS, SCRATCH = "news.txt", "ray"
ATTEMPTS = 2  # a lost worker is replaced once
POLL = 0.2  # seconds between two looks at the news
PATIENCE = 24 * 3600  # seconds that workers wait for the first one to validate
CUT_OFF = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Broken pipe")


def train_by_workers(request: Request, data: Data, part: Split, folder_of_part: Path) -> Trained:
    """What `fit` returns, computed by `request.workers` workers of the Ray that is connected.

    A lost worker is replaced once, and training goes on after the last whole epoch. Raises the KagglekitError of a
    worker, RunError when workers get lost again, UsageError for more workers than GPUs.
    """
    cores, gpu = share_of(nodes(), request.workers)
    progress.say(f"{request.workers} workers, each with {'a GPU and ' if gpu else ''}{cores:g} cores")
    folder_of_part.mkdir(parents=True, exist_ok=True)
    brief = brief_of(request, data, part, folder_of_part)
    for attempt in range(1, ATTEMPTS + 1):
        remove_unfinished(folder_of_part)  # what a lost first worker was writing
        try:
            trained: Trained = listen(lambda: launch(brief, request.workers, cores, gpu), folder_of_part / NEWS)
            break
        except Lost as lost:
            if attempt == ATTEMPTS:
                raise RunError(
                    f"training: {lost}, and so had one before; the same command goes on from the last whole epoch"
                ) from lost
            progress.say(f"{lost}; going on from the last whole epoch with new ones")
        finally:
            (folder_of_part / NEWS).unlink(missing_ok=True)
            shutil.rmtree(folder_of_part / SCRATCH, ignore_errors=True)
    for row in trained.history:
        request.report(row)
    return trained


class Lost(Exception):
    """A worker died, or another one could not reach it any more."""


def brief_of(request: Request, data: Data, part: Split, folder_of_part: Path) -> dict[str, Any]:
    """All that a worker is told: names, numbers and paths."""
    return {
        "recipe": request.solution.recipe.model_dump_json(),
        "data": str(request.data.resolve()),
        "mark": data.data_fingerprint,
        "working_folder": str(Path.cwd()),
        "place": str(folder_of_part.resolve()),
        "fold": part.fold,
        "train": [sample.id for sample in part.train],
        "validation": [sample.id for sample in part.validation],
        "labels": dict(part.labels),
    }


def launch(brief: Mapping[str, Any], workers: int, cores: float, gpu: bool) -> Trained:
    """Run `work` on all workers and return what the first one returns; raises its errors, or Lost."""
    from ray.train.torch import TorchConfig
    from ray.train.v2.api.config import LoggingConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.exceptions import TrainingFailedError
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    trainer = TorchTrainer(
        work,
        train_loop_config=dict(brief),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=PATIENCE),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=needs(cores, gpu)),
        run_config=RunConfig(
            name="train",
            storage_path=str(Path(brief["place"]) / SCRATCH),
            worker_runtime_env={"env_vars": worker_environment(cores)},
            logging_config=LoggingConfig(log_level="CRITICAL"),
        ),
    )
    try:
        ended: Any = trainer.fit()  # its declared type is that of the API before
        return ended.return_value
    except TrainingFailedError as error:
        raise reason_of(error) from error


def needs(cores: float, gpu: bool) -> dict[str, float]:
    """What Ray sets aside for a worker."""
    return {"CPU": cores, "GPU": 1} if gpu else {"CPU": cores}


def reason_of(error: Exception) -> Exception:
    """What to tell of a failed training: the KagglekitError of a worker if there is one, else its fault, else Lost.

    Where one worker fails or dies, the others may complain that they cannot reach it any more.
    """
    from ray.exceptions import RayError
    from ray.train.v2._internal.exceptions import RayTrainError

    failures = sorted(getattr(error, "worker_failures", {}).items())
    causes = {rank: getattr(failure, "_base_exc", failure) for rank, failure in failures}
    died = [rank for rank, cause in causes.items() if isinstance(cause, RayError | RayTrainError)]
    cut_off = [rank for rank, cause in causes.items() if any(word in str(cause) for word in CUT_OFF)]
    for cause in causes.values():
        if isinstance(cause, KagglekitError):
            return cause
    for rank, cause in causes.items():
        if rank not in (*died, *cut_off):
            return RunError(f"training: worker {rank} failed with {type(cause).__name__}: {cause}")
    if not causes:
        return RunError(f"training: Ray failed with {type(error).__name__}: {str(error).strip().splitlines()[-1]}")
    return Lost(f"worker {died[0]} died" if died else f"worker {cut_off[0]} could not reach another one")


def listen(task: Callable[[], Any], news: Path) -> Any:
    """What `task` returns or raises; meanwhile lines that are added to the file `news` are said.

    The task has a thread of its own, so that Ctrl-C stays with this program instead of Ray.
    """
    box: dict[str, Any] = {}

    def run() -> None:
        try:
            box["value"] = task()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    heard = 0
    while True:
        last = not thread.is_alive()
        text = news.read_text(encoding="utf-8") if news.exists() else ""
        whole = text.rfind("\n") + 1
        for line in text[heard:whole].splitlines():
            progress.say(line)
        heard = max(heard, whole)
        if last:
            break
        thread.join(POLL)
    if "error" in box:
        raise box["error"]
    return box["value"]


def work(brief: Mapping[str, Any]) -> Trained | None:
    """A worker's whole life; the first one returns what it trained."""
    import torch.distributed as dist

    from kagglekit.train.distributed import ProcessGroup

    if Path(brief["working_folder"]).is_dir():  # a recipe may name files by relative paths
        os.chdir(brief["working_folder"])
    folder_of_part, process_group = Path(brief["place"]), ProcessGroup(dist.get_rank(), dist.get_world_size())
    if not folder_of_part.is_dir():
        raise RunError(
            f"{folder_of_part}: not there for worker {process_group.rank}; "
            f"runs must lie in a folder that all machines share"
        )
    if not process_group.leads:
        with progress.console(progress.Console(quiet=True)):
            train_share(brief, process_group)
        return None
    with (folder_of_part / NEWS).open("a", encoding="utf-8") as news, progress.console(progress.Console(news)):
        return train_share(brief, process_group)


def train_share(brief: Mapping[str, Any], process_group: ProcessGroup) -> Trained:
    """Train as one of a team; returns what was trained."""
    from kagglekit.recipe import Recipe
    from kagglekit.train.fit import fit

    solution = resolve(Recipe.model_validate_json(brief["recipe"]), discover())
    with blaming(solution.plugins):
        dataset = solution.dataset(Path(brief["data"]))
        by_id = {sample.id: sample for sample in dataset.train}
        strangers = [name for name in (*brief["train"], *brief["validation"]) if name not in by_id]
        if strangers:
            raise RunError(f"{brief['data']}: worker {process_group.rank} does not find sample {strangers[0]} there")
        train, validation = ([by_id[name] for name in brief[side]] for side in ("train", "validation"))
        part = Split(brief["fold"], train, validation, brief["labels"])
        store = store_of(solution, dataset, brief["mark"])
        store.fill(dataset, [*train, *validation], progress.track)  # is done already where the cache is shared
        input_transform = solution.input_transform(dataset.channels, dataset.depth)
        data = Data(dataset, store, input_transform, [part], {}, brief["mark"])
        return fit(job_of(solution, data, part, Path(brief["place"]), process_group=process_group))
