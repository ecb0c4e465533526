"""Training, read from top to bottom: one function, no trainer, no callbacks.

Every epoch draws its random numbers from (seed, epoch), so an interrupted run that goes on from its last whole epoch
computes the same bits as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kagglekit.data.loader import batches, to_target, without_gradients
from kagglekit.data.store import Store
from kagglekit.errors import RunError
from kagglekit.protocols import Dataset, InputTransform, Metric
from kagglekit.train import checkpoint
from kagglekit.train.distributed import ProcessGroup
from kagglekit.train.network import Network, autocast, full_precision, mask_logits, pick_dtype, prepare
from kagglekit.train.trained import Epoch, Trained
from kagglekit.types import Augment, Draw, Loss, Member, Sample, Sampler, Track, untracked

if TYPE_CHECKING:
    from kagglekit.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """What `fit` needs: the recipe, the parts that hooks made, and where checkpoints go."""

    recipe: Recipe
    task: str
    metric: Metric
    store: Store
    make_model: Callable[[], torch.nn.Module]
    loss: Loss
    sampler: Sampler
    augment: Augment
    input_transform: InputTransform
    validation: Sequence[Draw]
    folder: Path
    fold: int = 0
    track: Track = untracked
    say: Callable[[str], None] = lambda text: None
    make_optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer] | None = None
    report: Callable[[Epoch], None] = lambda row: None
    # The processes that train together; the first validates, writes and speaks.
    process_group: ProcessGroup = field(default_factory=ProcessGroup)

    @classmethod
    def of(cls, solution: Any, dataset: Dataset, samples: Sequence[Sample], store: Store, **more: Any) -> Job:
        """The training of a network of a solution on `samples`; `more` are the fields that no hook answers."""
        return cls(
            recipe=solution.recipe,
            task=solution.competition.task,
            metric=solution.competition.metric,
            store=store,
            make_model=lambda: solution.model(more["input_transform"].channels),
            loss=solution.loss(),
            sampler=solution.sampler(dataset, samples, store),
            augment=solution.augment(dataset, samples, store),
            make_optimizer=solution.optimizer,
            **more,
        )


def fit(job: Job) -> Trained:
    """Train until the recipe's last epoch, going on from the last whole epoch in `job.folder`.

    `job.report` gets each epoch when it is kept. Raises RunError when the loss is no longer a number.
    """
    recipe, device = job.recipe, job.process_group.device()
    dtype = pick_dtype(recipe, device)
    torch.manual_seed(recipe.seed)
    body = job.make_model()
    loaded = getattr(body, "loaded_weights", "whatever the plugin's network brings")
    network = prepare(body, job.input_transform, device)
    optimizer = job.make_optimizer(body) if job.make_optimizer else make_optimizer(recipe, body)
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    observed: dict[str, float] = {
        "lr": max(group["peak"] for group in optimizer.param_groups),
        "weight_decay": max(group["weight_decay"] for group in optimizer.param_groups),
    }
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    average = {k: v.clone() for k, v in body.state_dict().items()} if recipe.ema else {}
    history: list[Epoch] = []

    restored = checkpoint.load_state(job.folder, body, optimizer)
    if restored:
        average = {key: value.to(device) for key, value in restored[0].items()}
        history, loaded = [Epoch(**row) for row in restored[1]["history"]], restored[1]["loaded_weights"]
        network.normalise_by(restored[1]["normalisation"])  # as begun, even if other weights are at hand by now
        if restored[1]["scaler"] and scaler.is_enabled():  # empty where training began without 16-bit floats
            scaler.load_state_dict(restored[1]["scaler"])
        job.say(f"going on after epoch {len(history)} of {recipe.fidelity.epochs}")

    loaded = job.process_group.begin(network, job.folder, len(history), loaded)
    where = device if job.process_group.size == 1 else f"{job.process_group.size} x {device}"
    job.say(f"training on {where} in {str(dtype).removeprefix('torch.')}; encoder weights {loaded}")
    for epoch in range(len(history), recipe.fidelity.epochs):
        started = time.perf_counter()
        torch.manual_seed(job.process_group.seed(recipe.seed * 100_003 + epoch + 1))
        train_loss, lr, first_batch = train_epoch(job, network, optimizer, scaler, average, epoch, device, dtype)
        observed |= first_batch
        if not job.process_group.leads:  # the leader validates and writes meanwhile; its next batch is waited for
            history.append(Epoch(epoch=epoch))
            continue
        with averaged(body, average):
            valid_loss, valid_score = validate(job, network, device, dtype)
            seconds = round(time.perf_counter() - started, 3)
            history.append(Epoch(epoch=epoch, seconds=seconds, lr=lr, train_loss=train_loss, valid_loss=valid_loss,
                                 valid_score=valid_score))  # fmt: skip
            kept = {**history[-1].as_dict(), "normalisation": network.normalisation}
            checkpoint.save_weights(checkpoint.epoch_path(job.folder, epoch), body.state_dict(), kept)
        state = {"loaded_weights": loaded, "scaler": scaler.state_dict(), "normalisation": network.normalisation,
                 "history": [row.as_dict() for row in history]}  # fmt: skip
        checkpoint.save_state(job.folder, body, optimizer, average, state)
        job.say(describe(history[-1], recipe.fidelity.epochs, job.metric.name))
        job.report(history[-1])

    members = (Member(checkpoint.epoch_path(job.folder, r.epoch), r.epoch, job.fold, r.valid_score) for r in history)
    return Trained(tuple(members), tuple(history), loaded, observed)


@contextmanager
def averaged(body: torch.nn.Module, average: dict[str, torch.Tensor]) -> Iterator[None]:
    """Inside the block the network has its averaged weights, where the recipe averages: what is validated and kept."""
    if not average:
        yield
        return
    trained = {key: value.clone() for key, value in body.state_dict().items()}
    body.load_state_dict(average)
    yield
    body.load_state_dict(trained)


def train_epoch(
    job: Job,
    network: Network,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    average: dict[str, torch.Tensor],
    epoch: int,
    device: str,
    dtype: torch.dtype,
) -> tuple[float, float, dict[str, float]]:
    """One pass over the epoch's draws; returns (mean loss, last learning rate, what its first batch showed)."""
    recipe = job.recipe
    draws = list(job.sampler(epoch))
    per_epoch = steps_of(len(draws), recipe.batch_size)
    observed: dict[str, float] = {}
    total, count = torch.zeros((), dtype=torch.float64, device=device if device != "mps" else "cpu"), 0
    network.train()
    stream = batches(
        job.store, draws, recipe.batch_size, job.augment, recipe.seed, epoch, device, job.process_group.share
    )
    title = f"epoch {epoch + 1}/{recipe.fidelity.epochs}"
    for step, (images, masks) in enumerate(job.track(stream, per_epoch, title)):
        lr = lr_at(recipe, epoch + step / per_epoch)
        for group in optimizer.param_groups:  # parts of a network may have peaks of their own
            group["lr"] = lr * (group["peak"] / recipe.lr)
        images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
        global_batch = recipe.batch_size if step + 1 < per_epoch else len(draws) - step * recipe.batch_size
        with autocast(device, dtype), job.process_group.batch_statistics(global_batch):
            logits = network(images)
        logits, masks = job.process_group.gathered(full_precision(logits), masks, global_batch)
        loss = job.loss(logits, to_target(masks, job.task))
        if epoch == step == 0:
            side = min(images.shape[-2:])
            observed = {"batch_size": len(masks), "fidelity.image_size": side, "draws": len(draws)}
        # The last group of steps may be short.
        accumulated = min(recipe.accumulate, per_epoch - step // recipe.accumulate * recipe.accumulate)
        scaler.scale(loss * job.process_group.weight(global_batch) / accumulated).backward()
        total += loss.detach().to(total) * len(masks)
        count += len(masks)
        if (step + 1) % recipe.accumulate == 0 or step + 1 == per_epoch:
            job.process_group.sum_gradients(network.parameters())
            scaler.unscale_(optimizer)
            if recipe.clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if average:
                blend(average, network.body.state_dict(), recipe.ema)
    mean = total.item() / count
    if not math.isfinite(mean):
        raise RunError(
            f"training: the loss became {mean} in epoch {epoch + 1}; lower the learning rate (-o "
            f"lr={recipe.lr / 3:.1e}) "
            "or use -o precision=fp32"
        )
    return mean, lr, observed


@torch.inference_mode()
def validate(job: Job, network: Network, device: str, dtype: torch.dtype) -> tuple[float | None, float | None]:
    """(loss, score) on the validation draws at the store's size, threshold 0.5; None without any.

    The counts of windows of one image are added up.
    """
    import numpy as np

    if not job.validation:
        return None, None
    network.eval()
    total = 0.0
    counts: dict[str, np.ndarray | int] = {}
    draws = job.validation
    box = draws[0].box
    height, width = (box.height, box.width) if box else job.store.shape(draws[0].sample)
    at_once = without_gradients(job.recipe.batch_size, height * width)
    stream = batches(job.store, draws, at_once, None, job.recipe.seed, 0, device)
    steps, done = steps_of(len(draws), at_once, joined=False), 0
    for images, masks in job.track(stream, steps, "validating"):
        with autocast(device, dtype):
            output = full_precision(network(images.to(device, non_blocking=True)))
        total += float(job.loss(output, to_target(masks.to(device, non_blocking=True), job.task))) * len(images)
        logits = mask_logits(output)
        guesses = logits.argmax(1) if job.task == "multiclass" else (logits > 0)
        if job.task == "binary":
            guesses = guesses[:, 0]
        elif job.task == "multilabel":
            guesses, masks = guesses.permute(0, 2, 3, 1), masks.permute(0, 2, 3, 1)
        for guess, mask in zip(guesses.to(torch.uint8).cpu().numpy(), masks.numpy(), strict=True):
            sample, done = draws[done].sample.id, done + 1
            counts[sample] = counts.get(sample, 0) + job.metric.compare(mask, guess)
    return total / len(draws), job.metric.reduce(np.stack(list(counts.values())))


def make_optimizer(recipe: Recipe, network: torch.nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer over all weights, at its peak learning rate."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.lr, momentum=0.99, nesterov=True, weight_decay=recipe.weight_decay)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def lr_at(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment counted in epochs: warm-up from a tenth of the peak, then the schedule."""
    if epoch < recipe.warmup:
        return recipe.lr * (0.1 + 0.9 * epoch / recipe.warmup)
    span = (recipe.horizon or recipe.fidelity.epochs) - recipe.warmup
    share = min(1.0, (epoch - recipe.warmup) / span) if span > 0 else 0.0
    if recipe.schedule == "cosine":
        return recipe.lr * (0.001 + 0.999 * (1 + math.cos(math.pi * share)) / 2)
    if recipe.schedule == "poly":
        return recipe.lr * float((1 - share) ** 0.9)
    return recipe.lr


def blend(average: dict[str, torch.Tensor], weights: dict[str, torch.Tensor], decay: float) -> None:
    """Move the exponential moving average towards `weights`, in place; counters are copied."""
    for key, value in weights.items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def steps_of(draws: int, batch_size: int, joined: bool = True) -> int:
    """Batches in an epoch; a last single image joins the batch before it while training (see `batches`)."""
    steps = math.ceil(draws / batch_size)
    return steps - 1 if joined and steps > 1 and draws % batch_size == 1 else steps


def describe(row: Epoch, epochs: int, metric: str) -> str:
    """One line on an epoch."""
    score = "" if row.valid_score is None else f"  validation loss {row.valid_loss:.4f}  {metric} {row.valid_score:.4f}"
    return f"epoch {row.epoch + 1}/{epochs}  loss {row.train_loss:.4f}{score}  {row.seconds:.0f} s"
