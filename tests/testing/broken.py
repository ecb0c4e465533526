"""One broken plugin for each law: what is broken, and what the kit says to it. Each breaks the sound plugin once."""

import itertools
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from optuna.distributions import FloatDistribution

from kagglekit import Box, Competition, DataError, Draw, Finding, Prediction, Sample, View, hookimpl
from kagglekit.metrics import MeanIoU
from kagglekit.types import Member

COMPETITION: dict[str, tuple] = {}  # law -> (what breaks the module, pattern of the reason)
_count = itertools.count()


def breaks(law: str, pattern: str):
    """Note the function below as the one that breaks `law`; it changes a sound module in place."""

    def note(function):
        assert law not in COMPETITION
        COMPETITION[law] = (function, pattern)
        return function

    return note


def changed(module, **changes) -> None:
    """Let the module bring its competition with other facts."""
    found = module.kk_competition()

    @hookimpl
    def kk_competition() -> Competition:
        return replace(found, **changes)

    module.kk_competition = kk_competition


def hook(module, function) -> None:
    """Let the module answer a hook of that name so."""
    setattr(module, function.__name__, hookimpl(function))


def indexed(module, change) -> None:
    """Let `change(dataset)` alter every data set of the module."""
    inner = module.kk_dataset

    def kk_dataset(root):
        dataset = inner(root)
        change(dataset)
        return dataset

    hook(module, kk_dataset)


def method(owner: type, name: str, function) -> None:
    """Put `function(inner, self, ...)` around a method of a class of the module."""
    inner = getattr(owner, name)
    setattr(owner, name, lambda self, *args: function(inner, self, *args))


# What it says of itself


@breaks("it_loads_and_its_hooks_are_known", r"kk_modle\(\) is not a hook of kagglekit; did you mean kk_model\(\)\?")
def _misspelled(module):
    module.kk_modle = module.kk_model


@breaks("it_says_who_it_is", "it has no title")
def _nameless(module):
    changed(module, title=" ")


@breaks("every_preset_resolves", "preset trial: no technique is named nobody")
def _preset_of_nobody(module):
    presets = module.kk_competition().presets
    changed(module, presets={**presets, "trial": {"techniques": ["nobody"]}})


@breaks("the_demo_resolves_at_its_smallest", "fold=3 does not exist with folds=2")
def _high_fold(module):
    changed(module, recipe={**module.kk_competition().recipe, "fold": 3})


@breaks("its_search_space_holds_settings", "lrr")
def _space_of_nothing(module):
    changed(module, space=lambda: {"lrr": FloatDistribution(0, 1)})


# Sample data


def _sampled(module, function) -> None:
    inner = module.kk_sample

    def kk_sample(competition, root, count, seed, track):
        return function(inner, competition, root, count, seed, track)

    hook(module, kk_sample)


@breaks("sample_data_are_drawn", "ValueError: no paint")
def _no_sample(module):
    def draw(inner, *arguments):
        raise ValueError("no paint")

    _sampled(module, draw)


@breaks("sample_data_are_the_same_bytes_each_time", r"1 of \d+ files differ when drawn again, the first is made.txt")
def _dated_sample(module):
    def draw(inner, competition, root, count, seed, track):
        inner(root, count, seed, track)
        (root / "made.txt").write_text(str(time.time_ns()))
        return root

    _sampled(module, draw)


@breaks("an_interrupted_drawing_leaves_nothing", "an interrupted drawing leaves half")
def _litter(module):
    def draw(inner, competition, root, count, seed, track):
        try:
            return inner(root, count, seed, track)
        except KeyboardInterrupt:
            root.with_name("half").mkdir()
            raise

    _sampled(module, draw)


# The data set


@breaks("the_folder_is_indexed", "carries a label; keep it in `answers`, apart")
def _labelled_test(module):
    indexed(module, lambda d: setattr(d, "test", [replace(s, label=d.answers[s.id]) for s in d.test]))


@breaks("indexing_again_gives_the_same_samples", "train: indexing the folder again gives other samples")
def _turning_order(module):
    turns = itertools.count()
    indexed(module, lambda d: setattr(d, "train", d.train[:: (-1) ** next(turns)]))


