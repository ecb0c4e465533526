"""The stages after the ensemble is chosen: validation scored as submitted, examples to show, the test submission."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit import progress
from kagglekit.data.resize import input_size, resize_image
from kagglekit.errors import DataError, PluginError
from kagglekit.predict.submission import Submission, write
from kagglekit.solution import Solution
from kagglekit.types import Dataset, Ensemble, Member, Postprocess, Prediction, Sample

if TYPE_CHECKING:
    import numpy as np

    from kagglekit.predict.infer import Predictor
    from kagglekit.predict.validation import ValidationProbs
    from kagglekit.report.run_page import Example

SHOWN = 6  # best, and as many worst


def score_validation(
    solution: Solution, dataset: Dataset, predictions: ValidationProbs, process: Postprocess
) -> np.ndarray:
    """The metric's statistics of validation masks encoded to rows, brought within limits, decoded again."""
    import numpy as np

    form, metric = dataset.submission, solution.competition.metric
    rows, truth = {}, {}
    for i in progress.track(range(len(predictions)), len(predictions), "encoding validation"):
        prediction = predictions[i]
        rows[prediction.sample] = form.encode(checked(process(prediction), prediction))
    rows = form.shrink(rows, share=min(1.0, len(rows) / max(1, len(dataset.test))))
    for i in predictions.ids:
        sample = predictions.samples[i]
        truth[i] = metric.compare(dataset.read_mask(sample), form.decode(rows[i], sample.size))
    return np.stack([truth[i] for i in predictions.ids])


def pick_examples(
    solution: Solution, dataset: Dataset, predictions: ValidationProbs, process: Postprocess, statistics: np.ndarray
) -> list[Example]:
    """The best and the worst validation predictions, best first."""
    from kagglekit.report.run_page import Example

    metric = solution.competition.metric
    scores = [metric.reduce(one[None]) for one in statistics]
    order = sorted(range(len(scores)), key=lambda i: -scores[i] if metric.greater_is_better else scores[i])
    shown = order if len(order) <= 2 * SHOWN else order[:SHOWN] + order[-SHOWN:]
    form = dataset.submission
    examples = []
    for i in shown:
        sample = predictions.samples[predictions.ids[i]]
        mask = form.decode(form.encode(process(predictions[i])), sample.size)
        examples.append(Example(sample.id, dataset.read_image(sample), dataset.read_mask(sample), mask, scores[i]))
    return examples


def predict_test(
    solution: Solution,
    dataset: Dataset,
    predictor: Predictor,
    chosen: Sequence[tuple[Member, float]],
    ensemble: Ensemble,
    process: Postprocess,
    folder: Path,
) -> Submission:
    """Predict every test sample and write the submission into the run folder; unreadable pictures get an empty mask."""
    import numpy as np

    from kagglekit.predict.infer import predict_all

    form, metric, recipe = dataset.submission, solution.competition.metric, solution.recipe
    weights = np.array([weight for _, weight in chosen])
    unreadable: list[str] = []

    def read(sample: Sample) -> np.ndarray | None:
        try:
            return resize_image(dataset.read_image(sample), input_size(sample.size, recipe.fidelity.image_size))
        except DataError as error:
            unreadable.append(str(error))
            return None

    rows, losses = {}, []
    stream = predict_all(predictor, dataset.test, read, recipe.batch_size)
    for sample, probs in progress.track(stream, len(dataset.test), "predicting test"):
        if probs is None:
            planes = (len(solution.competition.classes),) if solution.competition.task == "multilabel" else ()
            rows[sample.id] = form.encode(np.zeros((*sample.size, *planes), np.uint8))
            continue
        prediction = Prediction(ensemble.combine(probs, weights), sample.size, sample.id)
        mask = checked(process(prediction), prediction)
        rows[sample.id] = form.encode(mask)
        losses.append(metric.compare(mask, form.decode(rows[sample.id], sample.size)))
    if unreadable:
        progress.say(
            f"{len(unreadable)} test picture(s) cannot be read and get an empty mask; the first: {unreadable[0]}"
        )
    return write(form, folder / form.filename, rows, {s.id: s.size for s in dataset.test}, losses, metric)


def checked(mask: np.ndarray, prediction: Prediction) -> np.ndarray:
    """`mask` itself; raises PluginError when post-processing changed its size."""
    if mask.shape[:2] != tuple(prediction.size):
        raise PluginError(
            f"kk_postprocess(): the mask of {prediction.sample} is {mask.shape[:2]}; expected {tuple(prediction.size)}"
        )
    return mask
