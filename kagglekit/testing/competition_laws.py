"""Laws of a competition: what it says of itself, its sample data, its data set."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kagglekit.data.folds import split, subset
from kagglekit.errors import KagglekitError
from kagglekit.testing.laws import NotApplicable, law, require
from kagglekit.testing.plugin_laws import PLAIN
from kagglekit.testing.subjects import COUNT, require_mask
from kagglekit.types import Box, untracked

PRESETS = ("demo", "full")  # what `kk run` takes without data, and with them
DRAWS = 6  # images after which the drawing is interrupted


@law("competition")
def it_says_who_it_is(subject):
    """A competition has a plain id, a title, classes of different names and a task that they fit."""
    found = subject.competition
    require(PLAIN.fullmatch(found.id), f"its id is {found.id!r}; use small letters, digits and single hyphens")
    require(found.title.strip(), "it has no title; `kk list` shows one")
    require(found.classes and len(set(found.classes)) == len(found.classes), f"its classes are {found.classes!r}")
    wanted = {"binary": (1, 1), "multilabel": (1, 10_000), "multiclass": (2, 256)}
    require(found.task in wanted, f"its task is {found.task!r}; expected one of {', '.join(wanted)}")
    least, most = wanted[found.task]
    require(
        least <= len(found.classes) <= most,
        f"a {found.task} task has {least}..{most} class(es), it names {len(found.classes)}",
    )
    require(
        len(found.image_size) == 2 and min(found.image_size) > 0,
        f"image_size is {found.image_size!r}; expected (height, width) in pixels",
    )


@law("competition")
def every_preset_resolves(subject):
    """The presets "demo" and "full" are there, and the recipe resolves at every preset."""
    from kagglekit.plugin.solution import resolve

    presets = subject.competition.presets
    missing = [name for name in PRESETS if name not in presets]
    require(not missing, f"it has no preset {', '.join(missing)}; `kk run` takes demo to try it and full in earnest")
    for preset in presets:
        try:
            resolve(subject.recipe(preset), subject.registry)
        except KagglekitError as error:
            require(False, f"preset {preset}: {error}")


@law("competition")
def the_demo_resolves_at_its_smallest(subject):
    """The demo resolves with a small network, small images and one epoch, as every other check uses it."""
    subject.raw("solution", subject.make_solution)


@law("competition")
def its_search_space_holds_settings(subject):
    """Every key of the search space is a setting of the recipe, with a distribution whose values it takes."""
    from kagglekit.plugin.solution import resolve
    from kagglekit.search.space import check_space

    space = subject.competition.space()
    if not space:
        raise NotApplicable("it offers no search space")
    check_space(dict(space), resolve(subject.recipe("full"), subject.registry).recipe, subject.registry)


@law("competition")
def sample_data_are_drawn(subject):
    """The competition draws data to try it on."""
    root = subject.raw("sample data", subject.make_sample)
    require(any(Path(root).rglob("*")), f"kk_sample() wrote nothing to {root}")


@law("competition")
def sample_data_are_the_same_bytes_each_time(subject):
    """Equal count and seed draw equal bytes."""
    first = _contents(subject.sample)
    again = subject.folder / "again"
    subject.solution.sample(again, COUNT, 0, untracked)
    second = _contents(again)
    different = sorted(name for name in first | second if first.get(name) != second.get(name))
    require(
        not different,
        f"{len(different)} of {len(first)} files differ when drawn again, the first is {next(iter(different), '')}; "
        "draw every number from the seed, and write no dates",
    )


@law("competition")
def an_interrupted_drawing_leaves_nothing(subject):
    """A drawing that is interrupted leaves neither its folder nor anything beside it."""
    subject.sample  # noqa: B018  (what cannot be drawn at all cannot be interrupted)
    parent = subject.folder / "interrupted"
    parent.mkdir()
    calls = []

    def breaking(items, total=None, description=""):
        for number, item in enumerate(items):
            calls.append(number)
            if len(calls) > 1:
                raise KeyboardInterrupt
            yield item

    try:
        subject.solution.sample(parent / "data", DRAWS, 0, breaking)
    except KeyboardInterrupt:
        left = sorted(path.name for path in parent.iterdir())
        require(not left, f"an interrupted drawing leaves {', '.join(left)}; draw beside it and rename when complete")
        return
    raise NotApplicable("it draws without track(), so that it cannot be interrupted between two images")


@law("competition")
def the_folder_is_indexed(subject):
    """The data set has training and test samples with ids of their own, and answers only for the test part."""
    dataset = subject.raw("data set", subject.make_dataset)
    require(dataset.train, "its data set of its own sample data has no training sample")
    require(dataset.test, "its data set of its own sample data has no test sample")
    labelled = [s.id for s in dataset.test if s.label is not None]
    require(not labelled, f"test sample {next(iter(labelled), '')} carries a label; keep it in `answers`, apart")
    bare = [s.id for s in dataset.train if s.label is None]
    require(not bare, f"training sample {next(iter(bare), '')} has no label; report a Problem instead")
    strange = set(dataset.answers) - {s.id for s in dataset.test}
    require(not strange, f"answers name {next(iter(strange), '')}, which is no test sample")
    lost = [str(path) for path in dataset.files if not Path(path).exists()]
    require(dataset.files and not lost, f"files names {next(iter(lost), 'nothing')}; it tells when the data change")


@law("competition")
def indexing_again_gives_the_same_samples(subject):
    """The same folder gives the same samples in the same order, groups, strata and classes included."""
    first, second = subject.dataset, subject.solution.dataset(subject.sample)
    for part in ("train", "test"):
        one, other = ([_facts(s) for s in getattr(found, part)] for found in (first, second))
        require(one == other, f"{part}: indexing the folder again gives other samples, or another order; sort them")


@law("competition")
def images_fit_their_samples(subject):
    """An image has the size that its sample states, and the channels and depth of its data set."""
    dataset = subject.dataset
    for sample in [*_all(subject), *list(dataset.test)[:2]]:
        image = dataset.read_image(sample)
        wanted = (*sample.size, dataset.channels)
        require(
            tuple(image.shape) == wanted and str(image.dtype) == dataset.depth,
            f"read_image gave {image.dtype} {tuple(image.shape)} for {sample.id}; expected {dataset.depth} {wanted}",
        )


@law("competition")
def masks_fit_their_samples(subject):
    """A mask has the size of its image, a truth that of its submission, both uint8 and of the classes alone."""
    for sample in _all(subject):
        require_mask(subject.competition, sample, subject.dataset.read_mask(sample), sample.size, "read_mask")
    subject.raw("truth", subject.make_truths)


@law("competition")
def a_box_is_a_part_of_the_whole(subject):
    """Reading a box gives what cutting it out of the whole gives: images, masks and truths."""
    subject.truths  # noqa: B018
    rng = np.random.default_rng(0)
    for sample in subject.some:
        for name in ("read_image", "read_mask", "read_truth"):
            read = getattr(subject.dataset, name)
            whole = read(sample)
            for box in _boxes(whole.shape[:2], rng):
                part = whole[box.top : box.top + box.height, box.left : box.left + box.width]
                require(
                    np.array_equal(read(sample, box), part),
                    f"{name} of {sample.id} in {box} differs from the same part of the whole",
                )


@law("competition")
def reading_is_safe_in_threads(subject):
    """Images and masks read by several threads at once are those read one after the other."""
    subject.truths  # noqa: B018
    dataset = subject.dataset
    samples = subject.some[:3]
    calm = [(dataset.read_image(s), dataset.read_mask(s)) for s in samples]
    with ThreadPoolExecutor(4) as pool:
        jobs = [(i, pool.submit(dataset.read_image, s), pool.submit(dataset.read_mask, s)) for i, s in
                enumerate(samples) for _ in range(3)]  # fmt: skip
        for i, image, mask in jobs:
            same = np.array_equal(image.result(), calm[i][0]) and np.array_equal(mask.result(), calm[i][1])
            require(same, f"{samples[i].id}: read by several threads it differs; share no buffer between readings")


@law("competition")
def no_group_stands_on_both_sides(subject):
    """No group of samples (a person, a patient) stands on both sides of a fold."""
    samples, recipe = list(subject.dataset.train), subject.solution.recipe
    for fold in range(recipe.folds):
        train, validation = split(samples, recipe.folds, fold, recipe.seed)
        shared = {str(s.group) for s in train if s.group} & {str(s.group) for s in validation if s.group}
        require(not shared, f"group {next(iter(shared), '')} stands on both sides of fold {fold}; groups must be texts")


@law("competition")
def the_same_seed_gives_the_same_split(subject):
    """The same seed splits a folder alike, in whichever order samples come; smaller subsets lie in larger ones."""
    if "no_group_stands_on_both_sides" in subject.failed:
        raise NotApplicable("first mend the groups, by which samples are split")
    recipe = subject.solution.recipe
    one, other = list(subject.dataset.train), list(subject.solution.dataset(subject.sample).train)
    held = [{s.id for s in split(found, recipe.folds, 0, 0)[1]} for found in (one, other[::-1])]
    require(held[0] == held[1], "the same seed holds out other samples when the folder is indexed again")
    parts = [{s.id for s in subset(one, fraction, 0)} for fraction in (0.25, 0.5, 1.0)]
    require(parts[0] <= parts[1] <= parts[2], "a smaller subset is not part of a larger one; strata must be numbers")


@law("competition")
def the_store_holds_what_reading_afresh_gives(subject):
    """What was decoded once equals what the folder, indexed anew, gives: labels may not depend on the process."""
    from kagglekit.data.store import decode, decode_bands

    if "reading_is_safe_in_threads" in subject.failed:
        raise NotApplicable("first mend reading in threads, by which the store is filled")
    competition, store = subject.competition, subject.store
    anew = subject.solution.dataset(subject.sample)
    by_id = {s.id: s for s in anew.train}
    parts = decode_bands if store.tiling else decode
    for sample in subject.some:
        pairs = list(parts(anew, by_id[sample.id], store.shape(sample), competition.task, len(competition.classes)))
        for kept, fresh, what in zip(store.read(sample), zip(*pairs, strict=True), ("image", "mask"), strict=True):
            same = np.array_equal(kept, np.concatenate(fresh))
            require(same, f"{sample.id}: its {what} is another one when the folder is indexed anew")


def _all(subject) -> list:
    """All training samples, as the store decodes them; of large images, which take long, some."""
    return list(subject.dataset.train) if subject.dataset.tiling is None else subject.some


def _contents(root: Path) -> dict[str, str]:
    """Relative path -> hash of every file."""
    files = (path for path in sorted(Path(root).rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _facts(sample) -> tuple:
    return sample.id, sample.image, sample.size, str(sample.group), sample.stratum, tuple(sample.classes)


def _boxes(size: tuple[int, int], rng: np.random.Generator) -> list[Box]:
    """Corners, a band of whole rows, and boxes anywhere."""
    h, w = size
    boxes = [Box(0, 0, 1, 1), Box(h - 1, w - 1, 1, 1), Box(h // 3, 0, max(1, h // 4), w)]
    for _ in range(3):
        height, width = rng.integers(1, h + 1), rng.integers(1, w + 1)
        top, left = rng.integers(0, h - height + 1), rng.integers(0, w - width + 1)
        boxes.append(Box(int(top), int(left), int(height), int(width)))
    return boxes
