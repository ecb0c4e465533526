"""Draws docs/images/techniques/: what distortions and post-processing do, before and after, on drawn sample data.

Every image is made by the technique itself, out of a competition's own sample data; predictions are the truth,
blurred, with doubts added, because no network is trained here. Run it after changing a technique:
`python docs/pictures.py`.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from kagglekit.data.loader import distort
from kagglekit.data.resize import resize_image
from kagglekit.data.store import Store, open_store
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import Solution, resolve
from kagglekit.protocols import Dataset
from kagglekit.recipe import compose
from kagglekit.types import Prediction, untracked

FOLDER = Path(__file__).parent / "images" / "techniques"
HEIGHT, GAP, QUALITY = 256, 8, 80
COLOURS = [(255, 40, 120), (40, 200, 255), (255, 200, 30), (90, 255, 90), (190, 120, 255), (255, 130, 40)]
Pair = tuple[np.ndarray, np.ndarray]
Process = Callable[[Prediction], np.ndarray]


@dataclass
class World:
    """A competition with its sample data, decoded at 256 pixels."""

    id: str
    dataset: Dataset
    store: Store

    @classmethod
    def drawn(cls, id: str, folder: Path, count: int) -> "World":
        """Draws the data."""
        plain = solution_of(id)
        root = plain.sample(folder / id, count, 1, untracked)
        dataset, competition = plain.dataset(root), plain.competition
        store = open_store(folder / "cache", id, dataset, HEIGHT, competition.task, len(competition.classes))
        store.fill(dataset, dataset.train)
        return cls(id, dataset, store)

    def pairs(self) -> list[Pair]:
        """(image, mask) of all training samples."""
        return [self.store.read(sample) for sample in self.dataset.train]


def solution_of(id: str, *techniques: str, **settings) -> Solution:
    """The solution of a competition with these techniques alone, the last one with settings."""
    specs = [{"name": name, "settings": settings if name == techniques[-1] else {}} for name in techniques]
    recipe, _ = compose([("docs", {"competition": id, "encoder_weights": "none", "techniques": specs})])
    return resolve(recipe, discover())


def still(image: np.ndarray, mask: np.ndarray) -> Pair:
    """The competition's own distortions, left out so that only the technique is seen."""
    return image, mask


def distortion(world: World, name: str, wanted: Callable[[Pair, Pair], float], **settings) -> tuple[Pair, Pair]:
    """The image before and after a distortion: of some tries the one of which `wanted` is largest."""
    augment = solution_of(world.id, name, **settings).augment(world.dataset, world.dataset.train, world.store)
    if hasattr(augment, "inner"):
        augment = replace(augment, inner=still)
    tries = [
        (pair, distort(augment, *pair, (number, seed)))
        for number, pair in enumerate(world.pairs())
        for seed in range(4)
    ]
    return max(tries, key=lambda pair: wanted(*pair))


def predictions(world: World, doubt: float) -> Iterator[tuple[Prediction, np.ndarray]]:
    """(a guess that is right in most places, the truth) of every training sample; heads know which classes it shows."""
    for number, (image, mask) in enumerate(world.pairs()):
        rng = np.random.default_rng(number)
        if world.store.task == "multiclass":
            planes = np.stack([mask == k for k in range(world.store.classes)])
        else:
            planes = np.moveaxis(mask, -1, 0) if mask.ndim == 3 else mask[None]
        sure = np.stack([cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 3) for plane in planes])
        doubts = np.stack([cv2.GaussianBlur(rng.normal(0, 1, plane.shape), (0, 0), 4) for plane in planes])
        probs = np.clip(0.1 + 0.75 * sure + doubt * doubts / doubts.std(), 0, 1).astype(np.float32)
        if world.store.task == "multiclass":
            probs /= probs.sum(0)
        heads = np.where(planes.any((1, 2)), 0.9, 0.1)
        yield Prediction(probs, mask.shape[:2], classes=heads, image=image), mask


def processed(world: World, before: Process, after: Process, doubt: float) -> tuple[Pair, Pair]:
    """A mask without and with a post-processing: of all samples the one that gains most correct pixels."""
    pairs = []
    for prediction, truth in predictions(world, doubt):
        old, new = (process(prediction) for process in (before, after))
        gain = np.count_nonzero(new == truth) - np.count_nonzero(old == truth)
        pairs.append((gain, (prediction.image, old), (prediction.image, new)))
    return max(pairs, key=lambda pair: pair[0])[1:]


