"""What plugins, examples and scripts may use of kagglekit: all that is promised while `API` is 1.

`from kagglekit.api import rle, read_rgb` imports what stands behind the names that are asked for, and nothing else: the
module itself loads no torch, numpy or pydantic. docs/api.md lists the names with a sentence each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kagglekit.clean import decisions
    from kagglekit.competition import Competition, Published
    from kagglekit.data import duplicates
    from kagglekit.data.codecs import coco, json_text, mask_png, rle
    from kagglekit.data.codecs.rows import read_rows, read_table, require_ids, whole_number, write_rows
    from kagglekit.data.fingerprint import fingerprint, hash_file
    from kagglekit.data.folds import assign as assign_folds
    from kagglekit.data.input_transform import Plain as PlainTransform
    from kagglekit.data.loader import applied as apply_augment
    from kagglekit.data.loader import batches, distort, to_target
    from kagglekit.data.loader import seed_all as seed_augment
    from kagglekit.data.names import by_name as index_by_name
    from kagglekit.data.names import composed as composed_name
    from kagglekit.data.names import find as find_file
    from kagglekit.data.names import lookup as lookup_by_name
    from kagglekit.data.names import paired as pair_files
    from kagglekit.data.readers.images import describe as describe_image
    from kagglekit.data.readers.images import list_images as list_images
    from kagglekit.data.readers.images import read_image as read_image
    from kagglekit.data.readers.images import read_rgb
    from kagglekit.data.readers.mask_files import read_binary as read_binary_mask
    from kagglekit.data.readers.slides import Slide
    from kagglekit.data.resize import input_size, resize_image, resize_mask, resize_probs
    from kagglekit.data.sampling import Shuffle, albumentations
    from kagglekit.data.store import Store, open_store
    from kagglekit.data.thumbs import as_bytes as to_uint8
    from kagglekit.data.thumbs import each as each_sample
    from kagglekit.data.thumbs import small_image, small_mask
    from kagglekit.data.windows import starts as window_starts
    from kagglekit.data.windows import tissue as tissue_mask
    from kagglekit.data.windows import windows_with_tissue as windows_with_tissue
    from kagglekit.errors import (
        DataError,
        KagglekitError,
        PluginError,
        RecipeError,
        RunError,
        SubmissionError,
        UsageError,
        did_you_mean,
    )
    from kagglekit.files import from_spreadsheet, new_folder, unfinished, write_bytes
    from kagglekit.metrics import ClassIoU, MeanDice, MeanIoU
    from kagglekit.pipeline.experiment import run
    from kagglekit.pipeline.fitting import forward_selection
    from kagglekit.pipeline.job import job_of as training_job
    from kagglekit.pipeline.predict_folder import predict_folder
    from kagglekit.pipeline.prepare import prepare as prepare_data
    from kagglekit.pipeline.request import Request
    from kagglekit.pipeline.sample_data import draw as draw_sample_data
    from kagglekit.plugin.hookspecs import hookimpl
    from kagglekit.plugin.registry import API, Registry, discover
    from kagglekit.plugin.solution import Solution, resolve
    from kagglekit.predict import views
    from kagglekit.predict.ensemble import vote
    from kagglekit.predict.infer import Predictor, to_batch
    from kagglekit.predict.postprocess import Argmax, Threshold
    from kagglekit.predict.submission import check_file, score_file
    from kagglekit.progress import say, track
    from kagglekit.protocols import Dataset, Ensemble, InputTransform, Metric, Postprocess, SubmissionFormat
    from kagglekit.recipe import Fidelity, Recipe, compose
    from kagglekit.runs.folder import cache as cache_folder
    from kagglekit.runs.record import Result
    from kagglekit.testing import Law, Verdict, conformance, examine
    from kagglekit.train.fit import fit, lr_at
    from kagglekit.train.model import build as build_model
    from kagglekit.train.network import Network, autocast, mask_logits, pick_device, pick_dtype
    from kagglekit.train.network import prepare as place_network
    from kagglekit.train.trained import Trained
    from kagglekit.types import (
        Augment,
        Box,
        Draw,
        Finding,
        Loss,
        Member,
        ModelOutput,
        Prediction,
        Problem,
        Sample,
        Sampler,
        Score,
        Size,
        Task,
        Tiling,
        Track,
        View,
        untracked,
    )

__all__ = [
    "API",
    "Argmax",
    "Augment",
    "Box",
    "ClassIoU",
    "Competition",
    "DataError",
    "Dataset",
    "Draw",
    "Ensemble",
    "Fidelity",
    "Finding",
    "InputTransform",
    "KagglekitError",
    "Law",
    "Loss",
    "MeanDice",
    "MeanIoU",
    "Member",
    "Metric",
    "ModelOutput",
    "Network",
    "PlainTransform",
    "PluginError",
    "Postprocess",
    "Prediction",
    "Predictor",
    "Problem",
    "Published",
    "Recipe",
    "RecipeError",
    "Registry",
    "Request",
    "Result",
    "RunError",
    "Sample",
    "Sampler",
    "Score",
    "Shuffle",
    "Size",
    "Slide",
    "Solution",
    "Store",
    "SubmissionError",
    "SubmissionFormat",
    "Task",
    "Threshold",
    "Tiling",
    "Track",
    "Trained",
    "UsageError",
    "Verdict",
    "View",
    "albumentations",
    "apply_augment",
    "assign_folds",
    "autocast",
    "batches",
    "build_model",
    "cache_folder",
    "check_file",
    "coco",
    "compose",
    "composed_name",
    "conformance",
    "decisions",
    "describe_image",
    "did_you_mean",
    "discover",
    "distort",
    "draw_sample_data",
    "duplicates",
    "each_sample",
    "examine",
    "find_file",
    "fingerprint",
    "fit",
    "forward_selection",
    "from_spreadsheet",
    "hash_file",
    "hookimpl",
    "index_by_name",
    "input_size",
    "json_text",
    "list_images",
    "lookup_by_name",
    "lr_at",
    "mask_logits",
    "mask_png",
    "new_folder",
    "open_store",
    "pair_files",
    "pick_device",
    "pick_dtype",
    "place_network",
    "predict_folder",
    "prepare_data",
    "read_binary_mask",
    "read_image",
    "read_rgb",
    "read_rows",
    "read_table",
    "require_ids",
    "resize_image",
    "resize_mask",
    "resize_probs",
    "resolve",
    "rle",
    "run",
    "say",
    "score_file",
    "seed_augment",
    "small_image",
    "small_mask",
    "tissue_mask",
    "to_batch",
    "to_target",
    "to_uint8",
    "track",
    "training_job",
    "unfinished",
    "untracked",
    "views",
    "vote",
    "whole_number",
    "window_starts",
    "windows_with_tissue",
    "write_bytes",
    "write_rows",
]

# Group -> module -> names that it holds; `public=name` where it is called otherwise there.
GROUPS: dict[str, dict[str, str]] = {
    "Declare a competition or a technique": {
        "kagglekit.plugin.registry": "API",
        "kagglekit.plugin.hookspecs": "hookimpl",
        "kagglekit.competition": "Competition Published",
        "kagglekit.protocols": "Dataset Metric SubmissionFormat",
        "kagglekit.types": "Sample Box Tiling Problem Size Task Score",
        "kagglekit.recipe": "Recipe Fidelity",
        "kagglekit.metrics": "MeanDice MeanIoU ClassIoU",
    },
    "Find and read files": {
        "kagglekit.data.readers.images": ("list_images read_image read_rgb describe_image=describe"),
        "kagglekit.data.readers.mask_files": "read_binary_mask=read_binary",
        "kagglekit.data.readers.slides": "Slide",
        "kagglekit.data.names": (
            "find_file=find pair_files=paired composed_name=composed index_by_name=by_name lookup_by_name=lookup"
        ),
        "kagglekit.data.codecs.rows": "read_table read_rows write_rows require_ids whole_number",
        "kagglekit.files": "from_spreadsheet write_bytes unfinished new_folder",
        "kagglekit.runs.folder": "cache_folder=cache",
        "kagglekit.data.fingerprint": "hash_file fingerprint",
    },
    "Codecs of masks and labels": {
        "kagglekit.data.codecs": "rle mask_png coco json_text",
    },
    "Look at images and labels": {
        "kagglekit.types": "Finding",
        "kagglekit.clean": "decisions",
        "kagglekit.data": "duplicates",
        "kagglekit.data.thumbs": "each_sample=each small_image small_mask to_uint8=as_bytes",
        "kagglekit.data.folds": "assign_folds=assign",
    },
    "Draw samples, augment, prepare inputs": {
        "kagglekit.types": "Draw Sampler Augment",
        "kagglekit.data.sampling": "Shuffle albumentations",
        "kagglekit.data.store": "Store open_store",
        "kagglekit.data.windows": "window_starts=starts windows_with_tissue tissue_mask=tissue",
        "kagglekit.data.loader": "apply_augment=applied seed_augment=seed_all distort batches to_target",
        "kagglekit.protocols": "InputTransform",
        "kagglekit.data.input_transform": "PlainTransform=Plain",
        "kagglekit.data.resize": "input_size resize_image resize_mask resize_probs",
    },
    "Models and losses": {
        "kagglekit.types": "ModelOutput Loss",
        "kagglekit.train.network": "Network place_network=prepare mask_logits pick_device pick_dtype autocast",
        "kagglekit.train.model": "build_model=build",
        "kagglekit.train.fit": "lr_at",
    },
    "Views, ensembles, post-processing, fitting": {
        "kagglekit.types": "View Member Prediction",
        "kagglekit.predict": "views",
        "kagglekit.protocols": "Ensemble Postprocess",
        "kagglekit.predict.ensemble": "vote",
        "kagglekit.predict.postprocess": "Threshold Argmax",
        "kagglekit.pipeline.fitting": "forward_selection",
    },
    "Progress": {
        "kagglekit.types": "Track untracked",
        "kagglekit.progress": "track say",
    },
    "Errors": {
        "kagglekit.errors": (
            "KagglekitError DataError PluginError RecipeError RunError SubmissionError UsageError did_you_mean"
        ),
    },
    "Run from Python": {
        "kagglekit.plugin.registry": "discover Registry",
        "kagglekit.recipe": "compose",
        "kagglekit.plugin.solution": "resolve Solution",
        "kagglekit.pipeline.sample_data": "draw_sample_data=draw",
        "kagglekit.pipeline.request": "Request",
        "kagglekit.pipeline.experiment": "run",
        "kagglekit.runs.record": "Result",
        "kagglekit.pipeline.predict_folder": "predict_folder",
        "kagglekit.predict.submission": "score_file check_file",
        "kagglekit.pipeline.prepare": "prepare_data=prepare",
        "kagglekit.pipeline.job": "training_job=job_of",
        "kagglekit.train.fit": "fit",
        "kagglekit.train.trained": "Trained",
        "kagglekit.predict.infer": "Predictor to_batch",
    },
    "Test a plugin": {
        "kagglekit.testing": "conformance examine Law Verdict",
    },
}
# Public name -> (module, what it is called there).
WHERE = {
    entry.partition("=")[0]: (module, entry.rpartition("=")[2])
    for modules in GROUPS.values()
    for module, entries in modules.items()
    for entry in entries.split()
}


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module 'kagglekit.api' has no attribute {name!r}")
    module, own = WHERE[name]
    source = import_module(module)
    # A name that its package does not hold is a module in it.
    value = getattr(source, own) if hasattr(source, own) else import_module(f"{module}.{own}")
    globals()[name] = value  # the next use finds it without asking
    return value


def __dir__() -> list[str]:
    return __all__
