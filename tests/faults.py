"""Commands that are struck down while they work, and what must come of it: nothing lost, no leftovers, the same bits.

Shared by `tests/test_faults.py` and `tests/benchmarks/faults.py`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers import KK, environment

SMALL = ("--fidelity", "demo", "-o", "folds=4", "-o", "batch_size=8")
ONE = ("-o", "fidelity.image_size=64", "-o", "fidelity.epochs=2")
TINY_TEACHING = "co-teaching:image_size=64,epochs=1,folds=2"
VERBS = {
    "run": ("run", "hair-seg", *SMALL, *ONE),
    "tune": ("tune", "hair-seg", *SMALL, "--local", "--trials", "2", "--name", "t", "--rungs", "64:50%:1,64:100%:1"),
    "ablate": ("ablate", "hair-seg", *SMALL, *ONE, "--local", "--seeds", "1", "--name", "a"),
    "clean": ("clean", "hair-seg", *SMALL, "--with", TINY_TEACHING),
    "bundle": ("bundle", "RUN"),
    "writeup": ("writeup", "RUN"),
    "tensorboard": ("export", "RUN", "--to", "tensorboard"),
    "mlflow": ("export", "RUN", "--to", "mlflow"),
}
ON_A_RUN = ("bundle", "writeup", "tensorboard", "mlflow")  # these need a finished run
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LITTER = (".part", ".copy", ".holder", "-journal")  # how names of what is unfinished end


@dataclass
class TrialContext:
    """A folder with runs, cache and a temporary folder of its own, and the data beside them."""

    base: Path
    data: Path
    run: str = ""
    changes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        (self.base / "tmp").mkdir(parents=True, exist_ok=True)

    def command(self, verb: str, *more: str) -> list[str]:
        """The words of a verb."""
        words = [self.run if word == "RUN" else word for word in VERBS[verb]]
        return [str(KK), *words, *(() if verb in ON_A_RUN else ("--data", str(self.data))), *more]

    def start(self, verb: str, *more: str, **options) -> subprocess.Popen:
        """The command, on its way."""
        env = environment(self.base, TMPDIR=str(self.base / "tmp"), **self.changes)
        return subprocess.Popen(self.command(verb, *more), cwd=self.base, env=env, text=True, start_new_session=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # fmt: skip

    def plain(self, *words: str) -> subprocess.CompletedProcess:
        """Any other command in this place."""
        env = environment(self.base, TMPDIR=str(self.base / "tmp"), **self.changes)
        return subprocess.run([str(KK), *words], cwd=self.base, env=env, capture_output=True, text=True, timeout=400)

    def finish(self, verb: str, *more: str, **options) -> tuple[int, str]:
        """(exit code, what was said) of the command left alone."""
        process = self.start(verb, *more, **options)
        out, err = process.communicate(timeout=400)
        return process.returncode, out + err

    def leftovers(self) -> list[str]:
        """Files and folders that no command of ours may leave behind once one has ended well after the fault."""
        found = [p for part in ("runs", "cache") for p in (self.base / part).rglob("*") if p.name.endswith(LITTER)]
        ours = [p for p in (self.base / "tmp").iterdir() if not p.name.startswith("torchinductor")]  # torch's own
        return sorted(str(p.relative_to(self.base)) for p in [*found, *ours])

    def lost(self) -> list[str]:
        """Runs with a result that the ledger does not list as done."""
        with closing(sqlite3.connect(self.base / "runs" / "ledger.db")) as ledger:
            known = {path for (path,) in ledger.execute("select path from runs where status = 'done'")}
        there = {f"{p.parent.parent.name}/{p.parent.name}" for p in (self.base / "runs/hair-seg").glob("*/result.json")}
        return sorted(there - known)


def strike(place: TrialContext, verb: str, after: float | Callable[[], bool], number: int) -> str:
    """Start a command and send it a signal after so many seconds, or as soon as something is there; says what came."""
    process = place.start(verb)
    started = time.monotonic()

    def waiting() -> bool:
        return not after() if callable(after) else time.monotonic() - started < after

    while process.poll() is None and waiting() and time.monotonic() - started < 120:
        time.sleep(0.002)
    if process.poll() is not None:
        process.communicate()
        return "had ended already"
    os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
    _, err = process.communicate(timeout=120)
    if ("Traceback" in err and "/kagglekit/" in err) or "unexpected" in err:  # Python itself may be starting yet
        return f"SAID {err}"
    return f"{signal.Signals(number).name} after {time.monotonic() - started:.2f} s"


def results(place: TrialContext, verb: str) -> dict[str, str]:
    """Name -> hash of everything that a command must give, whatever struck it before; times and dates left out."""
    runs = place.base / "runs"
    found: dict[str, object] = {}
    if verb == "run":
        for folder in sorted(p for p in (runs / "hair-seg").iterdir() if p.is_dir()):
            for path in sorted([*folder.rglob("*.safetensors"), folder / "submission.json",
                                *folder.glob("validation/*/*"), folder / "folds.json"]):  # fmt: skip
                found[str(path.relative_to(runs))] = tensors(path)
    elif verb in ("tune", "ablate"):
        [path] = runs.glob("searches/*/result.json" if verb == "tune" else "ablations/*/result.json")
        found = untimed(json.loads(path.read_text()))
    elif verb == "clean":
        [folder] = runs.glob("cleaning/*")
        found["findings"] = list(csv.reader((folder / "findings.csv").open()))
        found["decisions"] = [
            x
            for x in (folder / "decisions.toml").read_text().replace(str(place.base), "").splitlines()
            if not x.startswith("made")
        ]
    elif verb == "bundle":
        [path] = runs.glob("hair-seg/*/*.kkbundle")
        found = {entry.filename: entry.CRC for entry in zipfile.ZipFile(path).infolist()}
    elif verb == "writeup":
        found = {p.name: p.read_bytes() for p in runs.glob("hair-seg/*/writeup/**/*") if p.is_file()}
    elif verb == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        [log] = runs.glob("tensorboard/hair-seg/*")
        seen = EventAccumulator(str(log)).Reload()
        found = {tag: [(one.step, one.value) for one in seen.Scalars(tag)] for tag in seen.Tags()["scalars"]}
        found["images"] = sorted(seen.Tags()["images"])
    elif verb == "mlflow":
        with closing(sqlite3.connect(runs / "mlflow.db")) as store:
            found["metrics"] = store.execute(
                "select key, value, step from metrics join runs using (run_uuid) where lifecycle_stage = 'active'"
                " order by 1, 3").fetchall()  # fmt: skip
            found["params"] = store.execute("select count(*) from params join runs using (run_uuid) "
                                            "where lifecycle_stage = 'active'").fetchall()  # fmt: skip
    return {name: hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()
            for name, value in found.items()}  # fmt: skip


def untimed(result: dict) -> dict[str, object]:
    """The scores, weights and changes of a search or an ablation."""
    if "variants" in result:
        return {v["name"]: (v["score"], v["seeds"]) for v in result["variants"]}
    steps = {f"{t['number']}/{s['rung']}": (s["status"], s["score"], s["weights"]) for t in result["trials"]
             for s in t["steps"]}  # fmt: skip
    return steps | {"winner": (result["winner"]["number"], result["winner"]["score"], result["winner"]["changes"])}


def tensors(path: Path) -> bytes:
    """The bytes of a file; of a checkpoint only the tensors, since its header tells the seconds an epoch took."""
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :] if path.suffix == ".safetensors" else data


@dataclass
class Report:
    """What was struck, and what came of it."""

    strikes: int = 0
    lost: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def check(self, place: TrialContext, verb: str, expected: dict[str, str], *more: str) -> None:
        """Let the command end, and compare."""
        code, said = place.finish(verb, *more)
        if code or "Traceback" in said or "unexpected" in said:
            self.lost.append(f"{verb}: exit code {code}: {said[-2000:]}")
            return
        now = results(place, verb)
        self.other += [
            f"{verb}: {name}" for name in expected.keys() | now.keys() if expected.get(name) != now.get(name)
        ]
        self.leftovers += [f"{verb}: {name}" for name in place.leftovers()]
        if verb == "run":
            self.lost += [f"{verb}: {name} is not in the ledger" for name in place.lost()]

    @property
    def sound(self) -> bool:
        """Did everything hold?"""
        return not (self.lost or self.leftovers or self.other or self.words)

    def __str__(self) -> str:
        counts = f"{self.strikes} strikes, {len(self.lost)} lost, {len(self.leftovers)} leftovers, "
        counts += f"{len(self.other)} other hashes, {len(self.words)} without words"
        return "\n".join([counts, *self.lost, *self.leftovers, *self.other, *self.words])


def sample(folder: Path, count: int = 24) -> Path:
    """Drawn data."""
    env = environment(folder)
    subprocess.run([KK, "data", "sample", "hair-seg", folder / "data", "--count", str(count)], env=env, check=True,
                   capture_output=True)  # fmt: skip
    return folder / "data"


def copy_of_run(place: TrialContext, here: TrialContext) -> None:
    """The same finished run elsewhere, without what was made of it."""
    shutil.copytree(place.base, here.base, dirs_exist_ok=True)
    for path in [*here.base.glob("runs/hair-seg/*/writeup*"), *here.base.glob("runs/hair-seg/*/*.kkbundle"),
                 *here.base.glob("runs/mlflow*"), *here.base.glob("runs/tensorboard")]:  # fmt: skip
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def struck(folder: Path, verb: str, place: Callable[[Path], TrialContext], expected: dict[str, str], duration: float,
           kills: Sequence[int], rng: random.Random, report: Report) -> None:  # fmt: skip
    """Several blows to one command, each at a random moment of what is left of it; then it is let end."""
    here = place(folder)
    for number in kills:
        what = strike(here, verb, rng.uniform(0.0, duration), number)
        report.strikes += what.startswith("SIG")
        if what.startswith("SAID"):
            report.words.append(f"{verb}: {what}")
        print(f"  {verb:<12}{what.splitlines()[0]}", file=sys.stderr, flush=True)
    report.check(here, verb, expected)
    shutil.rmtree(folder)