def by_names(world: World, before: list[str], name: str, doubt: float, **settings) -> tuple[Pair, Pair]:
    """The same for a technique with settings, after those named `before`."""
    old, new = (
        solution_of(world.id, *before).postprocess(),
        solution_of(world.id, *before, name, **settings).postprocess(),
    )
    return processed(world, old, new, doubt)


def joined(world: World) -> tuple[Pair, Pair]:
    """What is submitted without and with bridges, of the image that gains most by them."""
    form = replace(world.dataset.submission, min_area=75)

    def submitted(process: Process) -> Process:
        return lambda prediction: form.decode(form.encode(process(prediction)), prediction.size)

    alone, bridged = (submitted(solution_of(world.id, *names).postprocess()) for names in ((), ("bridge",)))
    return processed(world, alone, bridged, 0.0)


def panel(image: np.ndarray, mask: np.ndarray, first: int) -> np.ndarray:
    """The image, each class of its mask outlined and tinted."""
    height = min(HEIGHT, 220 if image.shape[1] > image.shape[0] else HEIGHT)
    size = height, round(image.shape[1] * height / image.shape[0])
    resized, drawn = resize_image(image, size), []
    labels = mask if mask.ndim == 3 else np.stack([mask == k for k in range(first, 1 + max(first, mask.max()))], -1)
    for k in range(labels.shape[-1]):
        plane = cv2.resize(labels[..., k].astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        shown, colour = plane > 0, np.array(COLOURS[k % len(COLOURS)])
        resized = np.where(shown[..., None], 0.72 * resized + 0.28 * colour, resized).astype(np.uint8)
        contours, _ = cv2.findContours(plane, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        drawn.append((contours, colour.tolist()))
    for contours, colour in drawn:
        cv2.drawContours(resized, contours, -1, colour, 1, cv2.LINE_AA)
    return resized


def write(name: str, before: Pair, after: Pair) -> None:
    """Both panels beside each other as a JPEG."""
    panels = [panel(*pair, 1) for pair in (before, after)]
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    sheet = np.concatenate([panels[0], gap, panels[1]], 1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.jpg"
    if not cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"{path} could not be written")


def changed(before: Pair, after: Pair) -> float:
    """How much a distortion changed of a mask."""
    return np.count_nonzero(before[1] != after[1])


def middling(before: Pair, after: Pair) -> float:
    """Largest where a seventh of the mask changed: enough to be seen, little enough to be recognised."""
    return -abs((before[1] != after[1]).mean() - 0.15)


def brighter(before: Pair, after: Pair) -> float:
    """How much brighter an image became."""
    return after[0].astype(float).mean() - before[0].mean()


def draw(folder: Path) -> None:
    """All images."""
    hair = World.drawn("hair-seg", folder, 16)
    trash = World.drawn("recycling", folder, 24)
    clouds = World.drawn("clouds", folder, 12)
    sheets = {
        "self-mix": distortion(hair, "self-mix", changed, p=1.0),
        "coloring": distortion(hair, "coloring", brighter, p=1.0),
        "light-augment": distortion(hair, "light-augment", middling),
        "heavy-augment": distortion(trash, "heavy-augment", middling),
        "object-paste": distortion(trash, "object-paste", changed, p=1.0, avoid=("Plastic bag",), area=(0.04, 0.2)),
        "swath-paint": distortion(clouds, "swath-paint", middling, p=1.0),
        "bridge": joined(hair),
        "min-area": by_names(trash, [], "min-area", 0.2, area=0.01),
        "fill-holes": by_names(hair, ["bridge"], "fill-holes", 0.18, area=0.01),
        "dense-crf": by_names(trash, [], "dense-crf", 0.12),
        "triplet-threshold": by_names(clouds, [], "triplet-threshold", 0.18),
        "class-gate": by_names(clouds, [], "class-gate", 0.18, head=0.9),
        "swath-zero": by_names(clouds, [], "swath-zero", 0.1),
    }
    every = solution_of("hair-seg", "bridge", "largest-component").postprocess()
    one = replace(every, choices=(1.0,))  # as validation chooses it where it helps
    sheets["largest-component"] = processed(hair, every, one, 0.18)
    for name, (before, after) in sheets.items():
        write(name, before, after)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        draw(Path(place))
