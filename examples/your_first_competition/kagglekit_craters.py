"""An example of a competition: craters in images of a moon, several images of one region."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit import Box, Competition, DataError, Dataset, Problem, Sample, hookimpl

if TYPE_CHECKING:
    import numpy as np

KAGGLEKIT_API = 1
SIZE = (64, 96)
LAYOUT = """\
DIR/pictures/REGION-NUMBER.png     64x96, grey; all images
DIR/masks/REGION-NUMBER.png        255 where a crater is, of the training images
DIR/split.json                     {"train": [names], "test": [names]}
DIR/answers/REGION-NUMBER.png      optional: masks of the test images; then the submission is scored"""


class Metric:
    """The score of the contest, loaded when something is scored: plugins are imported by every `kk list`."""

    name = "F2 over the data set"
    greater_is_better = True

    def compare(self, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Counts of one image."""
        from craters_submission import F2

        return F2().compare(truth, mask)

    def reduce(self, statistics: np.ndarray) -> float:
        """The score of the counts of several."""
        from craters_submission import F2

        return F2().reduce(statistics)


@hookimpl
def kk_competition():
    """Who we are, and how we are usually solved."""
    return Competition(
        id="craters",
        title="Craters of a Moon",
        summary="Find craters; a missed one costs more than a false one.",
        classes=("crater",),
        task="binary",
        image_size=SIZE,
        metric=Metric(),
        layout=LAYOUT,
        space=search_space,
        sample_count=48,
        recipe={"folds": 4, "lr": 3e-3, "decoder": "unet/4", "loss": {"bce": 0.5, "dice": 0.5}},
        presets={
            "demo": {"fidelity.image_size": 64, "fidelity.epochs": 10},
            "full": {"fidelity.image_size": 64, "fidelity.epochs": 40},
        },
        references=("an example; nobody hosts it",),
    )


def search_space():
    """What is worth searching."""
    from optuna.distributions import FloatDistribution

    return {"lr": FloatDistribution(1e-4, 1e-2, log=True), "loss.dice": FloatDistribution(0.0, 1.0)}


@hookimpl
def kk_sample(root, count, seed, track):
    """Rings with a lit and a dark side; the folder appears when it is complete."""
    import numpy as np
    from PIL import Image

    part = root.with_name(root.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    total = count + max(4, count // 5)
    names = [f"region{number // 2:03d}-{number % 2}.png" for number in range(total)]
    try:
        for folder in ("pictures", "masks", "answers"):
            (part / folder).mkdir(parents=True)
        for number, name in enumerate(track(names, total, "drawing the sample")):
            image, mask = draw(np.random.default_rng((seed, number)))
            Image.fromarray(image).save(part / "pictures" / name)
            Image.fromarray(mask * np.uint8(255)).save(part / ("masks" if number < count else "answers") / name)
        (part / "split.json").write_text(json.dumps({"train": names[:count], "test": names[count:]}))
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 image `[64, 96]`, uint8 mask): bowls lit from the left, and pebbles, which are none."""
    import numpy as np

    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    image, mask = rng.normal(120, 12, SIZE), np.zeros(SIZE, np.uint8)
    for _ in range(rng.integers(1, 5)):
        y, x, radius = rng.uniform(8, SIZE[0] - 8), rng.uniform(8, SIZE[1] - 8), rng.uniform(5, 12)
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        image[inside] += 70 * (columns[inside] - x) / radius
        mask[inside] = 1
    for _ in range(rng.integers(5, 15)):
        y, x = rng.integers(0, SIZE[0] - 2), rng.integers(0, SIZE[1] - 2)
        image[y : y + 2, x : x + 2] += 60
    return np.clip(image, 0, 255).astype(np.uint8), mask


@hookimpl
def kk_dataset(root):
    """The folder as samples; images of one region are a group, which no split divides."""
    from craters_submission import PngZip

    from kagglekit.api import find_file

    root = Path(root)
    try:
        parts = json.loads((root / "split.json").read_text(encoding="utf-8"))
        names = {part: list(map(str, parts[part])) for part in ("train", "test")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{root}: split.json cannot be used ({error}); expected\n{LAYOUT}") from None
    masks = {name: find_file(root / "masks", name) for name in names["train"]}
    problems = [
        Problem(name, "image without mask", "it is not used") for name, mask in masks.items() if not mask.exists()
    ]
    skipped = {problem.sample for problem in problems}
    train = [
        Sample(name, find_file(root / "pictures", name), SIZE, masks[name], group=name.partition("-")[0])
        for name in names["train"]
        if name not in skipped
    ]
    test = [Sample(name, find_file(root / "pictures", name), SIZE) for name in names["test"]]
    if not train or not test:
        raise DataError(f"{root}: {len(train)} training and {len(test)} test images; expected\n{LAYOUT}")
    answers = {s.id: find_file(root / "answers", s.id) for s in test if find_file(root / "answers", s.id).exists()}
    return Craters(root, train, test, answers, problems, PngZip(names["test"]))


class Craters(Dataset):
    """Samples whose label is the path of a mask."""

    def __init__(self, root, train, test, answers, problems, submission):
        self.train, self.test, self.answers, self.problems = train, test, answers, problems
        self.submission = submission
        masks = [sample.label for sample in train]
        self.files = [root / "split.json", *masks, *(sample.image for sample in (*train, *test))]

    def read_image(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[64, 96, 3]`; the grey value three times, as encoders expect it."""
        from kagglekit.api import read_rgb

        return window(read_rgb(sample.image, sample.size), box)

    def read_mask(self, sample: Sample, box: Box | None = None) -> np.ndarray:
        """uint8 `[64, 96]`."""
        from kagglekit.api import read_binary_mask

        return window(read_binary_mask(sample.label, sample.size), box)


def window(array: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of an image or mask in a box, or all of it."""
    return array if box is None else array[box.top : box.top + box.height, box.left : box.left + box.width]
