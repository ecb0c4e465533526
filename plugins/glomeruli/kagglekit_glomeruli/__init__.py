"""HuBMAP, Hacking the Kidney (2021) for kagglekit: glomeruli in slides of up to two gigapixels."""

from kagglekit import Competition, Published, hookimpl
from kagglekit.api import MeanDice
from kagglekit_glomeruli.contest import LAYOUT, Settings

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
    from kagglekit.api import albumentations

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
