"""Everything that plugins and programs may use: it changes only together with `API`.

Names come on demand, so that importing this module loads nothing heavy. docs/api.md lists them with a sentence each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kagglekit import hookimpl as hookimpl
    from kagglekit import progress as progress
    from kagglekit.clean import decisions as decisions
    from kagglekit.competition import Competition as Competition
    from kagglekit.competition import Published as Published
    from kagglekit.data import duplicates as duplicates
    from kagglekit.data import names as filenames
    from kagglekit.data import thumbs as thumbs
    from kagglekit.data.codecs import json_text as json_text
    from kagglekit.data.codecs import mask_png as mask_png
    from kagglekit.data.codecs import rle as rle
    from kagglekit.data.codecs.coco import UNREADABLE as UNREADABLE_SEGMENTATION
    from kagglekit.data.codecs.coco import Coco as Coco
    from kagglekit.data.codecs.coco import Id as CocoId
    from kagglekit.data.codecs.coco import Segmentation as Segmentation
    from kagglekit.data.codecs.coco import annotation_mask as annotation_mask
    from kagglekit.data.codecs.coco import read_coco as read_coco
    from kagglekit.data.codecs.rows import read_rows as read_rows
    from kagglekit.data.codecs.rows import read_table as read_table
    from kagglekit.data.codecs.rows import require_ids as require_ids
    from kagglekit.data.codecs.rows import whole_number as whole_number
    from kagglekit.data.codecs.rows import write_rows as write_rows
    from kagglekit.data.fingerprint import fingerprint as fingerprint
    from kagglekit.data.fingerprint import hash_file as hash_file
    from kagglekit.data.folds import assign as assign_folds
    from kagglekit.data.input_transform import Plain as PlainIntake
    from kagglekit.data.loader import applied as applied
    from kagglekit.data.loader import batches as batches
    from kagglekit.data.loader import distort as distort
    from kagglekit.data.loader import seed_all as seed_all
    from kagglekit.data.loader import to_target as to_target
    from kagglekit.data.readers.images import describe as describe_image
    from kagglekit.data.readers.images import list_pictures as list_pictures
    from kagglekit.data.readers.images import read_picture as read_picture
    from kagglekit.data.readers.images import read_rgb as read_rgb
    from kagglekit.data.readers.mask_files import read_binary as read_binary_mask
    from kagglekit.data.readers.slides import Slide as Slide
    from kagglekit.data.resize import input_size as input_size
    from kagglekit.data.resize import resize_image as resize_image
    from kagglekit.data.resize import resize_mask as resize_mask
    from kagglekit.data.resize import resize_probs as resize_probs
    from kagglekit.data.sampling import Shuffle as Shuffle
    from kagglekit.data.sampling import albumentations as albumentations
    from kagglekit.data.store import Store as Store
    from kagglekit.data.store import open_store as open_store
    from kagglekit.data.windows import seen_windows as seen_windows
    from kagglekit.data.windows import starts as window_starts
    from kagglekit.data.windows import tissue as tissue_of
    from kagglekit.errors import DataError as DataError
    from kagglekit.errors import KagglekitError as KagglekitError
    from kagglekit.errors import PluginError as PluginError
    from kagglekit.errors import RecipeError as RecipeError
    from kagglekit.errors import RunError as RunError
    from kagglekit.errors import SubmissionError as SubmissionError
    from kagglekit.errors import did_you_mean as did_you_mean
    from kagglekit.files import from_spreadsheet as from_spreadsheet
    from kagglekit.files import new_folder as new_folder
    from kagglekit.files import unfinished as unfinished
    from kagglekit.files import write_bytes as write_bytes
    from kagglekit.metrics import ClassIoU as ClassIoU
    from kagglekit.metrics import MeanDice as MeanDice
    from kagglekit.metrics import MeanIoU as MeanIoU
    from kagglekit.pipeline.experiment import run as run
    from kagglekit.pipeline.fitting import forward_selection as forward_selection
    from kagglekit.pipeline.job import job_of as training_job
    from kagglekit.pipeline.predict_folder import predict_folder as predict_folder
    from kagglekit.pipeline.prepare import prepare as prepare_data
    from kagglekit.pipeline.request import Request as Request
    from kagglekit.pipeline.sample_data import draw as draw_sample
    from kagglekit.plugin.registry import API as API
    from kagglekit.plugin.registry import discover as discover
    from kagglekit.plugin.solution import resolve as resolve
    from kagglekit.predict import views as views
    from kagglekit.predict.ensemble import vote as vote
    from kagglekit.predict.infer import Predictor as Predictor
    from kagglekit.predict.infer import to_batch as to_batch
    from kagglekit.predict.postprocess import Threshold as Threshold
    from kagglekit.predict.submission import check_file as check_submission
    from kagglekit.predict.submission import score_file as score_submission
    from kagglekit.progress import say as say
    from kagglekit.progress import track as track
    from kagglekit.protocols import Dataset as Dataset
    from kagglekit.protocols import Ensemble as Ensemble
    from kagglekit.protocols import Intake as Intake
    from kagglekit.protocols import Metric as Metric
    from kagglekit.protocols import Postprocess as Postprocess
    from kagglekit.protocols import SubmissionFormat as SubmissionFormat
    from kagglekit.recipe import Fidelity as Fidelity
    from kagglekit.recipe import Recipe as Recipe
    from kagglekit.recipe import compose as compose
    from kagglekit.runs.folder import cache as cache_folder
    from kagglekit.train.fit import fit as fit
    from kagglekit.train.fit import lr_at as lr_at
    from kagglekit.train.model import build as build_model
    from kagglekit.train.network import Network as Network
    from kagglekit.train.network import autocast as autocast
    from kagglekit.train.network import mask_logits as mask_logits
    from kagglekit.train.network import pick_device as pick_device
    from kagglekit.train.network import pick_dtype as pick_dtype
    from kagglekit.train.network import prepare as prepare_network
    from kagglekit.types import Augment as Augment
    from kagglekit.types import Box as Box
    from kagglekit.types import Draw as Draw
    from kagglekit.types import Finding as Finding
    from kagglekit.types import Loss as Loss
    from kagglekit.types import Member as Member
    from kagglekit.types import ModelOutput as ModelOutput
    from kagglekit.types import Prediction as Prediction
    from kagglekit.types import Problem as Problem
    from kagglekit.types import Sample as Sample
    from kagglekit.types import Sampler as Sampler
    from kagglekit.types import Score as Score
    from kagglekit.types import Size as Size
    from kagglekit.types import Task as Task
    from kagglekit.types import Tiling as Tiling
    from kagglekit.types import Track as Track
    from kagglekit.types import View as View
    from kagglekit.types import untracked as untracked

GROUPS: dict[str, dict[str, str]] = {
    "What a plugin declares": {
        "Augment": "kagglekit.types:Augment",
        "Box": "kagglekit.types:Box",
        "Competition": "kagglekit.competition:Competition",
        "Draw": "kagglekit.types:Draw",
        "Finding": "kagglekit.types:Finding",
        "Loss": "kagglekit.types:Loss",
        "Member": "kagglekit.types:Member",
        "ModelOutput": "kagglekit.types:ModelOutput",
        "Prediction": "kagglekit.types:Prediction",
        "Problem": "kagglekit.types:Problem",
        "Published": "kagglekit.competition:Published",
        "Sample": "kagglekit.types:Sample",
        "Sampler": "kagglekit.types:Sampler",
        "Score": "kagglekit.types:Score",
        "Size": "kagglekit.types:Size",
        "Task": "kagglekit.types:Task",
        "Tiling": "kagglekit.types:Tiling",
        "Track": "kagglekit.types:Track",
        "View": "kagglekit.types:View",
        "hookimpl": "kagglekit:hookimpl",
        "untracked": "kagglekit.types:untracked",
    },
    "What its objects derive from": {
        "Dataset": "kagglekit.protocols:Dataset",
        "Ensemble": "kagglekit.protocols:Ensemble",
        "Intake": "kagglekit.protocols:Intake",
        "Metric": "kagglekit.protocols:Metric",
        "Postprocess": "kagglekit.protocols:Postprocess",
        "SubmissionFormat": "kagglekit.protocols:SubmissionFormat",
    },
    "What it raises": {
        "DataError": "kagglekit.errors:DataError",
        "KagglekitError": "kagglekit.errors:KagglekitError",
        "PluginError": "kagglekit.errors:PluginError",
        "RecipeError": "kagglekit.errors:RecipeError",
        "RunError": "kagglekit.errors:RunError",
        "SubmissionError": "kagglekit.errors:SubmissionError",
        "did_you_mean": "kagglekit.errors:did_you_mean",
    },
    "Scores": {
        "ClassIoU": "kagglekit.metrics:ClassIoU",
        "MeanDice": "kagglekit.metrics:MeanDice",
        "MeanIoU": "kagglekit.metrics:MeanIoU",
    },
    "Files, images and tables": {
        "Slide": "kagglekit.data.readers.slides:Slide",
        "cache_folder": "kagglekit.runs.folder:cache",
        "describe_image": "kagglekit.data.readers.images:describe",
        "filenames": "kagglekit.data:names",
        "fingerprint": "kagglekit.data.fingerprint:fingerprint",
        "from_spreadsheet": "kagglekit.files:from_spreadsheet",
        "hash_file": "kagglekit.data.fingerprint:hash_file",
        "list_pictures": "kagglekit.data.readers.images:list_pictures",
        "new_folder": "kagglekit.files:new_folder",
        "read_binary_mask": "kagglekit.data.readers.mask_files:read_binary",
        "read_picture": "kagglekit.data.readers.images:read_picture",
        "read_rgb": "kagglekit.data.readers.images:read_rgb",
        "read_rows": "kagglekit.data.codecs.rows:read_rows",
        "read_table": "kagglekit.data.codecs.rows:read_table",
        "require_ids": "kagglekit.data.codecs.rows:require_ids",
        "unfinished": "kagglekit.files:unfinished",
        "whole_number": "kagglekit.data.codecs.rows:whole_number",
        "write_bytes": "kagglekit.files:write_bytes",
        "write_rows": "kagglekit.data.codecs.rows:write_rows",
    },
    "Labels and submissions as text": {
        "Coco": "kagglekit.data.codecs.coco:Coco",
        "CocoId": "kagglekit.data.codecs.coco:Id",
        "Segmentation": "kagglekit.data.codecs.coco:Segmentation",
        "UNREADABLE_SEGMENTATION": "kagglekit.data.codecs.coco:UNREADABLE",
        "annotation_mask": "kagglekit.data.codecs.coco:annotation_mask",
        "decisions": "kagglekit.clean:decisions",
        "json_text": "kagglekit.data.codecs:json_text",
        "mask_png": "kagglekit.data.codecs:mask_png",
        "read_coco": "kagglekit.data.codecs.coco:read_coco",
        "rle": "kagglekit.data.codecs:rle",
    },
    "Samples, windows and augmentation": {
        "PlainIntake": "kagglekit.data.input_transform:Plain",
        "Shuffle": "kagglekit.data.sampling:Shuffle",
        "Store": "kagglekit.data.store:Store",
        "albumentations": "kagglekit.data.sampling:albumentations",
        "applied": "kagglekit.data.loader:applied",
        "assign_folds": "kagglekit.data.folds:assign",
        "batches": "kagglekit.data.loader:batches",
        "distort": "kagglekit.data.loader:distort",
        "duplicates": "kagglekit.data:duplicates",
        "input_size": "kagglekit.data.resize:input_size",
        "open_store": "kagglekit.data.store:open_store",
        "resize_image": "kagglekit.data.resize:resize_image",
        "resize_mask": "kagglekit.data.resize:resize_mask",
        "resize_probs": "kagglekit.data.resize:resize_probs",
        "seed_all": "kagglekit.data.loader:seed_all",
        "seen_windows": "kagglekit.data.windows:seen_windows",
        "thumbs": "kagglekit.data:thumbs",
        "tissue_of": "kagglekit.data.windows:tissue",
        "to_target": "kagglekit.data.loader:to_target",
        "window_starts": "kagglekit.data.windows:starts",
    },
    "Networks and training": {
        "Fidelity": "kagglekit.recipe:Fidelity",
        "Network": "kagglekit.train.network:Network",
        "Recipe": "kagglekit.recipe:Recipe",
        "autocast": "kagglekit.train.network:autocast",
        "build_model": "kagglekit.train.model:build",
        "fit": "kagglekit.train.fit:fit",
        "lr_at": "kagglekit.train.fit:lr_at",
        "mask_logits": "kagglekit.train.network:mask_logits",
        "pick_device": "kagglekit.train.network:pick_device",
        "pick_dtype": "kagglekit.train.network:pick_dtype",
        "prepare_network": "kagglekit.train.network:prepare",
    },
    "After training": {
        "Predictor": "kagglekit.predict.infer:Predictor",
        "Threshold": "kagglekit.predict.postprocess:Threshold",
        "check_submission": "kagglekit.predict.submission:check_file",
        "forward_selection": "kagglekit.pipeline.fitting:forward_selection",
        "score_submission": "kagglekit.predict.submission:score_file",
        "to_batch": "kagglekit.predict.infer:to_batch",
        "views": "kagglekit.predict:views",
        "vote": "kagglekit.predict.ensemble:vote",
    },
    "Whole runs": {
        "API": "kagglekit.plugin.registry:API",
        "Request": "kagglekit.pipeline.request:Request",
        "compose": "kagglekit.recipe:compose",
        "discover": "kagglekit.plugin.registry:discover",
        "draw_sample": "kagglekit.pipeline.sample_data:draw",
        "predict_folder": "kagglekit.pipeline.predict_folder:predict_folder",
        "prepare_data": "kagglekit.pipeline.prepare:prepare",
        "resolve": "kagglekit.plugin.solution:resolve",
        "run": "kagglekit.pipeline.experiment:run",
        "training_job": "kagglekit.pipeline.job:job_of",
    },
    "Progress": {
        "progress": "kagglekit:progress",
        "say": "kagglekit.progress:say",
        "track": "kagglekit.progress:track",
    },
}
"""Public names by what an author needs them for; each with the module that has it, and its name there."""
_HOME = {name: home for group in GROUPS.values() for name, home in group.items()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'kagglekit.api' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    try:
        found = import_module(f"{module}.{attribute}")
    except ModuleNotFoundError as error:
        if error.name != f"{module}.{attribute}":
            raise
        found = getattr(import_module(module), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
