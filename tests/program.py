"""`kk` as a process of its own that imports no torch: forked from a server that has imported what all need."""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAVY = ("torch", "segmentation_models_pytorch", "scipy.stats", "cv2", "pydantic", "rich.console", "jinja2", "tifffile")


def run_kk(
    words: Sequence[object], cwd: Path, env: Mapping[str, str], timeout: float = 400
) -> subprocess.CompletedProcess:
    """What `kk` with these words does in the folder `cwd` and the environment `env`.

    Modules of kagglekit and of plugins are imported afresh. Raises subprocess.TimeoutExpired after `timeout` seconds.
    """
    words = ["kk", *map(str, words)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*HEAVY, __name__])
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = context.Process(target=_main, args=(words, str(cwd), dict(env), str(out), str(err)))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        texts = (path.read_text("utf-8", "replace") if path.exists() else "" for path in (out, err))
        return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _main(words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """The life of the process."""
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("kagglekit")]:
        del sys.modules[name]
    import torch

    torch.set_num_threads(int(env.get("OMP_NUM_THREADS", "1")))
    from kagglekit.cli import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # processes of multiprocessing end without
        sys.stdout.flush()
        sys.stderr.flush()
