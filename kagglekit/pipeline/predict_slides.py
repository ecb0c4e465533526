"""Masks of large images for people: a tiled TIFF written row by row, and an overlay of the size of a screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.input_transform import as_rgb
from kagglekit.data.readers.slides import Slide
from kagglekit.data.resize import stored_size, tiling_of
from kagglekit.files import write_with
from kagglekit.pipeline.loaded_run import Loaded, sure_part
from kagglekit.pipeline.overlay import write_overlay
from kagglekit.predict.postprocess import prepared
from kagglekit.predict.stripes import row_stripes
from kagglekit.predict.tiles import Rows, ShrunkRows, predict_rows, stitched
from kagglekit.types import Prediction

if TYPE_CHECKING:
    import numpy as np

TILE = 512  # pixels of a tile of the mask
SCREEN = 1600  # pixels of the longer side of the overlay


def slide_of(loaded: Loaded, slide: Slide) -> tuple[Prediction, np.ndarray]:
    """The prediction of a large image, and the image `[h, w, C]` at the size of a screen."""
    import numpy as np

    recipe, tiling = loaded.solution.recipe, tiling_of(loaded.tiling)
    window = recipe.fidelity.image_size
    size = stored_size(slide.size, window, tiling)
    stride = max(1, -(-max(size) // SCREEN))
    small: list[np.ndarray] = []
    rows = _watched(ShrunkRows(slide.read, slide.size, tiling.reduce), small, stride)
    parts = predict_rows(loaded.predictor, rows, size, window, tiling, recipe.batch_size)
    probs = stitched(parts, size, loaded.predictor.combine, len(loaded.solution.competition.classes))
    return Prediction(probs, slide.size, slide.path.name), np.stack(small)


def _watched(rows: Rows, small: list[np.ndarray], stride: int) -> Rows:
    """The same rows; every `stride`-th is kept in `small`."""

    def read(top: int, bottom: int) -> np.ndarray:
        band = rows(top, bottom)
        for row in range(len(small) * stride, bottom, stride):
            small.append(band[row - top, ::stride].copy())
        return band

    return read


def save_large(
    loaded: Loaded, prediction: Prediction, small: np.ndarray, out: Path, name: str
) -> tuple[str, float, list[float]]:
    """Write `NAME.tif` (0 and 255, or class indices; a channel per class of a multilabel task) and an overlay."""
    import numpy as np
    import tifffile

    competition = loaded.solution.competition
    prediction = prepared(loaded.process, prediction)
    counts = np.zeros(len(competition.classes), np.int64)
    height, width = prediction.size
    planes = (len(counts),) if competition.task == "multilabel" else ()
    shrunk = np.zeros((*small.shape[:2], *planes), np.uint8)
    stripes = _counted(loaded, prediction, counts, shrunk)

    def fill(path: Path) -> None:
        tifffile.imwrite(
            path,
            _tiles(stripes, width),
            shape=(height, width, *planes),
            dtype=np.uint8,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            planarconfig="contig" if planes else None,
        )

    write_with(out / f"{name}.tif", fill)
    found = np.asarray(shrunk.any(-1)) if planes else shrunk > 0
    write_overlay(out / f"{name}-overlay.jpg", as_rgb(small, loaded.input_transform), found)
    return f"{name}.tif", sure_part(prediction.probs, competition.task), (counts / (height * width)).tolist()


def _counted(loaded: Loaded, prediction: Prediction, counts: np.ndarray, shrunk: np.ndarray) -> Iterator[np.ndarray]:
    """Stripes of `TILE` rows; the pixels of each class are added to `counts`, a sample of them goes to `shrunk`."""
    import numpy as np

    task, stride = loaded.solution.competition.task, -(-prediction.size[0] // len(shrunk))
    tops = range(0, prediction.size[0], TILE)
    parts = row_stripes(loaded.process, prediction, tiling_of(loaded.tiling), task, TILE)
    for top, mask in zip(tops, parts, strict=True):
        if task == "multiclass":
            counts += np.bincount(mask.ravel(), minlength=len(counts))
        else:
            counts += np.count_nonzero(mask.reshape(-1, len(counts)), axis=0)
        for row in range(-(-top // stride), min(len(shrunk), -(-(top + len(mask)) // stride))):
            line = mask[row * stride - top, ::stride]
            shrunk[row, : len(line)] = line[: shrunk.shape[1]]
        yield mask if task == "multiclass" else mask * np.uint8(255)


def _tiles(stripes: Iterator[np.ndarray], width: int) -> Iterator[np.ndarray]:
    """The tiles of the stripes as the TIFF writer wants them: whole, in rows."""
    import numpy as np

    for mask in stripes:
        for left in range(0, width, TILE):
            tile = mask[:, left : left + TILE]
            short = ((0, TILE - tile.shape[0]), (0, TILE - tile.shape[1]), *((0, 0),) * (tile.ndim - 2))
            yield np.pad(tile, short)
