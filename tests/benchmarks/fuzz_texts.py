"""Valid labels, tables, records and archives, and their readers, for `reader_fuzz.py`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.fuzz_kinds import H, Kind, W, by_pil, by_tifffile, mark


def mask() -> np.ndarray:
    """uint8 `[H, W]` of 0 and 1: a rectangle."""
    array = np.zeros((H, W), np.uint8)
    array[10:30, 20:50] = 1
    return array


def text_of(content: Callable[[], str]) -> Callable[[Path], None]:
    """A writer of text."""

    def write(path: Path) -> None:
        path.write_text(content(), encoding="utf-8")

    return write


def json_of(content: Callable[[], Any]) -> Callable[[Path], None]:
    """A writer of JSON."""
    return text_of(lambda: json.dumps(content(), ensure_ascii=False))


def hair_labels() -> dict:
    """Two polygons as the hair contest writes them."""
    points = [{"x": x, "y": y} for x, y in ((20, 10), (200, 10), (200, 300), (20, 300.5))]
    return {"annotations": [{"file_name": f"머리{n}.jpg", "polygon1": points} for n in range(2)]}


def read_hair_labels(path: Path) -> str:
    """All entries, and the masks of those that can be drawn."""
    from kagglekit_hair_seg import polygon
    from kagglekit_hair_seg.labels import read_labels

    return repr([(name, fault, None if points is None else mark(polygon.fill(points, (512, 512))))
                 for name, points, fault in read_labels(path)])  # fmt: skip


def coco() -> dict:
    """Polygons and run lengths over two images."""
    from kagglekit.data.codecs.coco import mask_to_rle

    box = [20, 10, 50, 10, 50, 30, 20, 30]
    rle = mask_to_rle(mask(), compressed=True)
    shapes = [[box], {"size": list(rle.size), "counts": rle.counts}, [box, [1, 1, 9, 1, 9, 9]]]
    annotation = {"category_id": 1, "area": 600, "iscrowd": 0, "bbox": [20, 10, 30, 20]}
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "height": H, "width": W} for n in (1, 2)],
        "categories": [{"id": 1, "name": "Paper", "supercategory": None}],
        "annotations": [
            {**annotation, "id": n, "image_id": 1 + n % 2, "segmentation": s} for n, s in enumerate(shapes)
        ],
    }


def read_coco(path: Path) -> str:
    """All objects, drawn."""
    from kagglekit.data.codecs.coco import annotation_mask
    from kagglekit.data.codecs.coco import read_coco as read

    found = read(path)
    drawn = []
    for id, image in found.images.items():
        if image.height * image.width <= 10_000_000:  # what a data set compares with the image before it draws
            drawn += [mark(annotation_mask(a.segmentation, (image.height, image.width))) for a in found.annotations[id]]
    return repr((sorted(found.images, key=str), drawn, len(found.faults)))


def rows() -> str:
    """Run lengths as submissions hold them."""
    from kagglekit.data.codecs import rle

    return "Image_Label,EncodedPixels\n" + "".join(f"a{n}.jpg_Fish,{rle.encode(mask())}\n" for n in range(5)) + "b,\n"


def read_rows(path: Path) -> str:
    """All rows, decoded."""
    from kagglekit.data.codecs import rle
    from kagglekit.data.codecs.rows import read_rows as read

    return repr(
        [(id, mark(rle.decode(value, (H, W)))) for id, value in read(path, ("Image_Label", "EncodedPixels")).items()]
    )


def table() -> str:
    """An information file as HuBMAP's."""
    return "image_file,width_pixels,height_pixels,patient_number\n" + "".join(
        f"{n}.tiff,{400 + n},300,7{n}\n" for n in range(6)
    )


def read_table(path: Path) -> str:
    """All cells."""
    from kagglekit.data.codecs.rows import read_table as read

    return repr(read(path, ("image_file", "width_pixels", "height_pixels", "patient_number")))


def decisions() -> str:
    """Decisions of a person."""
    from kagglekit.clean.decisions import Decision, Decisions

    chosen = (Decision("a.jpg", "drop", "twins", "why?", "someone"), Decision("b.jpg", "keep"))
    return Decisions("hair-seg", "0123456789abcdef", chosen, "2026-01-01", "kk clean").to_toml()


def read_decisions(path: Path) -> str:
    """The decisions."""
    from kagglekit.clean.decisions import read

    found = read(path)
    return repr((found.competition, found.data, found.decisions))


def recipe() -> str:
    """A recipe with techniques."""
    from tests.toy_data import recipe as small

    return small().to_toml()


def read_recipe(path: Path) -> str:
    """The recipe, validated."""
    from kagglekit import recipe as recipes

    return recipes.compose([(str(path), recipes.load(path))])[0].to_toml()


def read_binary(path: Path) -> str:
    """A mask of one object."""
    from kagglekit.data.readers.mask_files import read_binary as read

    return mark(read(path))


