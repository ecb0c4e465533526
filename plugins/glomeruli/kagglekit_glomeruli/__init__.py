"""HuBMAP, Hacking the Kidney (2021) for kagglekit: glomeruli in slides of up to two gigapixels."""

from dataclasses import dataclass

from kagglekit import Competition, Published, RecipeError, hookimpl
from kagglekit.metrics import MeanDice

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


RECIPE = {
    # 1st place (tikutikutiku): U-Net with SE-ResNeXt-101, BCE + Lovasz, deep supervision on windows that hold
    # a glomerulus, Adam 1e-4, batch 16, cosine over 20 epochs, windows balanced, validated by patient, 4 flips.
    "encoder": "se_resnext101_32x4d",
    "decoder": "unet",
    "encoder_weights": "imagenet",
    "loss": {"bce": 1.0, "lovasz": 1.0},
    "optimizer": "adam",
    "lr": 1e-4,
    "weight_decay": 1e-5,
    "warmup": 0.5,
    "batch_size": 16,
    "folds": 4,
    "techniques": [
        {"name": "random-windows", "settings": {"p_foreground": 0.5}},
        {"name": "deep-supervision", "settings": {"weight": 0.1}},
        {"name": "flip-tta", "settings": {"identity": 0.25, "vertical": True}},
        {"name": "epoch-ensemble", "settings": {"last": 3}},
    ],
}

PRESETS = {
    "full": {"fidelity.image_size": 512, "fidelity.fraction": 1.0, "fidelity.epochs": 20},
    "trial": {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 6},
    # The same solution with a network that learns on two CPU cores in minutes, with no network connection.
    "demo": {
        "encoder": "tu-tf_efficientnet_lite0",
        "decoder": "unet/2",
        "encoder_weights": "bundled",
        "fidelity.image_size": 256,
        "fidelity.fraction": 1.0,
        "fidelity.epochs": 12,
        "optimizer": "adamw",
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "batch_size": 4,  # few windows in all: twice the steps of 8
        "loss": {"bce": 0.5, "dice": 0.5},
        "settings.glomerulus": 45,
        "settings.step": 0.75,
        "techniques": [
            {"name": "random-windows", "settings": {"p_foreground": 0.5, "per_epoch": 144}},
            {"name": "flip-tta", "settings": {"identity": 0.25, "vertical": True}},
            {"name": "epoch-ensemble", "settings": {"last": 3}},
        ],
    },
}


METRIC = "mean Dice over slides, 1 where both are empty"
PUBLISHED = (
    Published(
        "1st",
        "tikutikutiku",
        "github.com/tikutikutiku/kaggle-hubmap",
        METRIC,
        preset="full",
        differs=(
            "a plain U-Net decoder; theirs has attention (CBAM), hypercolumns and a head for the whole window",
            "no pseudo-labels and no slides from outside",
            "windows of 512 pixels; theirs were 1024 shrunk to 320",
            "one held-out fold; theirs are four networks, validated by patient",
        ),
        note="a private score of 0.9515 is told of it; no source that states it was found",
    ),
    Published("4th", "Optimox, theoviel, iafoss", "github.com/Optimox/HubMap", METRIC),
    Published("40th", "h0ngxuanli", "github.com/h0ngxuanli/Kaggle-Solutions", METRIC, {"public": 0.936}),
)


@hookimpl
def kk_competition():
    """The contest, and a recipe after its winning solutions."""
    return Competition(
        id="glomeruli",
        title="HuBMAP, Hacking the Kidney",
        summary="Find the glomeruli in slides of kidney tissue of up to two gigapixels.",
        classes=("glomerulus",),
        task="binary",
        image_size=(39960, 50680),
        metric=MeanDice(),
        layout=LAYOUT,
        settings=Settings,
        space=search_space,
        sample_count=8,
        recipe=RECIPE,
        presets=PRESETS,
        published=PUBLISHED,
        labelled=15,
        references=(
            "1st place (tikutikutiku): github.com/tikutikutiku/kaggle-hubmap",
            "4th place (Optimox, theoviel, iafoss): github.com/Optimox/HubMap",
            "40th place (h0ngxuanli), anatomy as a density: github.com/h0ngxuanli/Kaggle-Solutions",
        ),
    )


def search_space():
    """What is worth searching around the solution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "lr": FloatDistribution(1e-4, 3e-3, log=True),
        "loss.lovasz": FloatDistribution(0.0, 1.0),
        "decoder": CategoricalDistribution(["unet", "unetplusplus", "fpn"]),
        "settings.reduce": IntDistribution(1, 4),
        "techniques.random-windows.p_foreground": FloatDistribution(0.2, 0.9),
    }


@hookimpl
def kk_sample(competition, root, count, seed, track):
    """Drawn slides of stained tissue."""
    from kagglekit_glomeruli.sample import draw_sample

    draw_sample(root, count, seed, track)
    return root


@hookimpl
def kk_dataset(root, recipe):
    """The contest's folder."""
    from kagglekit_glomeruli.dataset import read

    return read(root, Settings(**recipe.settings), recipe.folds)


@hookimpl
def kk_augment():
    """The winners' distortions: turns, flips, scale, stain and light, blur, noise."""
    from kagglekit.data.sampling import albumentations

    A = albumentations()
    return A.Compose(
        [
            A.RandomRotate90(p=1.0),
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.8, 1.2), rotate=(-30, 30), border_mode=4, p=0.5),
            A.HueSaturationValue(30, 30, 20, p=0.6),
            A.RandomBrightnessContrast(0.3, 0.4, p=0.6),
            A.OneOf([A.GaussNoise(), A.GaussianBlur((3, 5))], p=0.2),
        ]
    )