@breaks("images_fit_their_samples", r"read_image gave float64 \(64, 64, 3\)")
def _floats(module):
    method(module.Images, "read_image", lambda inner, self, *args: inner(self, *args) / 255)


@breaks("masks_fit_their_samples", "the value 2")
def _strange_value(module):
    method(module.Images, "read_mask", lambda inner, self, *args: inner(self, *args) * np.uint8(2))


@breaks("a_box_is_a_part_of_the_whole", "read_image of .* differs from the same part of the whole")
def _shifted_box(module):
    def read(inner, self, sample, box=None):
        return inner(self, sample) if box is None else np.roll(inner(self, sample, box), 1, 0)[::-1]

    method(module.Images, "read_image", read)


@breaks("reading_is_safe_in_threads", "read by several threads at once it differs|read by several threads it differs")
def _shared_buffer(module):
    def read(inner, self, *args):
        image = inner(self, *args)
        return image if threading.current_thread() is threading.main_thread() else image[::-1]

    method(module.Images, "read_image", read)


class Patient:
    """A group that is no text: two of the same name are not equal."""

    def __str__(self) -> str:
        return "anna"


@breaks("no_group_stands_on_both_sides", "group anna stands on both sides of fold 0")
def _group_objects(module):
    indexed(module, lambda d: setattr(d, "train", [replace(s, group=Patient()) for s in d.train]))


class Restless(Sample):
    """A sample whose stratum is another one each time that it is looked at, the first time apart."""

    @property
    def stratum(self):
        """0, then something."""
        looks = self.__dict__["looks"] = self.__dict__.get("looks", 0) + 1
        return 0 if looks == 1 else (sum(self.id.encode()) * looks) % 5

    @stratum.setter
    def stratum(self, value):
        """Ignored."""


@breaks("the_same_seed_gives_the_same_split", "the same seed holds out other samples")
def _restless_strata(module):
    indexed(module, lambda d: setattr(d, "train", [Restless(s.id, s.image, s.size, s.label) for s in d.train]))


@breaks("the_store_holds_what_reading_afresh_gives", "its mask is another one when the folder is indexed anew")
def _labels_by_instance(module):
    instances = itertools.count()
    indexed(module, lambda d: setattr(d, "number", next(instances)))

    def read(inner, self, *args):
        return inner(self, *args) if self.number == 0 else 1 - inner(self, *args)

    method(module.Images, "read_mask", read)


# The submission


@breaks("what_survives_encoding_once_survives_again", "last pixel: encoding what was decoded changes 2 pixels")
def _drifting(module):
    method(module.MaskCsv, "decode", lambda inner, self, *args: np.roll(inner(self, *args), 1))
    module.MaskCsv.loses = "the place of the mask"


@breaks("encoding_loses_nothing_but_what_it_says", "full: encoding and decoding changes 1 pixels")
def _lost_pixel(module):
    def decode(inner, self, *args):
        mask = inner(self, *args)
        mask[-1, -1] = 0
        return mask

    method(module.MaskCsv, "decode", decode)


@breaks("stripes_say_what_the_whole_says", "decoded by stripe it differs from the whole")
def _stripes(module):
    def stripes(inner, self, row, size, width):
        return reversed(list(inner(self, row, size, width)))

    method(module.MaskCsv, "decode_stripes", stripes)


@breaks("a_submission_has_the_ids_that_are_asked_for", "takes a missing id without SubmissionError")
def _any_id(module):
    def write(inner, self, path, rows):
        return inner(self, path, {name: rows.get(name, "") for name in self.names})

    method(module.MaskCsv, "write", write)


@breaks("a_file_reads_back_as_it_was_written", "the row of .* comes back changed")
def _listed_rows(module):
    method(module.MaskCsv, "read", lambda inner, self, path: {k: [v] for k, v in inner(self, path).items()})
    method(module.MaskCsv, "decode", lambda inner, self, row, size: inner(self, *_text(row), size))


def _text(row) -> list:
    return row if isinstance(row, list) else [row]


