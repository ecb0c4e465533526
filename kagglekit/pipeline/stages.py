"""The stages after the ensemble is chosen: validation scored as submitted, examples to show, the test submission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from kagglekit import progress
from kagglekit.data.input_transform import as_rgb
from kagglekit.data.resize import input_size, resize_image, stored_size, tiling_of
from kagglekit.data.store import Store
from kagglekit.errors import DataError, PluginError
from kagglekit.metrics import Pooled
from kagglekit.pipeline.prepare import Data
from kagglekit.pipeline.validation import Blocks, Held, Truths, ValidationProbs
from kagglekit.predict.infer import Predictor, predict_all
from kagglekit.predict.postprocess import MOST, Gate, gate, prepared
from kagglekit.predict.stripes import column_stripes, stripe_width
from kagglekit.predict.submission import Submission, compare_row, write
from kagglekit.predict.tiles import ShrunkRows, predict_rows, stitched
from kagglekit.protocols import Metric, Postprocess, SubmissionFormat
from kagglekit.types import Items, Prediction, Sample

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.recipe import Recipe
    from kagglekit.report.run_page import Example

SHOWN = 6  # best, and as many worst
BLOCK = 256  # stored pixels of the blocks on which settings are tuned where images are tiled
WINDOW = 384  # stored pixels of the windows of tiled images that are shown


def choose_settings(process: Postprocess, data: Data, predictions: Held, metric: Metric) -> Gate | None:
    """Fit a post-processing on validation."""
    return gate(process, *tuning_parts(data, predictions, metric)) if hasattr(process, "fit") else None


class Parts(NamedTuple):
    """Predictions and truths that settings are tuned on, and by which metric."""

    predictions: Items[Prediction]
    truths: Items[np.ndarray]
    metric: Metric


def tuning_parts(data: Data, predictions: Held, metric: Metric) -> Parts:
    """What settings are tuned on: images, or blocks of those that are tiled."""
    if data.store.tiling is None or not isinstance(predictions, ValidationProbs):
        return Parts(predictions, Truths(data.dataset, predictions.samples), metric)
    return Parts(*Blocks(predictions, BLOCK, MOST).pairs(), Pooled(metric))


def encode(form: SubmissionFormat, process: Postprocess, prediction: Prediction, store: Store) -> Any:
    """The row of a prediction; of a tiled one stripe by stripe."""
    prediction = prepared(process, prediction)
    if store.tiling is None:
        return form.encode(checked(process(prediction), prediction))
    sums: list[int] = []
    stripes = column_stripes(process, prediction, store.tiling, store.task)
    row = form.encode_stripes(_summed(stripes, sums), prediction.size)
    again = form.decode_stripes(row, prediction.size, stripe_width(prediction.size, store.tiling.reduce))
    if any(crc32(mask) != one for mask, one in zip(map(_bytes, again), sums, strict=True)):
        raise PluginError(f"{type(form).__name__}: {prediction.sample}: decoding the row gave another mask")
    return row


def _summed(stripes: Iterable[np.ndarray], sums: list[int]) -> Iterator[np.ndarray]:
    """The same stripes; their check sums go to `sums`, so that a mask need not be kept to be compared."""
    for mask in stripes:
        sums.append(crc32(_bytes(mask)))
        yield mask


def _bytes(mask: np.ndarray) -> memoryview:
    import numpy as np

    return np.ascontiguousarray(mask).data


def score_validation(data: Data, predictions: Held, process: Postprocess, metric: Metric) -> np.ndarray:
    """The metric's counts of validation masks encoded to rows, brought within limits, decoded again."""
    import numpy as np

    form, found = data.dataset.submission, {}
    for i in progress.track(range(len(predictions)), len(predictions), "encoding validation"):
        prediction = predictions[i]
        found[prediction.sample] = encode(form, process, prediction, data.store)
    rows = form.shrink(found, share=min(1.0, len(found) / max(1, len(data.dataset.test))))
    return np.stack([compare_row(data.dataset, sample, rows[sample.id], metric) for sample in predictions.samples])


def pick_examples(
    data: Data, predictions: ValidationProbs, process: Postprocess, counts: np.ndarray, metric: Metric
) -> list[Example]:
    """The best and the worst validation predictions, best first; of tiled images, windows of them."""
    if data.store.tiling is not None:
        examples = list(_window_examples(data, predictions, process, metric))
        scores = [example.score for example in examples]
        return [examples[i] for i in _best_and_worst(scores, metric)]
    scores = [metric.reduce(one[None]) for one in counts]
    return [_example(data, predictions, process, i, scores[i]) for i in _best_and_worst(scores, metric)]


def _best_and_worst(scores: Sequence[float], metric: Metric) -> list[int]:
    order = sorted(range(len(scores)), key=lambda i: -scores[i] if metric.greater_is_better else scores[i])
    return order if len(order) <= 2 * SHOWN else order[:SHOWN] + order[-SHOWN:]


