"""16-bit images with one mask each for kagglekit: what the seminar's contrast windows are shown on."""

from kagglekit import Competition, hookimpl
from kagglekit.api import MeanDice
from kagglekit_contrast.contest import LAYOUT

RECIPE = {
    "loss": {"bce": 0.5, "dice": 0.5},
    "folds": 5,
    "techniques": [
        {"name": "multi-window", "settings": {"windows": "0:12040;0:256"}},
        {"name": "flip-tta", "settings": {"identity": 0.5}},
        {"name": "epoch-ensemble", "settings": {"last": 3}},
    ],
}

PRESETS = {
    "full": {"fidelity.image_size": 512, "fidelity.epochs": 20, "batch_size": 16},
    "trial": {"fidelity.image_size": 256, "fidelity.fraction": 0.26, "fidelity.epochs": 6},
    "demo": {"fidelity.image_size": 128, "fidelity.epochs": 8},
}


@hookimpl
def kk_competition():
    """A task in the form of a contest; no host runs it."""
    return Competition(
        id="contrast",
        title="Objects in 16-bit Images",
        summary="Find objects that show in some contrast windows only; the layout serves for 16-bit data of your own.",
        classes=("object",),
        task="binary",
        image_size=(256, 256),
        metric=MeanDice(),
        layout=LAYOUT,
        sample_count=120,
        recipe=RECIPE,
        presets=PRESETS,
        references=(
            "the windows (0, 12040) and (0, 256) as input channels: the seminar that this project makes runnable",
            "window functions: DICOM PS3.3 C.11.2.1.2",
        ),
    )


@hookimpl
def kk_sample(competition, root, count, seed, track):
    """Noise, bright plates and two kinds of objects, each of which one window alone shows."""
    from kagglekit_contrast.sample import draw_sample

    draw_sample(root, count, seed, track)
    return root


@hookimpl
def kk_dataset(root, recipe):
    """The folder of images and masks."""
    from kagglekit_contrast.dataset import read

    return read(root)


@hookimpl
def kk_augment():
    """Flips, and small moves: none that changes values, which windows do."""
    from kagglekit.api import albumentations

    A = albumentations()
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.Affine(scale=(0.9, 1.1), rotate=(-15, 15), border_mode=4, p=0.5),
        ]
    )
