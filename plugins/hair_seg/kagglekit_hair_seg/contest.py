"""What the host of the hair contest states, the size and the layout of its files; and this plugin's settings."""

from dataclasses import dataclass

from kagglekit import RecipeError

SIZE = (512, 512)

LAYOUT = """\
DIR/task02_train/labels.json              {"annotations": [{"file_name", "polygon1": [{"x", "y"}, ...]}, ...]}
DIR/task02_train/images/*.jpg             512x512
DIR/task02_test/sample_submission.json    the same form; polygon1 is overwritten, order and other keys are kept
DIR/task02_test/images/*.jpg              512x512
DIR/answers.json                          optional: truth of the test images; then the submission is scored"""


@dataclass(frozen=True)
class Settings:
    """What is particular to this competition.

    `group_regex`: the part of a file name that stands for the person, by its first group. `min_area`: regions and holes
    of fewer pixels are left out of a polygon (the 2nd place used 75). `max_points`: most points of one polygon, 0 for
    no limit. `max_bytes`: most bytes of the submission, 0 for no limit (teams report a cap near 50 MB).
    """

    group_regex: str = r"^([^-_]+)"
    min_area: int = 75
    max_points: int = 0
    max_bytes: int = 50_000_000

    def __post_init__(self):
        import re

        try:
            groups = re.compile(self.group_regex).groups
        except re.error as error:
            raise RecipeError(f"settings.group_regex={self.group_regex}: not a regular expression: {error}") from None
        if groups != 1:
            raise RecipeError(
                f"settings.group_regex={self.group_regex}: has {groups} groups (...); exactly one must mark the person"
            )
        if self.min_area < 0 or self.max_bytes < 0 or self.max_points < 0 or 0 < self.max_points < 3:
            raise RecipeError("settings: min_area and max_bytes must be >= 0, max_points 0 or at least 3")
