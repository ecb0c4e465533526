"""What a search will cost, from a probe of some training steps: shown before anything long begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kagglekit import progress
from kagglekit.clean.findings import known
from kagglekit.errors import KagglekitError, UsageError
from kagglekit.plugin.solution import Solution
from kagglekit.protocols import Dataset
from kagglekit.search.ablation_plan import AblationPlan
from kagglekit.search.ladder import Plan
from kagglekit.search.rungs import Rung

STEPS = 20
PATIENCE = 8.0  # seconds of a probe, at most, once three steps are done
PREDICT_COST = 0.35  # what predicting an image costs, of what training on it costs
SETUP = 2.0  # seconds a trial spends on reading, building and writing


@dataclass(frozen=True)
class Probe:
    """What a training step costs: seconds, and bytes of memory, at one size; and the network's parameters.

    `fixed`: those of the seconds that fewer pixels do not save. `cleaning`: seconds of the networks that rules train on
    all images, once for all trials.
    """

    seconds: float
    memory: int
    parameters: int
    cleaning: float = 0.0
    fixed: float = 0.0

    def seconds_at(self, part: float) -> float:
        """The seconds of a step with this part of the pixels."""
        return self.fixed + (self.seconds - self.fixed) * part


def probe(solution: Solution, dataset: Dataset, rungs: Sequence[Rung]) -> Probe:
    """Train the recipe's network some steps on images of noise, at the size of the last rung and of the lowest.

    Raises KagglekitError where it does not fit.
    """
    from kagglekit.train.network import pick_device, prepare

    device = pick_device()
    input_transform = solution.input_transform(dataset.channels, dataset.depth)
    network = prepare(solution.model(input_transform.channels, pretrained=False), input_transform, device)
    before = _memory(device)
    low, top = rungs[0].image_size, rungs[-1].image_size
    seconds = _seconds_of_step(solution, dataset, network, device, top)
    memory, part, fixed = _memory(device) - before, (low / top) ** 2, 0.0
    if part < 1:
        fixed = (_seconds_of_step(solution, dataset, network, device, low) - seconds * part) / (1 - part)
    parameters = sum(p.numel() for p in network.body.parameters())
    return Probe(seconds, max(0, memory), parameters, fixed=min(seconds, max(0.0, fixed)))


def _seconds_of_step(solution: Solution, dataset: Dataset, network, device: str, side: int) -> float:
    import torch

    from kagglekit.train.fit import to_target
    from kagglekit.train.network import autocast, full_precision, pick_dtype

    recipe, task = solution.recipe, solution.competition.task
    optimizer, loss, dtype = solution.optimizer(network.body), solution.loss(), pick_dtype(recipe, device)
    shape = (recipe.batch_size, dataset.channels, side, side)
    images = torch.randint(0, 256, shape, device=device).to(getattr(torch, dataset.depth))
    planes = (len(solution.competition.classes),) if task == "multilabel" else ()
    masks = torch.zeros((shape[0], *planes, *shape[2:]), dtype=torch.uint8, device=device)
    started, done = time.perf_counter(), 0
    try:
        for step in progress.track(range(STEPS + 1), STEPS + 1, f"timing training steps at {side} px"):
            with autocast(device, dtype):
                output = network(images)
            loss(full_precision(output), to_target(masks, task)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if device == "cuda":
                torch.cuda.synchronize()
            if not step:  # the first step allocates and tunes
                started = time.perf_counter()
            done = step
            if done >= 3 and time.perf_counter() - started > PATIENCE:
                break
    except RuntimeError as error:
        raise KagglekitError(
            f"a training step at {side} px with batch_size={recipe.batch_size} fails here: {error}; "
            f"try -o batch_size={max(1, recipe.batch_size // 2)}"
        ) from error
    return (time.perf_counter() - started) / done


def _memory(device: str) -> int:
    import psutil
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else psutil.Process().memory_info().rss


def windows(dataset: Dataset, side: int) -> tuple[float, float]:
    """Looks of a network of `side` pixels at all training images: (of an epoch, of predicting each once).

    Of tiled images: an epoch as long as a grid without overlap, which samplers may change, and no blank windows.
    """
    tiling = dataset.tiling
    if tiling is None:
        return len(dataset.train), len(dataset.train)
    pixels = sum(height * width for height, width in (sample.size for sample in dataset.train))
    grid = max(len(dataset.train), pixels / (tiling.reduce * side) ** 2)
    return grid, grid / tiling.step**2


def with_cleaning(probed: Probe, solution: Solution, dataset: Dataset, data_fingerprint: str, side: int) -> Probe:
    """The probe, taken at `side` pixels, and what cleaning data with the fingerprint `mark` will cost."""
    if known(solution, data_fingerprint):
        return probed
    pixels = sum(t.learned_pixels(len(dataset.train)) for t in solution.techniques if hasattr(t, "learned_pixels"))
    return replace(probed, cleaning=probed.seconds / (solution.recipe.batch_size * side**2) * pixels)


def counts(plan: Plan) -> list[int]:
    """Trials that each rung will hold, the controls, the recipe and further seeds included."""
    found = []
    for rung, merit in enumerate(plan.climbers):
        extra = plan.random_climbers(rung) + (plan.prior and plan.is_last(rung)) if rung else 0
        repeats = plan.repeats if plan.is_last(rung) else 1
        found.append(min(plan.trials, merit + extra) * repeats)
    return found


def estimate(plan: Plan, solution: Solution, dataset: Dataset, slots: int, probed: Probe) -> dict[str, Any]:
    """Trials, seconds, memory and disk by rung and in all, JSON-like; `probed` at the last rung, `slots` at once."""
    recipe = plan.recipe
    top = plan.rungs[-1]
    views = len(solution.views())
    rungs: list[dict[str, Any]] = []
    total = probed.cleaning  # which all trials wait for
    for rung, trials in zip(plan.rungs, counts(plan), strict=True):
        each = probed.seconds_at((rung.image_size / top.image_size) ** 2) / recipe.batch_size
        drawn, passes = windows(dataset, rung.image_size)
        trained = drawn * (1 - 1 / recipe.folds) * rung.fraction * rung.epochs
        predicted = passes / recipe.folds * (rung.epochs + 3 * views) * PREDICT_COST
        seconds = SETUP + each * (trained + predicted)
        total += seconds * -(-trials // slots)
        store = drawn * rung.image_size**2 * (dataset.channels + 1)
        rungs.append({"text": str(rung), "trials": trials, "seconds": seconds, "store": store})
    kept = probed.parameters * 4 * (top.epochs + 3)
    full = probed.cleaning + plan.trials * plan.repeats * rungs[-1]["seconds"]
    return {
        "rungs": rungs,
        "trials": sum(rung["trials"] for rung in rungs),
        "slots": slots,
        "seconds": total,
        "cleaning": probed.cleaning,
        "device_seconds": probed.cleaning + sum(rung["seconds"] * rung["trials"] for rung in rungs),
        "full_seconds": full,
        "memory": probed.memory * slots,
        "disk": sum(rung["store"] for rung in rungs) + kept * max(counts(plan)),
    }


def fit_budget(plan: Plan, solution: Solution, dataset: Dataset, slots: int, probed: Probe, budget: float) -> int:
    """The most trials, up to the plan's, whose whole ladder fits `budget` seconds of clock; raises UsageError."""
    from kagglekit.report.run_page import duration_text

    trials = plan.trials
    while trials >= plan.promote:
        costs = estimate(replace(plan, trials=trials), solution, dataset, slots, probed)
        if costs["seconds"] <= budget:
            return trials
        trials -= max(1, trials // 10)
    least = estimate(replace(plan, trials=plan.promote), solution, dataset, slots, probed)
    raise UsageError(
        f"--budget: {duration_text(budget)} is too little for {plan.promote} trial(s) on {len(plan.rungs)} rung(s), "
        f"which take about {duration_text(least['seconds'])}; allow that much, or choose smaller --rungs"
    )


def ablation_costs(
    plan: AblationPlan, solution: Solution, dataset: Dataset, slots: int, probed: Probe
) -> dict[str, Any]:
    """Seconds of each training of an ablation, of all, and disk, JSON-like; `probed` at its fidelity."""
    recipe, rung = plan.recipe, plan.rungs[0]
    drawn, tissue_windows = windows(dataset, rung.image_size)
    held_out, views = tissue_windows / recipe.folds, len(solution.views())
    each = probed.seconds / recipe.batch_size
    trained = drawn * (1 - 1 / recipe.folds) * rung.fraction * rung.epochs
    passes = 3 * views  # members times views: once for the training's own score, once more for its variants
    training = SETUP + each * (trained + held_out * PREDICT_COST * (rung.epochs + 2 * passes))
    jobs = [training for _ in plan.jobs()]
    stored = drawn * rung.image_size**2 * (dataset.channels + 1)
    probabilities = 2 * drawn / recipe.folds * rung.image_size**2 * len(solution.competition.classes) * passes
    trainings = len(jobs) * plan.seeds
    return {
        "jobs": jobs,
        "trainings": trainings,
        "slots": slots,
        "cleaning": probed.cleaning,
        "seconds": (probed.cleaning + sum(jobs) * plan.seeds) / min(slots, trainings),
        "disk": stored + trainings * (probed.parameters * 4 * (rung.epochs + 3) + probabilities),
    }


def fit_seeds(
    plan: AblationPlan, solution: Solution, dataset: Dataset, slots: int, probed: Probe, budget: float
) -> int:
    """The most seeds, up to the plan's, that fit `budget` seconds of clock; raises UsageError that says what would."""
    from kagglekit.report.run_page import duration_text

    for seeds in range(plan.seeds, 0, -1):
        costs = ablation_costs(replace(plan, seeds=seeds), solution, dataset, slots, probed)
        if costs["seconds"] <= budget:
            return seeds
    raise UsageError(
        f"--budget: {duration_text(budget)} is too little for the {costs['trainings']} trainings of one seed, which "
        f"take about {duration_text(costs['seconds'])}; allow that much, leave out --technique or use --no-alone, or "
        "a smaller -o fidelity.image_size or fidelity.epochs"
    )