@breaks("missing_and_strange_rows_are_named", "is said to be in order; compare its ids with those asked for")
def _filled_up(module):
    def read(inner, self, path):
        from kagglekit.data.codecs.rows import read_rows

        rows = read_rows(path, module.HEADER)
        return {name: rows.get(name, "") for name in self.names}

    method(module.MaskCsv, "read", read)


@breaks("the_truth_scores_best", "the truth, submitted, scores 0.0; the best that it can score is 1.0")
def _shrunk_away(module):
    module.MaskCsv.shrink = lambda self, rows, share=1.0: dict.fromkeys(rows, "")


# The metric


@breaks("the_metric_knows_the_edges", "score nan; say what both empty")
def _both_empty(module):
    changed(module, metric=MeanIoU(both_empty=float("nan")))


@dataclass(frozen=True)
class Ratios:
    """Counts that are none."""

    name: str = "ratios"
    greater_is_better: bool = True

    def compare(self, truth, mask):
        """The IoU of one image."""
        inner = MeanIoU()
        return np.array([inner.reduce(inner.compare(truth, mask)[None])])

    def reduce(self, statistics):
        """Their mean."""
        return float(statistics.mean())


@breaks("counts_of_parts_add_up", "count pixels, not ratios")
def _ratio_metric(module):
    changed(module, metric=Ratios())


@breaks("nothing_scores_better_than_the_truth", "the truth scores 1, a random mask")
def _wrong_direction(module):
    changed(module, metric=MeanIoU(greater_is_better=False))


# Stages of training


@breaks("draws_are_reproducible", "epoch 0 draws something else the second time")
def _unseeded_sampler(module):
    def kk_sampler(samples):
        return lambda epoch: iter([Draw(s) for s in np.random.default_rng(next(_count)).permutation(samples)])

    hook(module, kk_sampler)


@breaks("draws_are_of_the_samples_given", "which is not among `samples`")
def _greedy_sampler(module):
    def kk_sampler(dataset):
        return lambda epoch: iter([Draw(s) for s in dataset.train])

    hook(module, kk_sampler)


@breaks("boxes_of_an_epoch_have_one_size", "boxes of one epoch have the sizes")
def _mixed_boxes(module):
    def kk_sampler(samples):
        return lambda epoch: iter([Draw(s, Box(0, 0, 32, 32) if i % 2 else None) for i, s in enumerate(samples)])

    hook(module, kk_sampler)


def _augmenting(function):
    def spoil(module):
        def kk_augment():
            return function

        hook(module, kk_augment)

    return spoil


def _in_place(image, mask):
    out = image.copy()
    image += 1
    return out, mask


def _own_dice(image, mask):
    return (image[:, ::-1], mask[:, ::-1]) if next(_count) % 2 else (image, mask)


for _law, _pattern, _function in (
    ("distorting_leaves_its_inputs_alone", "it changes the image or mask that it is given", _in_place),
    ("distorting_keeps_shape_and_depth", r"it gave \(\(64, 63, 3\)", lambda i, m: (i[:, :-1], m[:, :-1])),
    ("distorted_labels_stay_in_the_set", "holds the value 2, the task knows 0..1", lambda i, m: (i, m * np.uint8(2))),
    ("distorting_is_reproducible", "the same seed distorts differently", _own_dice),
    ("distorted_masks_stay_aligned", "in 24 of 24 distortions", lambda i, m: (i[:, ::-1], m)),
):
    breaks(_law, _pattern)(_augmenting(_function))


class Raw:
    """An input transform that forgets to divide."""

    channels = 3

    def __call__(self, images, training):
        """Values as stored."""
        return images.float()


@breaks("the_network_sees_values_of_0_to_1", r"values of \d+\.\d*\.\.2\d\d; expected 0..1|values of 0\.\.2\d\d")
def _raw_transform(module):
    def kk_intake():
        return Raw()

    hook(module, kk_intake)


class Tall(torch.nn.Conv2d):
    """A network that turns images which are taller than wide."""

    def forward(self, x):
        """Logits."""
        out = super().forward(x)
        return out.mT if x.shape[2] > x.shape[3] else out


