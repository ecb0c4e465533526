"""Understanding Clouds from Satellite Images (2019) for kagglekit: four overlapping classes, often absent."""

from kagglekit import Competition, Published, hookimpl
from kagglekit.api import MeanDice
from kagglekit_clouds.contest import CLASSES, LAYOUT, SIZE, Settings

RECIPE = {
    # 1st place (pudae): masks that learn where (absent classes kept out of their loss) and a head on the
    # mask-weighted features that learns whether; 0.75 BCE + 0.25 Dice, AdamW, OneCycle, batch 8, 4 flips,
    # 5 checkpoints averaged; class threshold 0.7 on head and top 17,500 pixels, pixel threshold 0.425.
    "encoder": "resnet34",
    "decoder": "fpn",
    "encoder_weights": "imagenet",
    "loss": {"bce": 0.75, "dice": 0.25},
    "optimizer": "adamw",
    "lr": 2.5e-4,
    "weight_decay": 0.01,
    "warmup": 1.0,
    "batch_size": 8,
    "folds": 10,
    "techniques": [
        {"name": "class-head", "settings": {"weight": 0.1, "pooling": "mask", "where_only": True}},
        {"name": "swath-paint", "settings": {"p": 0.3}},
        {"name": "flip-tta", "settings": {"identity": 0.25, "vertical": True}},
        {"name": "epoch-ensemble", "settings": {"last": 5}},
        {"name": "triplet-threshold", "settings": {"top": 0.425, "bottom": 0.425, "min_area": (0, 0, 0, 0)}},
        {"name": "class-gate", "settings": {"threshold": 0.7, "force_best": True}},
        {"name": "swath-zero"},
    ],
}

PRESETS = {
    # 768 x 1152 is the largest of the 1st place's sizes.
    "full": {"fidelity.image_size": 512, "fidelity.fraction": 1.0, "fidelity.epochs": 20},
    "trial": {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 6},
    # Of a few dozen images no head learns whether a class is there; areas say it, after the 69th place.
    "demo": {
        "encoder": "tu-tf_efficientnet_lite0",
        "decoder": "fpn",
        "encoder_weights": "bundled",
        "fidelity.image_size": 256,
        "fidelity.fraction": 1.0,
        "fidelity.epochs": 14,
        "lr": 1e-3,
        "folds": 4,
        "techniques": [
            {"name": "swath-paint", "settings": {"p": 0.3}},
            {"name": "flip-tta", "settings": {"identity": 0.25, "vertical": True}},
            {"name": "epoch-ensemble", "settings": {"last": 3}},
            {"name": "triplet-threshold"},
            {"name": "swath-zero"},
        ],
    },
}


METRIC = "mean Dice over pairs of image and class at 350x525, 1 where both are empty"
PUBLISHED = (
    Published(
        "1st",
        "pudae",
        "github.com/pudae/kaggle-understanding-clouds",
        METRIC,
        {"private": 0.67175},
        preset="full",
        differs=(
            "one FPN with ResNet-34 says where and whether; theirs are 12 networks, a group for each question",
            "512 pixels on the shorter side; theirs went up to 768x1152",
            "one learning rate for the whole network; theirs was a tenth of it in the encoder",
            "probabilities of the last 5 epochs are averaged; theirs were weights of 5 checkpoints",
        ),
        note="the score is told by the 40th place's README",
    ),
    Published(
        "34th",
        "khornlund",
        "github.com/khornlund/understanding-cloud-organization",
        METRIC,
        {"private": 0.66385, "public": 0.67574},
    ),
    Published(
        "69th",
        "yukkyo",
        "github.com/yukkyo/Kaggle-Understanding-Clouds-69th-solution",
        METRIC,
        note="its triplet threshold is what the demo decides by",
    ),
)


@hookimpl
def kk_competition():
    """The contest, and a recipe after its 1st place."""
    return Competition(
        id="clouds",
        title="Understanding Clouds from Satellite Images",
        summary="Say which of four patterns of clouds a satellite image shows, and where; classes may overlap.",
        classes=CLASSES,
        task="multilabel",
        image_size=SIZE,
        metric=MeanDice(),
        layout=LAYOUT,
        settings=Settings,
        space=search_space,
        sample_count=48,
        recipe=RECIPE,
        presets=PRESETS,
        published=PUBLISHED,
        labelled=5_546,
        references=(
            "1st place (pudae), Dice 0.6718: github.com/pudae/kaggle-understanding-clouds",
            "34th place (khornlund): github.com/khornlund/understanding-cloud-organization",
            "69th place (yukkyo), triplet threshold: github.com/yukkyo/Kaggle-Understanding-Clouds-69th-solution",
        ),
    )


def search_space():
    """What is worth searching around the solution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "lr": FloatDistribution(1e-4, 3e-3, log=True),
        "loss.dice": FloatDistribution(0.0, 1.0),
        "decoder": CategoricalDistribution(["unet", "fpn", "deeplabv3plus"]),
        "techniques.flip-tta.identity": FloatDistribution(0.25, 1.0),
    }


@hookimpl
def kk_techniques():
    """Those that only this contest asks for."""
    from kagglekit_clouds.techniques import ClassGate, SwathPaint, SwathZero, TripletThreshold

    return [ClassGate, SwathPaint, SwathZero, TripletThreshold]


@hookimpl
def kk_sample(competition, root, count, seed, track):
    """Drawn clouds, labelled with rectangles as the contest's were."""
    from kagglekit_clouds.sample import draw_sample

    draw_sample(root, count, seed, track)
    return root


@hookimpl
def kk_dataset(root, recipe):
    """The contest's folder."""
    from kagglekit_clouds.dataset import read

    return read(root, Settings(**recipe.settings))


@hookimpl
def kk_augment():
    """The 1st place's distortions: both flips, a small turn, a grid, colours that do not matter."""
    from kagglekit.api import albumentations

    A = albumentations()
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.Affine(scale=(0.85, 1.15), translate_percent=(-0.06, 0.06), rotate=(-10, 10), p=0.7),
            A.GridDistortion(p=0.3),
            A.RandomBrightnessContrast(0.2, 0.2, p=0.5),
            A.OneOf([A.ChannelShuffle(), A.ToGray()], p=0.2),
        ]
    )