def _example(data: Data, predictions: ValidationProbs, process: Postprocess, i: int, score: float) -> Example:
    """One prediction to show, the image brought to the size of its mask."""
    from kagglekit.report.run_page import Example

    dataset, form, sample = data.dataset, data.dataset.submission, predictions.samples[i]
    mask = form.decode(form.encode(process(prepared(process, predictions[i]))), sample.truth_size)
    shown = as_rgb(dataset.read_image(sample), data.input_transform)
    return Example(sample.id, resize_image(shown, mask.shape[:2]), dataset.read_truth(sample), mask, score)


def _window_examples(
    data: Data, predictions: ValidationProbs, process: Postprocess, metric: Metric
) -> Iterator[Example]:
    """Windows of tiled images in which truth or prediction show something, at the store's scale."""
    from kagglekit.report.run_page import Example

    windows, truths = Blocks(predictions, WINDOW, MOST).pairs()
    for number, (window, truth) in enumerate(zip(windows, truths, strict=True), 1):
        mask = process(prepared(process, window))
        if window.image is not None and (truth.any() or mask.any()):
            score = metric.reduce(metric.compare(truth, mask)[None])
            name = f"{window.sample}, window {number}"
            yield Example(name, as_rgb(window.image, data.input_transform), truth.copy(), mask, score)


def predict_test(
    data: Data, predictor: Predictor, process: Postprocess, recipe: Recipe, metric: Metric, folder: Path
) -> Submission:
    """Predict every test sample and write the submission into the run folder."""
    unreadable: list[str] = []
    predictions = (predict_by_window if data.store.tiling else predict_images)(data, predictor, recipe, unreadable)
    return write_test(data, predictions, unreadable, process, metric, folder)


Predictions = Iterator[tuple[Sample, Prediction | None]]
"""(sample, prediction) of the test images; None where one cannot be read."""


def write_test(
    data: Data, predictions: Predictions, unreadable: list[str], process: Postprocess, metric: Metric, folder: Path
) -> Submission:
    """Write the submission of the test predictions; images in `unreadable`, filled meanwhile, get an empty mask."""
    dataset, store, form = data.dataset, data.store, data.dataset.submission
    rows, losses = {}, []
    for sample, prediction in progress.track(predictions, len(dataset.test), "predicting test"):
        if prediction is None:
            rows[sample.id] = empty_row(form, sample, store)
            continue
        if store.tiling is not None:
            rows[sample.id] = encode(form, process, prediction, store)  # which refuses any loss
            continue
        prediction = prepared(process, prediction)
        mask = checked(process(prediction), prediction)
        rows[sample.id] = form.encode(mask)
        losses.append(metric.compare(mask, form.decode(rows[sample.id], sample.truth_size)))
    if unreadable:
        progress.say(
            f"{len(unreadable)} test image(s) cannot be read and get an empty mask; the first: {unreadable[0]}"
        )
    return write(form, folder / form.filename, rows, {s.id: s.truth_size for s in dataset.test}, losses, metric)


def predict_images(data: Data, predictor: Predictor, recipe: Recipe, unreadable: list[str]) -> Predictions:
    """(sample, prediction) of the test images; None, and a word in `unreadable`, where one cannot be read."""

    def read(sample: Sample) -> np.ndarray | None:
        try:
            return resize_image(data.dataset.read_image(sample), input_size(sample.size, recipe.fidelity.image_size))
        except DataError as error:
            unreadable.append(str(error))
            return None

    for answer in predict_all(predictor, data.dataset.test, read, recipe.batch_size):
        sample = answer.item
        yield sample, None if answer.probs is None else answer.combined(predictor, sample.truth_size, sample.id)


def predict_by_window(data: Data, predictor: Predictor, recipe: Recipe, unreadable: list[str]) -> Predictions:
    """The same for tiled images, one after the other, each read once from top to bottom."""
    tiling, window = tiling_of(data.store.tiling), recipe.fidelity.image_size
    for sample in data.dataset.test:
        size = stored_size(sample.size, window, tiling)
        rows = ShrunkRows(partial(data.dataset.read_image, sample), sample.size, tiling.reduce)
        parts = predict_rows(predictor, rows, size, window, tiling, recipe.batch_size)
        try:
            probs = stitched(parts, size, predictor.combine, data.store.classes)
        except DataError as error:
            unreadable.append(str(error))
            yield sample, None
            continue
        yield sample, Prediction(probs, sample.truth_size, sample.id)


def empty_row(form: SubmissionFormat, sample: Sample, store: Store) -> Any:
    """The row of a mask without foreground."""
    import numpy as np

    planes = (store.classes,) if store.task == "multilabel" else ()
    height, width = sample.truth_size
    if store.tiling is None:
        return form.encode(np.zeros((height, width, *planes), np.uint8))
    part = stripe_width(sample.truth_size, store.tiling.reduce)
    lefts = range(0, width, part)
    return form.encode_stripes(
        (np.zeros((height, min(part, width - left), *planes), np.uint8) for left in lefts), sample.truth_size
    )


def checked(mask: np.ndarray, prediction: Prediction) -> np.ndarray:
    """`mask` itself; raises PluginError when post-processing changed its size."""
    if mask.shape[:2] != tuple(prediction.size):
        raise PluginError(
            f"kk_postprocess(): the mask of {prediction.sample} is {mask.shape[:2]}; expected {tuple(prediction.size)}"
        )
    return mask
