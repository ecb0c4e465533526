"""Predicting a folder of images with a finished run."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.data.input_transform import as_rgb
from kagglekit.data.names import composed
from kagglekit.data.readers.images import SUFFIXES, list_images, read_image, write_png
from kagglekit.data.readers.slides import Slide
from kagglekit.data.readers.unread_files import strangers
from kagglekit.data.resize import input_size, resize_image
from kagglekit.errors import DataError, RunError, UsageError
from kagglekit.files import spreadsheet_safe, write_text
from kagglekit.pipeline.loaded_run import Loaded, load, sure_part
from kagglekit.pipeline.overlay import write_overlay
from kagglekit.pipeline.predict_slides import save_large, slide_of
from kagglekit.plugin.registry import Registry
from kagglekit.plugin.solution import Solution
from kagglekit.predict.infer import predict_all
from kagglekit.predict.postprocess import prepared
from kagglekit.runs import bundle
from kagglekit.runs import folder as folders

if TYPE_CHECKING:
    import numpy as np


def predict_folder(registry: Registry, run: str, images: Path, out: Path | None) -> dict[str, Any]:
    """Write `NAME.png` (mask) and `NAME-overlay.jpg` for each image, and `index.csv`; returns what was done.

    The index says of each image which part the network is sure of, and which part each class covers. Masks of a
    binary task hold 0 and 255, of a label map the class index; a multilabel task writes a mask per class. Large
    images get a tiled `NAME.tif` instead of a PNG. Images that cannot be read are listed and passed by.
    Raises KagglekitError for an unfinished run or no images.
    """
    folder = bundle.find(run)
    if not folders.is_done(folder):
        raise RunError(
            f"run {folder.name} has not finished; go on with it by repeating its command (`kk runs` lists runs)"
        )
    if out is not None and out.resolve() == images.resolve():
        raise UsageError(f"--out {out}: is the folder of the images, which masks would overwrite; name another")
    files, unread = list_images(images), [path.name + "/" * path.is_dir() for path in strangers(images)]
    if not files:
        also = f"; it holds {', '.join(unread[:5])}" if unread else ""
        raise DataError(f"{images}: no images (of {', '.join(sorted(SUFFIXES))}) in it{also}")
    names = output_names(files)
    loaded = load(registry, folder)
    out = out or folder / "predictions" / images.resolve().name
    skipped: list[str] = []
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["picture", "mask", "sure", *loaded.solution.competition.classes])
    write = write_large if loaded.tiling else write_usual
    predicted = 0
    for path, save in progress.track(write(loaded, files, skipped), len(files), "predicting"):
        mask, sure, share = save(out, names[path])
        named = map(spreadsheet_safe, (path.name, mask))
        rows.writerow([*named, f"{sure:.6f}", *(f"{s:.6f}" for s in share)])
        predicted += 1
    if not predicted:
        raise DataError(f"{images}: none of {len(files)} files is a readable image; the first: {skipped[0]}")
    write_text(out / "index.csv", table.getvalue())
    return {"folder": str(out), "predicted": predicted, "skipped": skipped, "unread": unread}


LONGEST = 255  # bytes of a file's name on usual disks


def output_names(files: Sequence[Path]) -> dict[Path, str]:
    """Image -> the name that its mask gets: its own without ending, with it where two would be alike.

    Alike are names that differ in capitals or in how letters are composed: some disks hold one of them alone.
    """

    def key(name: str) -> str:
        return composed(name).casefold()

    stems = Counter(key(path.stem) for path in files)
    names = {path: path.stem if stems[key(path.stem)] == 1 else path.name for path in files}
    for path, name in names.items():
        if len(os.fsencode(f"{name}-overlay.jpg")) > LONGEST:
            raise DataError(f"{path}: its name is too long for the files that are made of it; shorten it")
    twins = Counter(key(name) for name in names.values())
    for path, name in names.items():
        if twins[key(name)] > 1:
            others = ", ".join(other.name for other in files if key(names[other]) == key(name) and other != path)
            raise DataError(f"{path}: its mask would be called like that of {others}; rename one of them")
    return names


Save = Callable[[Path, str], tuple[str, float, list[float]]]
"""`save(folder, name)` writes a mask.

Returns its file's name, the part of the image that the network is sure of, and the part that each class covers.
"""


def write_usual(loaded: Loaded, files: Sequence[Path], skipped: list[str]) -> Iterator[tuple[Path, Save]]:
    """Images that fit into memory, in batches."""
    recipe = loaded.solution.recipe

    def read(path: Path) -> np.ndarray | None:
        try:
            image = read_image(path, loaded.channels, loaded.depth)
        except DataError as error:
            skipped.append(str(error))
            return None
        return resize_image(image, input_size(image.shape[:2], recipe.fidelity.image_size))

    for answer in predict_all(loaded.predictor, files, read, recipe.batch_size):
        if answer.probs is None:
            continue
        image = read_image(answer.item, loaded.channels, loaded.depth)
        prediction = answer.combined(loaded.predictor, image.shape[:2], answer.item.name)
        mask = loaded.process(prepared(loaded.process, prediction))
        sure = sure_part(prediction.probs, loaded.solution.competition.task)
        yield answer.item, partial(_save_usual, loaded, mask, as_rgb(image, loaded.input_transform), sure)


def _save_usual(
    loaded: Loaded, mask: np.ndarray, image: np.ndarray, sure: float, out: Path, name: str
) -> tuple[str, float, list[float]]:
    return f"{name}.png", sure, write_masks(out, name, mask, image, loaded.solution)


def write_large(loaded: Loaded, files: Sequence[Path], skipped: list[str]) -> Iterator[tuple[Path, Save]]:
    """Large images, each read once from top to bottom; no mask is ever held whole."""
    for path in files:
        try:
            slide = Slide(path)
            if (slide.channels, slide.depth) != (loaded.channels, loaded.depth):
                raise DataError(
                    f"{path}: {slide.channels} channels of {slide.depth}; the run was trained on {loaded.channels} of "
                    f"{loaded.depth}"
                )
            yield path, partial(save_large, loaded, *slide_of(loaded, slide))
        except DataError as error:
            skipped.append(str(error))


def write_masks(out: Path, name: str, mask: np.ndarray, image: np.ndarray, solution: Solution) -> list[float]:
    """Write mask and overlay; returns the part of the image that each class covers."""
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
