"""Draws docs/images/one_image/: the stages that docs/one_image.md walks through, out of what its own blocks compute.

Run it after changing a stage: `python docs/one_image.py`.
"""

import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PAGE = Path(__file__).with_name("one_image.md")
FOLDER = Path(__file__).parent / "images" / "one_image"
SIDE, GAP, QUALITY = 192, 8, 82
COLOUR = (255, 40, 120)


def blocks() -> list[str]:
    """The Python of the page, in its order."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def computed() -> dict[str, Any]:
    """What the names of the page stand for at its end."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "one_image.py"
        script.write_text("\n".join(blocks()), encoding="utf-8")
        return runpy.run_path(str(script))


def shown(image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """An image at the size of a panel, its mask outlined; pixels of small ones stay visible."""
    enlarge = cv2.INTER_NEAREST if image.shape[0] < SIDE else cv2.INTER_AREA
    resized = cv2.resize(image, (SIDE, SIDE), interpolation=enlarge)
    if mask is None:
        return resized
    plane = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(plane, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(resized.copy(), contours, -1, COLOUR, 1, cv2.LINE_AA)


def grey(plane: np.ndarray) -> np.ndarray:
    """Values 0..1 as a grey image."""
    return shown(np.repeat((255 * plane).astype(np.uint8)[..., None], 3, -1))


def outline(image: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The polygon of a row, bridges included, on a pale image."""
    pale = cv2.addWeighted(image, 0.4, np.full_like(image, 255), 0.6, 0)
    drawn = cv2.polylines(pale, [row.reshape(-1, 1, 2).astype(np.int32)], True, COLOUR, 2, cv2.LINE_AA)
    return cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def write(name: str, panels: list[np.ndarray]) -> None:
    """Panels beside each other as a JPEG."""
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    sheet = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], 1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.jpg"
    if not cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"{path} could not be written")


def draw(names: dict[str, Any]) -> None:
    """Both images of the page."""
    image, mask = names["image"], names["mask"]
    kept = shown(np.array(names["kept_image"]), np.array(names["kept_mask"]))
    write("train", [shown(image, mask), kept, *(shown(*pair) for pair in names["distorted"])])
    predicted = grey(names["predicted"].astype(float))
    looks = [grey(names["by_view"][-1, 0, 0]), grey(names["probs"][0])]
    write("predict", [*looks, predicted, outline(image, names["row"]), shown(image, names["truth"])])


if __name__ == "__main__":
    draw(computed())
