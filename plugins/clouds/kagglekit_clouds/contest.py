"""What the host of the clouds contest states, classes, sizes and layout of its files; and this plugin's settings."""

from dataclasses import dataclass
from typing import Literal

CLASSES = ("Fish", "Flower", "Gravel", "Sugar")
SIZE = (1400, 2100)
SUBMITTED = (350, 525)

LAYOUT = """\
DIR/train.csv                Image_Label,EncodedPixels: NAME.jpg_CLASS, run lengths over 1400x2100, column-major from 1
DIR/sample_submission.csv    the same columns; run lengths over 350x525
DIR/train_images/*.jpg       1400x2100
DIR/test_images/*.jpg        1400x2100
DIR/answers.csv              optional: truth of the test images, as in train.csv; then the submission is scored"""


@dataclass(frozen=True)
class Settings:
    """What is particular to this competition.

    `truth_resize`: how labels of 1400x2100 become the 350x525 that are scored; the host's way is not known. "nearest"
    takes every fourth pixel (as the 1st place did), "area" what covers most of a pixel, "any" what touches it.
    """

    truth_resize: Literal["nearest", "area", "any"] = "nearest"
