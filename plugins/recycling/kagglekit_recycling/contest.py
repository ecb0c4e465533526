"""What the hosts of the recycling contest state, classes, sizes and the layout of files; and this plugin's settings."""

from dataclasses import dataclass
from typing import Literal

from kagglekit import RecipeError

NAMES = (
    "General trash",
    "Paper",
    "Paper pack",
    "Metal",
    "Glass",
    "Plastic",
    "Styrofoam",
    "Plastic bag",
    "Battery",
    "Clothing",
)
UNKNOWN = "UNKNOWN"
# One order for both editions: what the first one has in addition comes last. Files keep the order of their edition.
CLASSES = ("Background", *NAMES, UNKNOWN)
SIZE = (512, 512)
SUBMITTED = (256, 256)

LAYOUT = """\
DIR/train_all.json        COCO; or train.json and val.json, which it joins
DIR/test.json             COCO without annotations; its images and their order are those of the submission
DIR/batch_*/NNNN.jpg      512x512, as the file_name of the JSON files says
DIR/answers.json          optional: COCO of the test images; then the submission is scored

The edition is seen from the categories: the first one (2021, 12 classes with the background) has UNKNOWN."""


@dataclass(frozen=True)
class Settings:
    """What is particular to this competition.

    `overlap`: which object a pixel under several belongs to: the one with the largest pixel value ("max", the first
    edition's baseline), or the smallest ("area", the later ones'); "auto" goes by the edition. `group_regex`: the part
    of a file name that stands for images that belong together, by its first group; empty: every image is alone.
    """

    overlap: Literal["auto", "max", "area"] = "auto"
    group_regex: str = ""

    def __post_init__(self):
        import re

        try:
            groups = re.compile(self.group_regex).groups
        except re.error as error:
            raise RecipeError(f"settings.group_regex={self.group_regex}: not a regular expression: {error}") from None
        if self.group_regex and groups != 1:
            raise RecipeError(
                f"settings.group_regex={self.group_regex}: has {groups} groups (...); exactly one must mark the group"
            )
