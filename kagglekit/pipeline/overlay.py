"""Images with what was found in them tinted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.files import write_bytes

if TYPE_CHECKING:
    import numpy as np


def write_overlay(path: Path, image: np.ndarray, foreground: np.ndarray) -> None:
    """The image with the foreground tinted and outlined."""
    import cv2
    import numpy as np

    tinted = image.copy()
    tinted[foreground] = (0.6 * tinted[foreground] + 0.4 * np.array([255, 40, 120])).astype(np.uint8)
    contours, _ = cv2.findContours(foreground.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tinted, contours, -1, (255, 255, 255), max(1, max(image.shape) // 512))
    write_bytes(path, cv2.imencode(".jpg", tinted[..., ::-1])[1].tobytes())
