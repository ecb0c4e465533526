"""Which windows of large images an epoch draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from kagglekit import Box, Dataset, Draw, RecipeError, Sample, hookimpl

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.api import Store

CELL = 16  # stored pixels: the places of windows are drawn on a grid this fine, then within it


def refuse_untiled(dataset: Dataset, name: str) -> None:
    """Raise RecipeError for a data set whose images are looked at whole."""
    if dataset.tiling is None:
        raise RecipeError(
            f"techniques.{name}: the images of this competition are looked at whole, there are no windows to draw; "
            f"use --without {name}"
        )


@dataclass(frozen=True)
class RandomWindows:
    """Draw windows at random places, `p_foreground` of them around a labelled pixel, the rest where there is tissue.

    A fixed grid puts an object always at the same place of its window; random ones put it at many, each as good as a
    new sample (the seminar's point; 4th place of the glomeruli contest drew 90% around objects, nnU-Net forces 33%).
    `per_epoch` windows, 0 for as many as a grid without overlap has. `anatomy` weighs regions by name, like
    "cortex=0.5,medulla=0.16,background=0.02": the rest is drawn by these densities where an image has such regions
    (background: tissue in none of them). Images are drawn in proportion to their tissue.
    """

    name: ClassVar[str] = "random-windows"
    p_foreground: float = 0.5
    per_epoch: int = 0
    anatomy: str = ""

    def __post_init__(self):
        if not 0 <= self.p_foreground <= 1 or self.per_epoch < 0:
            raise ValueError("p_foreground must lie in 0..1, per_epoch be 0 (as many as a grid has) or more")
        parse_anatomy(self.anatomy)

    @classmethod
    def suggest(cls, facts):
        """Where images are looked at through windows."""
        if not facts["pictures"]["tiled"]:
            return None
        return (
            f"{facts['counts']['train']} slides are few images, but many windows: at random places an object "
            "is seen at many places of its window."
        )

    @hookimpl(wrapper=True)
    def kk_sampler(self, dataset, samples, recipe, store):
        """Random windows instead of what was drawn before."""
        inner = yield
        refuse_untiled(dataset, self.name)
        window = recipe.fidelity.image_size
        density = parse_anatomy(self.anatomy)
        maps = tuple(_maps(dataset, store, sample, density) for sample in samples)
        count = self.per_epoch or sum(1 for _ in inner(0))
        return RandomSampler(tuple(samples), maps, window, count, self.p_foreground, recipe.seed)


def parse_anatomy(text: str) -> dict[str, float]:
    """Weights by region of "name=weight,..."; raises ValueError."""
    weights = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, weight = part.partition("=")
        try:
            weights[name.strip().lower()] = float(weight)
        except ValueError:
            equals = ""
        if not equals or weights.get(name.strip().lower(), -1) < 0:
            raise ValueError(f'anatomy: {part!r} is no "name=weight" with a weight of 0 or more')
    return weights


@dataclass(frozen=True)
class Maps:
    """Where windows of one image may be centred, on a grid of cells: cumulative densities of both kinds."""

    foreground: np.ndarray
    tissue: np.ndarray
    size: tuple[int, int]  # of the stored image


def _maps(dataset: Dataset, store: Store, sample: Sample, density: Mapping[str, float]) -> Maps:
    import numpy as np

    from kagglekit.api import tissue_mask

    height, width = (-(-side // CELL) for side in store.shape(sample))
    image, mask = store.read(sample)
    foreground, tissue = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for row in range(height):  # a band at a time: the mask of a slide's tissue is as large as the slide
        band = slice(row * CELL, (row + 1) * CELL)
        foreground[row] = _cells(mask[band] > 0, width)
        tissue[row] = _cells(tissue_mask(image[band], store.tiling), width)
    tissue *= _weights(dataset.regions(sample, (height, width)) if density else {}, density, (height, width))
    return Maps(np.cumsum(foreground), np.cumsum(tissue), store.shape(sample))


def _cells(band: np.ndarray, width: int) -> np.ndarray:
    """Pixels set in each cell of one row of cells."""
    import numpy as np

    columns = band.reshape(len(band), -1, *band.shape[2:]).any(-1) if band.ndim == 3 else band
    return np.add.reduceat(columns.sum(0), np.arange(0, columns.shape[1], CELL))[:width]


def _weights(regions: Mapping[str, np.ndarray], density: Mapping[str, float], size: tuple[int, int]) -> np.ndarray:
    """How much each cell counts: the weight of the last region named that holds it; 1 where regions are unknown."""
    import numpy as np

    known = {name: regions[name] for name in density if name in regions}
    if not known:
        return np.ones(size, np.float32)
    weights = np.full(size, density.get("background", 0.0), np.float32)
    for name, region in known.items():
        weights[region] = density[name]
    return weights


@dataclass(frozen=True)
class RandomSampler:
    """The windows of an epoch; they depend on (seed, epoch) alone."""

    samples: Sequence[Sample]
    maps: Sequence[Maps] = field(repr=False)
    window: int
    count: int
    p_foreground: float
    seed: int

    def __call__(self, epoch: int) -> Iterator[Draw]:
        """The draws of one epoch."""
        import numpy as np

        rng = np.random.default_rng((self.seed, epoch, self.window))
        totals = {kind: np.array([getattr(m, kind)[-1] for m in self.maps], float) for kind in ("foreground", "tissue")}
        for _ in range(self.count):
            kind = "foreground" if rng.random() < self.p_foreground else "tissue"
            total = totals[kind] if totals[kind].sum() else totals["tissue"]
            kind = kind if totals[kind].sum() else "tissue"
            if not total.sum():
                raise RecipeError("techniques.random-windows: the training images show no tissue to draw windows from")
            at = int(rng.choice(len(self.samples), p=total / total.sum()))
            yield Draw(self.samples[at], self._box(rng, self.maps[at], kind))

    def _box(self, rng: np.random.Generator, maps: Maps, kind: str) -> Box:
        """A window that holds a place of this kind, anywhere in its inner half."""
        import numpy as np

        density = getattr(maps, kind)
        cell = int(np.searchsorted(density, rng.random() * density[-1], side="right"))
        row, column = divmod(min(cell, len(density) - 1), -(-maps.size[1] // CELL))
        quarter = self.window // 4
        corner = []
        for place, side in ((row, maps.size[0]), (column, maps.size[1])):
            start = CELL * place + int(rng.integers(CELL)) - int(rng.integers(quarter, self.window - quarter + 1))
            # Windows stay inside, as far as images are large enough: repeated edges are not what inference shows.
            corner.append(max(0, min(start, side - self.window)))
        top, left = corner
        return Box(top, left, self.window, self.window)


@dataclass(frozen=True)
class GridWindows:
    """Draw the windows of a regular grid that show tissue, each once, in random order.

    `overlap` is the part of a window that the next one shows again. `shift` moves the grid up and left by part of a
    window; 1st place of the glomeruli contest joined the grids of shift 0 and 0.5, as `both` does.
    """

    name: ClassVar[str] = "grid-windows"
    overlap: float = 0.0
    shift: float = 0.0
    both: bool = False

    def __post_init__(self):
        if not 0 <= self.overlap <= 0.9 or not 0 <= self.shift < 1:
            raise ValueError("overlap must lie in 0..0.9, shift in 0..1 (1 excluded)")

    @hookimpl(wrapper=True)
    def kk_sampler(self, dataset, samples, recipe, store):
        """The windows of a grid instead of what was drawn before."""
        yield
        refuse_untiled(dataset, self.name)
        from kagglekit.api import Shuffle, windows_with_tissue

        window = recipe.fidelity.image_size
        step = max(1, round(window * (1 - self.overlap)))
        shifts = {self.shift, (self.shift + 0.5) % 1} if self.both else {self.shift}
        draws = []
        for shift in sorted(shifts):
            moved = round(shift * window)
            draws += windows_with_tissue(store, samples, window, step, (moved, moved))
        return Shuffle(tuple(draws), recipe.seed)
