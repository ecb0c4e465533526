"""An epoch of kagglekit against two loops of plain PyTorch: same network, batch, distortions and images, one process.

plain: what a user would write (every epoch: read the file, resize, albumentations, float32, contiguous memory).
by hand: kagglekit's own settings (bf16 where the CPU has it, channels-last, images in memory), without kagglekit.

Epochs alternate, ratios are per round from the second round on, medians are printed, and the IoU that each one reaches.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader

from kagglekit.cli.common import compose_recipe, registry
from kagglekit.data.fingerprint import fingerprint
from kagglekit.data.input_transform import Plain
from kagglekit.data.loader import distort
from kagglekit.data.resize import input_size
from kagglekit.data.store import open_store
from kagglekit.metrics import MeanIoU
from kagglekit.plugin.solution import resolve
from kagglekit.train import fit as engine
from kagglekit.train.network import pick_device, pick_dtype, prepare

PIXELS = 256


class Files(torch.utils.data.Dataset):
    """Reads, resizes and distorts an image each time it is asked for."""

    def __init__(self, samples, augment, epoch):
        self.samples, self.augment, self.epoch = samples, augment, epoch

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        sample = self.samples[index]
        image = cv2.cvtColor(cv2.imread(str(sample.image)), cv2.COLOR_BGR2RGB)
        canvas = Image.new("L", (512, 512), 0)
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in sample.label.tolist()], outline=1, fill=1)
        image = cv2.resize(image, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(np.array(canvas), (PIXELS, PIXELS), interpolation=cv2.INTER_NEAREST)
        both = self.augment(image=image, mask=mask)
        image = (both["image"].astype(np.float32) / 255 - 0.5) / 0.5
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(
            both["mask"][None].astype(np.float32)
        )


def plain_epoch(model, optimizer, loss_of, samples, augment, batch_size, epoch, lr_at):
    model.train()
    loader = DataLoader(Files(samples, augment, epoch), batch_size)
    for step, (images, masks) in enumerate(loader):
        set_lr(optimizer, lr_at(epoch + step / len(loader)))
        optimizer.zero_grad()
        loss = loss_of(model(images), masks)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()


def by_hand_epoch(model, optimizer, loss_of, pairs, augment, batch_size, epoch, lr_at, dtype):
    model.train()
    for at in range(0, len(pairs), batch_size):
        set_lr(optimizer, lr_at(epoch + at / len(pairs)))
        batch = [distort(augment, *pairs[i], (0, epoch, i)) for i in range(at, min(at + batch_size, len(pairs)))]
        images = torch.from_numpy(np.stack([image for image, _ in batch])).permute(0, 3, 1, 2)
        masks = torch.from_numpy(np.stack([mask for _, mask in batch])).unsqueeze(1).float()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = model(((images.float() / 255 - 0.5) / 0.5).contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), masks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()


def set_lr(optimizer, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr


@torch.inference_mode()
def iou(model, pairs):
    model.eval()
    metric, values = MeanIoU(), []
    for image, mask in pairs:
        x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
        values.append(metric.compare(mask, (model(x)[0, 0] > 0).numpy()))
    return metric.reduce(np.stack(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of the hair-seg competition")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    changes = [f"fidelity.image_size={PIXELS}", f"fidelity.epochs={arguments.epochs}", "batch_size=8"]
    recipe, _, _ = compose_recipe(registry(), "hair-seg", "demo", (), (), changes, None)
    solution = resolve(recipe, registry())
    dataset = solution.dataset(arguments.data)
    samples, held_out = dataset.train[: arguments.images], dataset.train[arguments.images :][:160]
    loss_of = solution.loss()
    torch.manual_seed(0)
    weights = solution.model(3).state_dict()

    def fresh():
        model = smp.create_model(recipe.decoder, recipe.encoder, None, classes=1)
        model.load_state_dict(weights)
        return model

    def adamw(model, fused):
        return torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)

    device, dtype = pick_device(), pick_dtype(recipe, pick_device())
    assert input_size((512, 512), PIXELS) == (PIXELS, PIXELS)
    with tempfile.TemporaryDirectory() as cache:
        store = open_store(Path(cache), fingerprint(arguments.data, dataset.files), dataset, PIXELS, "binary", 1)
        store.fill(dataset, [*samples, *held_out])
        pairs = {s: tuple(np.array(a) for a in store.read(s)) for s in samples}
        check = [tuple(np.array(a) for a in store.read(s)) for s in held_out]
        shuffle, augment = solution.sampler(dataset, samples, store), solution.augment(dataset, samples, store)
        job = engine.Job(
            recipe=recipe,
            task="binary",
            metric=MeanIoU(),
            store=store,
            make_model=fresh,
            loss=loss_of,
            sampler=shuffle,
            augment=augment,
            input_transform=Plain(3),
            validation=[],
            folder=Path(cache),
        )
        ours_body = fresh()
        ours_body.normalisation = ((0.5,) * 3, (0.5,) * 3)
        ours = prepare(ours_body, Plain(3), device)
        ours_optimizer, scaler = engine.make_optimizer(recipe, ours), torch.amp.GradScaler(device, enabled=False)
        plain, hand = fresh(), fresh().to(memory_format=torch.channels_last)
        plain_optimizer, hand_optimizer = adamw(plain, None), adamw(hand, True)

        def order(epoch):
            return [draw.sample for draw in shuffle(epoch)]

        def lr_at(epoch):
            return engine.lr_at(recipe, epoch)

        runs = {
            "kagglekit": lambda e: engine.train_epoch(job, ours, ours_optimizer, scaler, {}, e, device, dtype),
            "by hand": lambda e: by_hand_epoch(
                hand, hand_optimizer, loss_of, [pairs[s] for s in order(e)], augment, recipe.batch_size, e, lr_at, dtype
            ),
            "plain": lambda e: plain_epoch(
                plain, plain_optimizer, loss_of, order(e), augment, recipe.batch_size, e, lr_at
            ),
        }
        seconds = {name: [] for name in runs}
        for epoch in range(arguments.epochs):
            for name, run in runs.items():
                started = time.perf_counter()
                run(epoch)
                seconds[name].append(time.perf_counter() - started)
        ious = {
            name: iou(model, check) for name, model in (("kagglekit", ours_body), ("by hand", hand), ("plain", plain))
        }
    ratio = {
        name: statistics.median(a / b for a, b in zip(seconds[name][1:], seconds["kagglekit"][1:], strict=True))
        for name in ("plain", "by hand")
    }
    if arguments.json:
        print(json.dumps({"seconds": seconds, "iou": ious, "ratio": ratio}))
        return
    shown = f"{len(samples)} images of {PIXELS} px, {arguments.epochs} epochs"
    print(f"{shown}, {device}, {dtype}, {torch.get_num_threads()} threads")
    for name in runs:
        print(f"{name:<10} epochs {' '.join(f'{s:6.2f}' for s in seconds[name])} s   IoU {ious[name]:.4f}")
    print(f"plain / kagglekit: {ratio['plain']:.2f} (times faster, from the second epoch)")
    print(f"kagglekit / by hand: {1 / ratio['by hand']:.3f}")


if __name__ == "__main__":
    main()
