"""Recycling trash segmentation (boostcamp AI Tech, 2021) for kagglekit: COCO in, label maps of 256x256 out."""

from kagglekit import Competition, Published, hookimpl
from kagglekit.api import ClassIoU
from kagglekit_recycling.contest import CLASSES, LAYOUT, SIZE, Settings

RECIPE = {
    # The speaker (choco9966): DeepLabV3+ with SE-ResNeXt-50, label smoothing 0.05, Adam, 40 epochs, batch 24;
    # views: vertical flip, turns by 180 degrees, scales. 1st place: Dice in the loss, hard vote of members.
    "encoder": "se_resnext50_32x4d",
    "decoder": "deeplabv3plus",
    "encoder_weights": "imagenet",
    "loss": {"ce": 0.75, "dice": 0.25},
    "optimizer": "adam",
    "lr": 3e-4,
    "weight_decay": 1e-6,
    "warmup": 1.0,
    "batch_size": 24,
    "folds": 5,
    "techniques": [
        {"name": "label-smoothing", "settings": {"amount": 0.05}},
        {"name": "flip-tta", "settings": {"identity": 0.5}},
        {"name": "turn-tta", "settings": {"identity": 0.5, "half": True}},
        {"name": "scale-tta", "settings": {"scales": (0.75, 1.25), "identity": 0.34}},
        {"name": "epoch-ensemble", "settings": {"last": 3}},
    ],
}

PRESETS = {
    "full": {"fidelity.image_size": 512, "fidelity.fraction": 1.0, "fidelity.epochs": 40},
    "trial": {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 12},
    # The same solution with a network that learns on two CPU cores in minutes, with no network connection.
    "demo": {
        "encoder": "tu-tf_efficientnet_lite0",
        "decoder": "deeplabv3plus/2",
        "encoder_weights": "bundled",
        "fidelity.image_size": 256,
        "fidelity.fraction": 1.0,
        "fidelity.epochs": 8,
        "optimizer": "adamw",
        "lr": 5e-4,
        "weight_decay": 1e-4,
        "warmup": 0.5,
        "batch_size": 8,
        "techniques": [
            {"name": "label-smoothing", "settings": {"amount": 0.05}},
            {"name": "flip-tta", "settings": {"identity": 0.5}},
            {"name": "epoch-ensemble", "settings": {"last": 3}},
        ],
    },
}


FIRST = "mIoU of each image at 256x256, averaged, as teams of the first edition (12 classes) tell"
LATER = "mIoU at 256x256 over 11 classes; whether over all pixels or by image is not known"
PUBLISHED = (
    Published(
        "speaker",
        "choco9966",
        "github.com/choco9966/Semantic-Segmentation-of-Recycled-Items",
        FIRST,
        preset="full",
        differs=(
            "one DeepLabV3+; theirs are ten networks of two kinds, with pseudo-labels of the test part",
            "UNKNOWN is learned like other classes; theirs left it out of the loss (--with ignore-class)",
            "Dice is a quarter of the loss, after the winning team; theirs was cross-entropy alone",
            "no dense CRF (--with dense-crf), no cutout",
        ),
    ),
    Published(
        "ed1-1st",
        "MultiHead Ensemble, 1st of the first edition",
        "github.com/bcaitech1/p3-ims-obd-multihead_ensemble",
        FIRST,
        {"private": 0.7043, "public": 0.7205},
    ),
    Published(
        "ed2-1st",
        "1st of the second edition",
        "github.com/boostcampaitech2/semantic-segmentation-level2-cv-16",
        LATER,
        {"leaderboard": 0.773},
    ),
)


@hookimpl
def kk_competition():
    """The contest, and a recipe after the speaker's own pipeline and the winning teams."""
    classes = len(CLASSES)
    return Competition(
        id="recycling",
        title="Recycling Trash Segmentation",
        summary="Say of every pixel which kind of trash it belongs to, if any.",
        classes=CLASSES,
        task="multiclass",
        image_size=SIZE,
        metric=ClassIoU(classes, "dataset"),
        also=(ClassIoU(classes, "image"),),
        layout=LAYOUT,
        settings=Settings,
        space=search_space,
        sample_count=160,
        recipe=RECIPE,
        presets=PRESETS,
        published=PUBLISHED,
        labelled=3_272,
        references=(
            "the speaker's pipeline: github.com/choco9966/Semantic-Segmentation-of-Recycled-Items",
            "1st place of the first edition: github.com/bcaitech1/p3-ims-obd-multihead_ensemble",
            "1st place of the second edition: github.com/boostcampaitech2/semantic-segmentation-level2-cv-16",
        ),
    )


def search_space():
    """What is worth searching around the solution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "lr": FloatDistribution(1e-4, 3e-3, log=True),
        "loss.dice": FloatDistribution(0.0, 1.0),
        "decoder": CategoricalDistribution(["unet", "fpn", "deeplabv3plus"]),
        "techniques.label-smoothing.amount": FloatDistribution(0.01, 0.2),
    }


@hookimpl
def kk_sample(competition, root, count, seed, track):
    """Drawn trash on drawn ground."""
    from kagglekit_recycling.sample import draw_sample

    draw_sample(root, count, seed, track)
    return root


@hookimpl
def kk_dataset(root, recipe):
    """The contest's folder."""
    from kagglekit_recycling.dataset import read

    return read(root, Settings(**recipe.settings))


@hookimpl
def kk_augment():
    """The speaker's distortions: flips, shift, scale, turn; colour and light besides."""
    from kagglekit.api import albumentations

    A = albumentations()
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.3),
            A.Affine(scale=(0.7, 1.3), translate_percent=(-0.1, 0.1), rotate=(-30, 30), p=0.7),
            A.RandomBrightnessContrast(0.2, 0.2, p=0.5),
            A.HueSaturationValue(10, 20, 10, p=0.3),
        ]
    )


@hookimpl
def kk_postprocess():
    """The likeliest class at the size of the images, every second pixel of it, as all teams did."""
    from kagglekit_recycling.labels import EverySecond

    return EverySecond()
