"""The engine's own answers; registered first, so that any plugin may answer instead."""

from kagglekit.plugin.hookspecs import hookimpl


@hookimpl
def kk_clean():
    """Distrust no label."""
    return []


@hookimpl
def kk_sampler(samples, recipe, store):
    """Every sample once, whole, in an order that depends on seed and epoch; of large images every window once."""
    from kagglekit.data.sampling import Shuffle
    from kagglekit.data.windows import windows_with_tissue

    window = recipe.fidelity.image_size
    return Shuffle(tuple(windows_with_tissue(store, samples, window, window)), recipe.seed)


@hookimpl
def kk_augment():
    """Horizontal flip of every second image."""
    from kagglekit.data.sampling import albumentations

    return albumentations().HorizontalFlip(p=0.5)


@hookimpl
def kk_intake(channels, depth):
    """Images of 8 bits as they are; of deeper ones somebody has to say which range to show."""
    from kagglekit.data.input_transform import Plain

    return Plain.of(channels, depth)


@hookimpl
def kk_model(recipe, competition, channels):
    """The network that segmentation-models-pytorch knows by the recipe's encoder and decoder."""
    from kagglekit.train.model import build

    return build(recipe, channels, len(competition.classes))


@hookimpl
def kk_loss(recipe, competition):
    """The weighted sum of the recipe's losses."""
    from kagglekit.train.losses import build

    return build(recipe, competition.task)


@hookimpl
def kk_optimizer(recipe, model):
    """The recipe's optimizer, one learning rate for all."""
    from kagglekit.train.fit import make_optimizer

    return make_optimizer(recipe, model)


@hookimpl
def kk_tta():
    """The image as it is."""
    from kagglekit.predict.views import identity

    return (identity(),)


@hookimpl
def kk_ensemble():
    """The last epoch alone."""
    from kagglekit.predict.ensemble import LastEpochs

    return LastEpochs(1)


@hookimpl
def kk_postprocess(competition):
    """A threshold chosen on validation, or the likeliest class of a label map."""
    from kagglekit.predict.postprocess import Argmax, Threshold

    return Argmax() if competition.task == "multiclass" else Threshold(0.5, competition.task)