@breaks("logits_have_the_size_of_the_image", r"logits of a 96x64 image have shape \(2, 1, 64, 96\)")
def _turned_logits(module):
    def kk_model(channels):
        return Tall(channels, 1, 3, padding=1)

    hook(module, kk_model)


@breaks("the_loss_is_finite_and_teaches", "the loss has no gradient")
def _detached(module):
    def kk_loss():
        return lambda logits, target: logits.detach().mean()

    hook(module, kk_loss)


@breaks("learning_rates_are_peaks", "its highest learning rate is 0.03")
def _high_rate(module):
    def kk_optimizer(recipe, model):
        return torch.optim.SGD(model.parameters(), lr=10 * recipe.lr)

    hook(module, kk_optimizer)


@breaks("findings_are_reproducible_and_name_samples", "asked again it finds something else")
def _moody_rule(module):
    def kk_clean(dataset):
        return [Finding(dataset.train[0].id, "mood", float(next(_count)))]

    hook(module, kk_clean)


# Stages of prediction


def _same(x):
    return x


def _mirror(x):
    return x.flip(-1)


def _upside_down(x):
    return x.flip(-2)


def _viewing(*views):
    def spoil(module):
        def kk_tta():
            return views

        hook(module, kk_tta)

    return spoil


breaks("views_begin_with_identity_and_weigh_1", "the first view, mirror, changes the image")(
    _viewing(View("mirror", 0.5, _mirror, _mirror), View("identity", 0.5, _same, _same))
)
breaks("undoing_a_view_brings_the_image_back", r"view mirror: undo\(do\(x\)\) differs from x by")(
    _viewing(View("identity", 0.5, _same, _same), View("mirror", 0.5, _mirror, _upside_down))
)


@dataclass(frozen=True)
class Members:
    """An ensemble whose weights are scaled, as are the probabilities of one and of several."""

    weight: float = 1.0
    alone: float = 1.0
    together: float = 1.0

    def choose(self, members: list[Member], greater_is_better: bool):
        """The last one."""
        return [(members[-1], self.weight)]

    def combine(self, probs, weights):
        """Their mean."""
        return probs.mean(0) * (self.alone if len(probs) == 1 else self.together)


def _ensembling(**fields):
    def spoil(module):
        def kk_ensemble():
            return Members(**fields)

        hook(module, kk_ensemble)

    return spoil


breaks("members_are_chosen_with_weights_that_sum_to_1", r"weights of members are \[2.0\]")(_ensembling(weight=2.0))
breaks("one_member_is_itself", "one member alone does not come back as it is")(_ensembling(alone=0.9))
breaks("combined_probabilities_stay_in_0_to_1", "combined probabilities lie in")(_ensembling(together=3.0))


def _processing(make):
    def spoil(module):
        def kk_postprocess():
            return make()

        hook(module, kk_postprocess)

    return spoil


@dataclass(frozen=True)
class Cut:
    """A threshold; `kind` is the type of the mask, `fitted` what fit() gives."""

    kind: str = "uint8"
    at: Any = field(default=None, init=False)

    def __call__(self, prediction: Prediction):
        """Where the probability exceeds it."""
        from kagglekit.data.resize import resize_probs

        return (resize_probs(prediction.probs, prediction.size)[0] > (self.at or 0.5)).astype(self.kind)


@dataclass(frozen=True)
class Fitting(Cut):
    """One whose fit gives something else."""

    def fit(self, predictions, truths, metric):
        """The plain one."""
        return Cut()


def _hidden():
    cut = Cut()
    object.__setattr__(cut, "at", 0.9)
    return cut


breaks("masks_have_the_form_of_the_task", "gave bool for p0; expected uint8")(_processing(lambda: Cut("bool")))
breaks("its_settings_can_be_written_down", "restored from its settings it makes other masks")(_processing(_hidden))
breaks("what_is_fitted_is_of_the_same_kind", r"fit\(\) gave a Cut, not a Fitting")(_processing(Fitting))


# Everything


