"""Korean Hair Segmentation (2021) for kagglekit: one polygon per image in, one polygon per image out."""

from kagglekit import Competition, Published, hookimpl
from kagglekit.api import MeanIoU
from kagglekit_hair_seg.contest import LAYOUT, SIZE, Settings

METRIC = "IoU; how the host averages it and counts empty masks is not known"
# Scores are those of the leaderboard that the 2nd place shows; it does not say of which part of the test images.
PUBLISHED = (
    Published(
        "1st",
        "딩브로",
        "github.com/choco9966/Korean-Hair-Segmentation (leaderboard only; no source of the solution was found)",
        METRIC,
        {"leaderboard": 0.9428741896},
    ),
    Published(
        "2nd",
        "ARTuna",
        "github.com/choco9966/Korean-Hair-Segmentation",
        METRIC,
        {"leaderboard": 0.9424293569},
        preset="full",
        differs=(
            "labels are not cleaned; the team learned from the 66% that co-teaching and an area filter left "
            "(--with co-teaching, --with label-rules)",
            "no dyed hair and no copied boxes (--with coloring, --with self-mix), no cutout",
            "the encoder begins with what `imagenet` gives, theirs with Noisy Student weights",
            "probabilities are averaged over epochs and views, theirs were logits",
        ),
    ),
    Published(
        "3rd",
        "jayeonsoft",
        "github.com/deagwon97/hair-segmentation",
        METRIC,
        {"leaderboard": 0.942395571},
    ),
)


@hookimpl
def kk_competition():
    """The contest, and the 2nd place's solution as its full recipe."""
    return Competition(
        id="hair-seg",
        title="Korean Hair Segmentation",
        summary="Find the hair in 512x512 photos; labels and submissions are one polygon per image.",
        classes=("hair",),
        task="binary",
        image_size=SIZE,
        metric=MeanIoU(),
        layout=LAYOUT,
        settings=Settings,
        space=search_space,
        sample_count=320,
        recipe={
            # 2nd place (ARTuna): U-Net++ with EfficientNet-B2, 0.9 BCE + 0.1 Dice, Adam, warm-up and cosine that would
            # end after 20 epochs but stops after 14, epochs 11 to 13 (from 0) ensembled, flip averaged 0.75 / 0.25.
            "encoder": "timm-efficientnet-b2",
            "decoder": "unetplusplus",
            "encoder_weights": "imagenet",
            "loss": {"bce": 0.9, "dice": 0.1},
            "optimizer": "adam",
            "lr": 3e-4,
            "weight_decay": 1e-6,
            "warmup": 1.0,
            "batch_size": 32,
            "techniques": [
                {"name": "bridge"},
                {"name": "flip-tta", "settings": {"identity": 0.75}},
                {"name": "epoch-ensemble", "settings": {"last": 3}},
            ],
        },
        presets={
            "full": {"fidelity.image_size": 512, "fidelity.fraction": 1.0, "fidelity.epochs": 14, "horizon": 20},
            # 50k of 190k images at half the side: the experiments of the team's first days.
            "trial": {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 6},
            # The same solution with a network that learns on two CPU cores in minutes, with no network connection.
            "demo": {
                "encoder": "tu-tf_efficientnet_lite0",
                "decoder": "unet/2",
                "encoder_weights": "bundled",
                "fidelity.image_size": 256,
                "fidelity.fraction": 1.0,
                "fidelity.epochs": 8,
                "optimizer": "adamw",
                "lr": 1e-3,
                "weight_decay": 1e-4,
                "warmup": 0.5,
                "batch_size": 8,
            },
        },
        published=PUBLISHED,
        labelled=196_058,
        references=(
            "2nd place (ARTuna), IoU 0.9424: github.com/choco9966/Korean-Hair-Segmentation",
            "3rd place (jayeonsoft), IoU 0.9424: github.com/deagwon97/hair-segmentation",
        ),
    )


def search_space():
    """What is worth searching around the solution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "lr": FloatDistribution(1e-4, 3e-3, log=True),
        "loss.dice": FloatDistribution(0.0, 1.0),
        "decoder": CategoricalDistribution(["unet", "unetplusplus", "fpn"]),
        "techniques.flip-tta.identity": FloatDistribution(0.5, 1.0),
    }


@hookimpl
def kk_techniques():
    """Those that only this contest asks for."""
    from kagglekit_hair_seg.techniques import Bridge

    return [Bridge]


@hookimpl
def kk_sample(competition, root, count, seed, track):
    """People with drawn hair, with the label flaws of the contest."""
    from kagglekit_hair_seg.sample import draw_sample

    draw_sample(root, count, seed, progress=track)
    return root


@hookimpl
def kk_dataset(root, recipe):
    """The contest's folder."""
    from kagglekit_hair_seg.dataset import read

    return read(root, Settings(**recipe.settings))


@hookimpl
def kk_augment():
    """The 2nd place's distortions: flip, colour, light, and one of grid, lens and noise, each mild."""
    from kagglekit.api import albumentations

    A = albumentations()
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.HueSaturationValue(15, 25, 0, p=0.5),
            A.OneOf([A.RandomGamma(), A.RandomBrightnessContrast(0.2, 0.2)], p=0.5),
            A.Affine(scale=(0.85, 1.15), translate_percent=(-0.06, 0.06), rotate=(-15, 15), p=0.5),
            A.OneOf([A.GridDistortion(), A.OpticalDistortion(), A.GaussNoise()], p=0.25),
        ]
    )


@hookimpl
def kk_postprocess(competition):
    """A threshold chosen on validation, and of what it finds the largest region without holes, as one polygon holds."""
    from kagglekit.api import Threshold
    from kagglekit_hair_seg.regions import OneRegion

    return OneRegion(Threshold(0.5, competition.task))
