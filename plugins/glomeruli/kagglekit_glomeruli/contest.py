"""What the host of the glomeruli contest states, the layout of its files; and this plugin's settings."""

from dataclasses import dataclass

from kagglekit import RecipeError

LAYOUT = """\
DIR/train.csv                               id,encoding: run lengths, column-major from 1, one mask for all glomeruli
DIR/sample_submission.csv                   id,predicted
DIR/HuBMAP-20-dataset_information.csv       image_file, width_pixels, height_pixels, patient_number, ...
DIR/train/ID.tiff  DIR/test/ID.tiff         uint8 RGB, tiled or in strips, channels first or last
DIR/train/ID-anatomical-structure.json      optional: polygons of cortex, medulla ...
DIR/answers.csv                             optional: truth of the test slides; then the submission is scored"""


@dataclass(frozen=True)
class Settings:
    """What is particular to this competition.

    `reduce`: slides are shrunk by this whole number before anything looks at them (most teams: 2 to 4); 0 chooses it so
    that a glomerulus of a labelled slide is about `glomerulus` pixels long. `bands`: training slides are cut into this
    many bands, which count as patients of their own; 0: into 1, or into 4 where patients are fewer than folds. `step`:
    distance of neighbouring windows at inference, as part of a window. `border`: outer part of a window that is context
    only. `min_saturation` and `min_tissue`: a window is blank, and never looked at, if fewer than `min_tissue` of its
    pixels have an HSV saturation above `min_saturation` (of 255; 40 and 1000 of 256 x 256 pixels are those of a much
    used notebook).
    """

    reduce: int = 0
    glomerulus: int = 90
    bands: int = 0
    step: float = 0.5
    border: float = 0.0625
    min_saturation: int = 40
    min_tissue: float = 0.015

    def __post_init__(self):
        if not 0 <= self.reduce <= 64:
            raise RecipeError(f"settings.reduce={self.reduce}: must be 0 (chosen from the labels) or up to 64")
        if not 0 <= self.bands <= 64:
            raise RecipeError(f"settings.bands={self.bands}: must be 0 (chosen from the patients) or up to 64")
        if not 8 <= self.glomerulus <= 4096:
            raise RecipeError(f"settings.glomerulus={self.glomerulus}: must lie in 8..4096 pixels")
        if not 0 < self.step <= 1 or not 0 <= self.border < 0.5 or self.step > 1 - 2 * self.border:
            raise RecipeError(
                f"settings: step={self.step}, border={self.border}: windows would leave gaps; step must be above 0 and "
                "at most 1 - 2 * border"
            )
        if not 0 <= self.min_saturation <= 255 or not 0 <= self.min_tissue <= 1:
            raise RecipeError("settings: min_saturation must lie in 0..255, min_tissue in 0..1")
