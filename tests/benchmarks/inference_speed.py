"""Views and an ensemble of three epochs: kagglekit's prediction against plain loops over `model(x)`, in 32-bit floats.

The plain loops are what a notebook has: image by image, network by network, view by view, sums in place. Both read
the same files, use the same weights (random, which costs the same) and end with masks at the size of the images.

    python tests/benchmarks/inference_speed.py --data DIR [--images 48] [--image-size 256] [--rounds 3]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from kagglekit.data.input_transform import Plain
from kagglekit.data.readers.images import read_rgb
from kagglekit.data.resize import input_size, resize_image, resize_probs
from kagglekit.predict.ensemble import LastEpochs, equal
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.predict.views import hflip, identity
from kagglekit.recipe import Recipe
from kagglekit.train.checkpoint import save_weights
from kagglekit.train.model import IMAGENET, build
from kagglekit.types import Member

VIEWS = (identity(0.75), hflip(0.25))


def networks(folder: Path, recipe: Recipe, count: int = 3) -> list[Member]:
    """Checkpoints with random weights."""
    members = []
    for seed in range(count):
        torch.manual_seed(seed)
        body = build(recipe, 3, 1)
        path = folder / f"epoch-{seed:03d}.safetensors"
        save_weights(path, body.state_dict(), {"normalisation": IMAGENET})
        members.append(Member(path, seed))
    return members


def plain(paths: list[Path], recipe: Recipe, members: list[Member], size: int) -> list[np.ndarray]:
    """Masks as a notebook makes them."""
    from kagglekit.train.checkpoint import read_weights

    models = []
    for member in members:
        model = build(recipe, 3, 1)
        model.load_state_dict(read_weights(member.path)[0])
        models.append(model.eval())
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
    masks = []
    for path in paths:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        small = cv2.resize(image, input_size(image.shape[:2], size)[::-1], interpolation=cv2.INTER_AREA)
        x = (torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255 - mean) / std
        total = 0
        with torch.no_grad():
            for model in models:
                total = total + 0.75 * model(x).sigmoid() + 0.25 * model(x.flip(-1)).sigmoid().flip(-1)
        probs = (total / len(models))[0, 0].numpy()
        masks.append(cv2.resize(probs, image.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0.5)
    return masks


def ours(paths: list[Path], recipe: Recipe, members: list[Member], size: int) -> list[np.ndarray]:
    """Masks as the engine makes them."""
    make = lambda: build(recipe, 3, 1)  # noqa: E731
    predictor = Predictor(recipe, "binary", equal(members), LastEpochs(3), VIEWS, make, Plain(3))
    full = {path: read_rgb(path).shape[:2] for path in paths[:1]}

    def read(path: Path) -> np.ndarray:
        image = read_rgb(path)
        full[path] = image.shape[:2]
        return resize_image(image, input_size(image.shape[:2], size))

    masks = []
    for look in predict_all(predictor, paths, read, recipe.batch_size):
        prediction = look.combined(predictor, full[look.item], look.item.name)
        masks.append(resize_probs(prediction.probs, prediction.size)[0] > 0.5)
    return masks


def main() -> None:
    """Alternate both and print the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with images somewhere below")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = sorted(options.data.rglob("*.jpg"))[: options.images]
    recipe = Recipe(
        competition="none", encoder_weights="none", decoder="unet/2", precision="fp32", batch_size=8,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False):
        members, ratios = networks(Path(folder), recipe), []
        for number in range(options.rounds + 1):
            seconds, masks = {}, {}
            for way in (plain, ours):
                started = time.perf_counter()
                masks[way] = way(paths, recipe, members, options.image_size)
                seconds[way] = time.perf_counter() - started
            different = sum(int((a != b).sum()) for a, b in zip(masks[plain], masks[ours], strict=True))
            pixels = sum(mask.size for mask in masks[plain])
            if number:  # the first round warms up
                ratios.append(seconds[plain] / seconds[ours])
                print(f"round {number}: plain {seconds[plain]:.2f} s, ours {seconds[ours]:.2f} s, "
                      f"{ratios[-1]:.2f} times as fast; {different} of {pixels} pixels differ")  # fmt: skip
    print(f"median {statistics.median(ratios):.2f} times as fast, {len(paths)} images at {options.image_size} px")


if __name__ == "__main__":
    main()
