"""kagglekit: run, tune, take apart and write up solutions of image-segmentation competitions.

Public names only; importing this loads no torch, numpy or pydantic.
"""

from kagglekit.competition import Competition, Published
from kagglekit.errors import DataError, KagglekitError, PluginError, RecipeError, RunError, SubmissionError
from kagglekit.plugin.guards import loading as _loading
from kagglekit.plugin.hookspecs import hookimpl
from kagglekit.protocols import Dataset, Ensemble, InputTransform, Metric, Postprocess, SubmissionFormat
from kagglekit.types import Box, Draw, Finding, Member, ModelOutput, Prediction, Problem, Sample, Score, Tiling, View

_loading()
__version__ = "0.1.0"
__all__ = [
    "Box",
    "Competition",
    "DataError",
    "Dataset",
    "Draw",
    "Ensemble",
    "Finding",
    "InputTransform",
    "KagglekitError",
    "Member",
    "Metric",
    "ModelOutput",
    "PluginError",
    "Postprocess",
    "Prediction",
    "Problem",
    "Published",
    "Recipe",
    "RecipeError",
    "RunError",
    "Sample",
    "Score",
    "SubmissionError",
    "SubmissionFormat",
    "Tiling",
    "View",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name == "Recipe":  # pydantic takes longer to import than `kk --help` takes altogether
        from kagglekit.recipe import Recipe

        return Recipe
    if name == "Intake":  # its name in plugins written before `kagglekit.api`
        return InputTransform
    raise AttributeError(f"module 'kagglekit' has no attribute {name!r}")