def write_mask(path: Path) -> None:
    """A black and white PNG."""
    from kagglekit.data.readers.images import write_png

    write_png(path, mask() * np.uint8(255))


def read_decided(path: Path) -> str:
    """A mask that decisions name."""
    from kagglekit.data.codecs.mask_png import read

    return mark(read(path, (H, W), "binary", 1))


def weights(path: Path) -> None:
    """A checkpoint of a run."""
    from kagglekit.train.checkpoint import save_weights
    from tests.toy_data import tiny_network

    save_weights(path, tiny_network().state_dict(), {"normalisation": [[0.5] * 3] * 2})


def read_weights(path: Path) -> str:
    """Its tensors."""
    from kagglekit.train.checkpoint import hash_weights

    return hash_weights(path)


def torch_weights(path: Path) -> None:
    """A file of weights as torch saves it."""
    import torch

    from tests.toy_data import tiny_network

    torch.save({"state_dict": tiny_network().state_dict(), "epoch": 3}, path)


def read_encoder_weights(path: Path) -> str:
    """Names and shapes of its tensors."""
    from kagglekit.train.weight_files import read

    found, where = read(path)
    return repr((where, sorted((name, tuple(value.shape)) for name, value in found.items())))


def result() -> dict:
    """As much of a result as predicting needs."""
    from tests.helpers import RESULT

    return RESULT | {
        "members": [{"file": "checkpoints/epoch-000.safetensors", "epoch": 0, "fold": 0, "weight": 1.0}],
        "views": [{"name": "identity", "weight": 1.0}],
        "pictures": {"channels": 3, "depth": "uint8", "tiling": None},
        "postprocess": {"name": "Plain", "settings": {}},
    }


def manifest() -> dict:
    """A manifest."""
    from tests.helpers import MANIFEST

    return MANIFEST


def read_result(path: Path) -> str:
    """Both views of a result."""
    from kagglekit.runs import record

    return repr((record.read_result(path.parent), record.read_predicting(path.parent)))


def read_manifest(path: Path) -> str:
    """The manifest."""
    from kagglekit.runs import record

    return repr(record.read_manifest(path.parent))


def space() -> str:
    """A search space."""
    return (
        "lr = {low = 3e-4, high = 3e-3, log = true}\nbatch_size = [16, 32]\n\n[loss]\ndice = {low = 0.0, high = 0.5}\n"
    )


def read_space(path: Path) -> str:
    """Its distributions."""
    from kagglekit.search.space import read_space as read

    return repr(read(path, {}))


def bundle(path: Path) -> None:
    """A bundle of a run with one small checkpoint."""
    from kagglekit.publish.pack import pack
    from tests.helpers import run_folder

    os.environ["KAGGLEKIT_RUNS"] = str(path.parent / "runs")
    folder = run_folder(path.parent / "run", "0" * 12)
    (folder / "result.json").write_text(json.dumps(result()))
    (folder / "checkpoints").mkdir()
    weights(folder / "checkpoints" / "epoch-000.safetensors")
    pack(folder, path)
    shutil.rmtree(path.parent / "run")


def read_bundle(path: Path) -> str:
    """What it unpacks to."""
    from kagglekit.data.fingerprint import hash_tree
    from kagglekit.runs import bundle as bundles

    folder = bundles.unpack(path)
    found = hash_tree(folder, [file for file in folder.rglob("*") if file.is_file()])
    shutil.rmtree(folder)
    return repr(found)


TEXTS = {
    "hair-labels": Kind("labels.json", json_of(hair_labels), read_hair_labels),
    "coco": Kind("coco.json", json_of(coco), read_coco),
    "rows": Kind("rows.csv", text_of(rows), read_rows),
    "table": Kind("table.csv", text_of(table), read_table),
    "decisions": Kind("decisions.toml", text_of(decisions), read_decisions),
    "recipe": Kind("recipe.toml", text_of(recipe), read_recipe),
    "mask-png": Kind("m.png", write_mask, read_binary, checked=True),
    "mask-palette": Kind("m.png", by_pil("1"), read_binary, checked=True),
    "mask-jpeg": Kind("m.jpg", by_pil("L"), read_binary),
    "mask-tiff": Kind("m.tif", by_tifffile(lambda: mask() * np.uint8(255), compression="zlib"), read_binary),
    "mask-decided": Kind("m.png", write_mask, read_decided, checked=True),
    "space": Kind("space.toml", text_of(space), read_space),
    "result": Kind("result.json", json_of(result), read_result),
    "manifest": Kind("manifest.json", json_of(manifest), read_manifest),
    "bundle": Kind("b.kkbundle", bundle, read_bundle, checked=True),
    "checkpoint": Kind("w.safetensors", weights, read_weights),
    "weights-torch": Kind("w.pth", torch_weights, read_encoder_weights),
    "weights-safetensors": Kind("w.safetensors", weights, read_encoder_weights),
}
