"""The training of one network, as `train.fit` takes it, made of a solution and its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit import progress
from kagglekit.pipeline.prepare import Data, Split
from kagglekit.plugin.solution import Solution

if TYPE_CHECKING:
    from kagglekit.train.fit import Job


def job_of(solution: Solution, data: Data, part: Split, folder_of_part: Path, **more: Any) -> Job:
    """The training of one network; `more` are further fields of the job."""
    from kagglekit.data.windows import windows_with_tissue
    from kagglekit.train.fit import Job

    window, store = solution.recipe.fidelity.image_size, data.store.relabelled(part.labels)
    return Job.of(
        solution,
        data.dataset,
        part.train,
        store,
        input_transform=data.input_transform,
        validation=windows_with_tissue(store, part.validation, window, window),
        folder=folder_of_part,
        fold=part.fold,
        track=progress.track,
        say=progress.say,
        **more,
    )
