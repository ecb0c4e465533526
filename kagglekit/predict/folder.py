"""Predicting a folder of pictures with a finished run."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.data.images import list_pictures, read_rgb, write_png
from kagglekit.data.resize import input_size, resize_image
from kagglekit.errors import DataError, RunError, UsageError
from kagglekit.files import write_text
from kagglekit.plugins import Registry
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.runs import folder as folders
from kagglekit.solution import Solution, resolve
from kagglekit.train.checkpoint import read_weights
from kagglekit.types import Member, Prediction

if TYPE_CHECKING:
    import numpy as np


def predict_folder(registry: Registry, run: str, images: Path, out: Path | None) -> dict[str, Any]:
    """Write `NAME.png` (mask) and `NAME-overlay.jpg` for each picture, and `index.csv`; returns what was done.

    Masks of a binary task hold 0 and 255, of a label map the class index; a multilabel task writes a mask per class.
    Pictures that cannot be read are listed and passed by. Raises KagglekitError for an unfinished run or no pictures.
    """

    folder = folders.find(run)
    if not folders.is_done(folder):
        raise RunError(
            f"run {folder.name} has not finished; go on with it by repeating its command (`kk runs` lists runs)"
        )
    if out is not None and out.resolve() == images.resolve():
        raise UsageError(f"--out {out}: is the folder of the pictures, which masks would overwrite; name another")
    files = list_pictures(images)
    if not files:
        raise DataError(f"{images}: no pictures (of .jpg, .png, .bmp, .tif, .webp) in it")
    stems = Counter(f.stem for f in files)
    solution, predictor, weights, process = load(registry, folder)
    out = out or folder / "predictions" / images.resolve().name
    skipped: list[str] = []

    def read(path: Path) -> np.ndarray | None:
        try:
            image = read_rgb(path)
        except DataError as error:
            skipped.append(str(error))
            return None
        return resize_image(image, input_size(image.shape[:2], solution.recipe.fidelity.image_size))

    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["picture", "mask", *solution.competition.classes])
    stream = predict_all(predictor, files, read, solution.recipe.batch_size)
    predicted = 0
    for path, probs in progress.track(stream, len(files), "predicting"):
        if probs is None:
            continue
        image = read_rgb(path)
        ensemble = solution.ensemble().combine(probs, weights)
        mask = process(Prediction(ensemble, image.shape[:2], path.name))
        name = path.name if stems[path.stem] > 1 else path.stem
        share = write_masks(out, name, mask, image, solution)
        rows.writerow([path.name, f"{name}.png", *(f"{s:.6f}" for s in share)])
        predicted += 1
    if not predicted:
        raise DataError(f"{images}: none of {len(files)} files is a readable picture; the first: {skipped[0]}")
    write_text(out / "index.csv", table.getvalue())
    return {"folder": str(out), "predicted": predicted, "skipped": skipped}


def load(registry: Registry, folder: Path) -> tuple[Solution, Predictor, np.ndarray, Any]:
    """The solution of a finished run, its members on a device, their weights and its fitted post-processing."""
    import dataclasses

    import numpy as np

    from kagglekit import recipe as recipes

    recipe, _ = recipes.compose([(str(folder), recipes.load(folder / folders.RECIPE))])
    solution = resolve(recipe, registry)
    result = folders.read_json(folder / folders.RESULT)
    members = [
        Member(folder / "checkpoints" / f"epoch-{m['epoch']:03d}.safetensors", m["epoch"], m["fold"])
        for m in result["members"]
    ]
    channels = len(read_weights(members[0].path)[1]["normalisation"][0])
    predictor = Predictor(
        recipe,
        solution.competition.task,
        members,
        solution.views(),
        lambda: solution.model(channels, pretrained=False),
        channels,
    )
    process = solution.postprocess()
    settings = result["postprocess"]["settings"]
    if settings and dataclasses.is_dataclass(process):
        process = dataclasses.replace(process, **settings)
    return solution, predictor, np.array([m["weight"] for m in result["members"]]), process


def write_masks(out: Path, name: str, mask: np.ndarray, image: np.ndarray, solution: Solution) -> list[float]:
    """Write mask and overlay; returns the part of the picture that each class covers."""
    import numpy as np

    task, classes = solution.competition.task, solution.competition.classes
    if task == "binary":
        write_png(out / f"{name}.png", mask * np.uint8(255))
        planes = [mask > 0]
    elif task == "multilabel":
        planes = [mask[..., k] > 0 for k in range(len(classes))]
        for label, plane in zip(classes, planes, strict=True):
            write_png(out / f"{name}-{label}.png", plane.astype(np.uint8) * np.uint8(255))
    else:
        write_png(out / f"{name}.png", mask)
        planes = [mask == k for k in range(len(classes))]
    write_overlay(out / f"{name}-overlay.jpg", image, np.any(planes if task != "multiclass" else planes[1:], axis=0))
    return [float(plane.mean()) for plane in planes]


def write_overlay(path: Path, image: np.ndarray, foreground: np.ndarray) -> None:
    """The picture with the foreground tinted and outlined."""
    import cv2
    import numpy as np

    from kagglekit.files import write_bytes

    tinted = image.copy()
    tinted[foreground] = (0.6 * tinted[foreground] + 0.4 * np.array([255, 40, 120])).astype(np.uint8)
    contours, _ = cv2.findContours(foreground.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tinted, contours, -1, (255, 255, 255), max(1, max(image.shape) // 512))
    write_bytes(path, cv2.imencode(".jpg", tinted[..., ::-1])[1].tobytes())
