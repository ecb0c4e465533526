"""Every question that the engine asks a plugin, with its full contract.

A hook is `kk_` + the noun that comes back. An answer of None means "not mine": the next plugin is asked, at last the
engine's own `defaults`. Hooks build objects once per run, or once for each network that it trains where they say so;
nothing per image or per batch goes through them.
Implement a hook with `@kagglekit.hookimpl`; a technique wraps one with `@kagglekit.hookimpl(wrapper=True)`. Arguments
are passed by name: take those you need, never with a default value.
"""

import pluggy

PROJECT = "kagglekit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as the implementation of a hook; with `wrapper=True` as one that wraps it."""


@hookspec
def kk_competition():
    """Who are you? Returns one `Competition`, or a list of them. All plugins are asked."""


@hookspec
def kk_techniques():
    """Which techniques do you bring? Returns a list of frozen dataclasses with a `name`. All plugins are asked.

    A technique may also have a class method `space()`, which returns distributions of its settings for searches, and a
    method `check(dataset, competition)`, which raises RecipeError for data that it does not fit, before anything long
    begins.

    A class may have `suggest(facts) -> str | None`, a class method: why it may help on data with these facts
    (docs/eda.md), None for no reason. One that cleans may have `by_default(dataset) -> bool`: is it asked where a
    recipe has no rules? And `trains_networks = True`, which keeps it out of a first look at the data, with
    `learned_pixels(images)`: what they learn from in all, so that plans of searches can tell the time.
    """


@hookspec(firstresult=True)
def kk_sample(competition, root, count, seed, track):
    """Make me data to try you on: writes `count` training images and some test images below `root`.

    The files have the competition's own layout; equal arguments give equal bytes; `track(iterable, total, description)`
    shows progress. An interrupted call leaves nothing at `root`. Returns `root`.
    """


@hookspec(firstresult=True)
def kk_dataset(root, recipe, competition):
    """What are the samples? Returns a `Dataset` over the folder `root`. Raises DataError for an unusable folder."""


@hookspec(firstresult=True)
def kk_clean(dataset, recipe, competition):
    """Which labels do you distrust? Returns a list of `Finding`, the same for the same data and settings.

    Nothing is deleted: a run leaves out the training samples of findings with the action "drop", learns from the masks
    of those with "relabel" instead of the labels, and never changes what it is validated on. The answer is kept and
    used again, also for other seeds: what is wrong with labels does not change with who learns from them. So it may
    depend on the data, the settings of those who clean, and of the recipe on `settings` alone; `recipe.seed` is always
    0. Default: none.
    """


@hookspec(firstresult=True)
def kk_sampler(dataset, samples, recipe, store):
    """What is drawn in an epoch? Returns a reproducible `sampler(epoch) -> Iterator[Draw]`.

    `store` holds the samples decoded: `store.shape(sample)`, `store.read(sample, box) -> (image, mask)`; boxes are in
    its pixels. Boxes of one epoch have one size. Asked once for each network that is trained, and once more for each
    whose weights are averaged (`merges` of `kk_ensemble`). Default: a shuffle of whole samples, or of all windows that
    show tissue where the data set is tiled.
    """


@hookspec(firstresult=True)
def kk_augment(dataset, samples, recipe, competition, store):
    """How do you distort? Returns an albumentations transform, or any callable `(image, mask) -> (image, mask)`.

    Inputs are an image `[H, W, C]` of the data set's depth and its mask; they must not be changed in place. `samples`
    are those that are learnt from, and `store` holds them decoded, as for `kk_sampler`; it is asked as often. Default:
    horizontal flip.
    """


@hookspec(firstresult=True)
def kk_intake(recipe, channels, depth):
    """What does the network see of an image? Returns an `Intake`: channels as stored -> channels in 0..1.

    Images are stored with `channels` of `depth` ("uint8", "uint16", "int16"); the answer is applied to whole batches
    on the device and says how many channels the network gets. Default: 8 bits as they are.
    """


@hookspec(firstresult=True)
def kk_model(recipe, competition, channels):
    """Which network? Returns an `nn.Module`: float `[B, C, H, W]` -> logits `[B, K, H, W]`, or a `ModelOutput`.

    It may carry `normalisation = (mean, std)` (each C floats, for images in 0..1; default: ImageNet's) and
    `loaded_weights`, a sentence on the weights that were really loaded. `copy.deepcopy` must be able to copy it:
    checkpoints are loaded into copies. Asked once for each network that is trained; and once before a run begins where
    `encoder_weights` is `imagenet`, because no weights are fetched before all names are known to be right. Default:
    segmentation-models-pytorch by names.
    """


@hookspec(firstresult=True)
def kk_loss(recipe, competition):
    """What do you minimise? Returns a callable `(logits, target) -> scalar`.

    `logits` is what the network returns, a tensor or a `ModelOutput`; `target` is float `[B, K, H, W]` (binary,
    multilabel) or int64 `[B, H, W]` (multiclass). One answer serves all networks of a run. Default: the weighted sum of
    the recipe's `loss`.
    """


@hookspec(firstresult=True)
def kk_optimizer(recipe, model):
    """Which optimizer steps? Returns a `torch.optim.Optimizer` over the parameters of `model`.

    Learning rates in it are peaks, `recipe.lr` the highest of them; parts of a network may have lower ones, and the
    schedule scales all alike. Asked once for each network. Default: the recipe's `optimizer` over all parameters.
    """


@hookspec(firstresult=True)
def kk_tta(recipe):
    """Which views at test time? Returns a tuple of `View`, identity first, weights summing to 1.

    A `predict.views.Fitted` tuple has its weights fitted on validation. Default: identity.
    """


@hookspec(firstresult=True)
def kk_ensemble(recipe):
    """Which members, which weights? Returns an `Ensemble`.

    If it has `fit(start, score) -> weights`, the engine fits the weights of the chosen members on validation; with
    `merges = True` their weights are averaged to one network. Default: the last epoch.
    """


@hookspec(firstresult=True)
def kk_postprocess(recipe, competition):
    """How does a probability map become a mask? Returns a callable `Prediction -> mask`.

    If it has `fit(predictions, truths, metric) -> the same kind of object`, the engine fits it on validation and keeps
    the result only if validation rises. Of large images it is called with one part after the other, after an optional
    `prepare(prediction) -> Prediction` with the whole. A frozen dataclass may keep another one, which it wraps, in a
    field. Default: a threshold (argmax for label maps).
    """
