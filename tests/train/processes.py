"""Processes that train together in tests: the same function in each, with torch's process group, without Ray."""

import multiprocessing
import os
import tempfile
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

from kagglekit.train.distributed import ProcessGroup


def run_processes(size: int, function, *arguments, timeout: float = 120) -> list:
    """What `function(process_group, *arguments)` returns in each of `size` processes, by rank.

    Raises AssertionError where one fails.
    """
    # One server imports what all of them need, and forks: each would take seconds to import it anew.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "segmentation_models_pytorch", function.__module__])
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        processes = [
            context.Process(target=member, args=(results, meeting, rank, size, function, arguments), daemon=True)
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        try:
            answers = dict(results.get(timeout=timeout)[:2] for _ in processes)
        finally:
            for process in processes:
                process.join(10)
                process.kill()
    failed = [answer for answer in answers.values() if isinstance(answer, str) and answer.startswith("Traceback")]
    assert not failed, failed[0]
    return [answers[rank] for rank in range(size)]


def member(results, meeting: str, rank: int, size: int, function, arguments) -> None:
    """The life of one process of a group."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    try:
        answer = function(ProcessGroup(rank, size), *arguments)
    except Exception:
        answer = traceback.format_exc()
    results.put((rank, answer))
    dist.destroy_process_group()