@breaks("the_whole_path_ends_in_a_scored_submission", "test images .* are damaged")
def _damaged_test(module):
    def read(inner, self, sample, box=None):
        if sample.id == self.test[-1].id and sample.image == self.test[-1].image:
            raise DataError(f"{sample.id}: damaged")
        return inner(self, sample, box)

    method(module.Images, "read_image", read)


# Techniques: law -> (class, pattern)


@dataclass(frozen=True)
class Silent:
    name: ClassVar[str] = "lit"

    @hookimpl(wrapper=True)
    def kk_tta(self):
        """As before."""
        return (yield)


@dataclass(frozen=True)
class Idle:
    """Does nothing."""

    name: ClassVar[str] = "lit"


@dataclass(frozen=True)
class Replaces:
    """Answers instead of wrapping."""

    name: ClassVar[str] = "lit"

    @hookimpl
    def kk_tta(self):
        """One view."""
        return (View("identity", 1.0, _same, _same),)


@dataclass(frozen=True)
class Untyped(Silent):
    """A setting of any kind."""

    p: Any = 0.5


@dataclass(frozen=True)
class Explodes(Silent):
    """Cannot be made."""

    def __post_init__(self):
        raise TypeError("no such thing")


@dataclass(frozen=True)
class Grows(Silent):
    """A label that grows whenever it is read."""

    label: str = "a"

    def __post_init__(self):
        object.__setattr__(self, "label", self.label + "x")


@dataclass(frozen=True)
class Drawn(Silent):
    """A default that is drawn."""

    p: float = field(default_factory=lambda: float(next(_count)))


@dataclass(frozen=True)
class Deaf(Silent):
    """A setting that never arrives."""

    p: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "p", 0.5)


@dataclass(frozen=True)
class Searches(Silent):
    """A search space of something else."""

    p: float = 0.5

    @classmethod
    def space(cls):
        """Misspelled."""
        return {"pp": FloatDistribution(0, 1)}


@dataclass(frozen=True)
class Shortens(Silent):
    """Leaves out what could be held out."""

    @hookimpl(wrapper=True)
    def kk_dataset(self):
        """All but the first sample."""
        dataset = yield
        dataset.samples = dataset.samples[1:]
        return dataset


TECHNIQUE = {
    "its_name_is_plain_and_it_says_what_it_does": (Silent, "it has no docstring"),
    "it_changes_a_stage": (Idle, "it has no kk_ method"),
    "its_hooks_wrap": (Replaces, "kk_tta: not marked with @hookimpl"),
    "its_settings_are_typed": (Untyped, "setting p takes anything"),
    "it_resolves_with_its_defaults": (Explodes, "TypeError: no such thing"),
    "its_settings_survive_a_file": (Grows, "come back from a recipe file as others"),
    "equal_settings_are_one_experiment": (Drawn, "another identity each time"),
    "a_changed_setting_changes_the_technique": (Deaf, "setting p=0.3 arrives as 0.5"),
    "its_search_space_is_of_its_settings": (Searches, "the search space names pp; settings are p"),
    "wrapping_a_data_set_keeps_what_is_scored": (Shortens, "samples that can be held out are others"),
}

# Installed plugins: law -> (name, source, pattern)
SOURCE = '''
import os
from dataclasses import dataclass
from typing import ClassVar
from kagglekit import hookimpl


@dataclass(frozen=True)
class Plain:
    """As it was."""

    name: ClassVar[str] = "plain"
    setting: int = 1

    @hookimpl(wrapper=True)
    def kk_tta(self):
        return (yield)


@hookimpl
def kk_techniques():
    return [Plain]
'''
INSTALLED = {
    "its_name_is_plain": ("Bad_Name", SOURCE, "the entry point is named 'Bad_Name'"),
    "it_brings_something": ("empty", "import os\n", "it has neither kk_competition"),
    "importing_it_loads_nothing_heavy": ("heavy", "import numpy\n" + SOURCE, "importing it loads numpy"),
    "importing_it_changes_nothing_outside": ("loud", SOURCE + "print('hello')\n", "importing it prints 'hello'"),
    "a_recipe_resolves_in_a_fresh_process": (
        "moody",
        SOURCE.replace("int = 1", "int = os.getpid()"),
        "resolves to other settings in a fresh process",
    ),
}
