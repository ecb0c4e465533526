"""The dense CRF: equal to the sum over all pairs, to pydensecrf where it is at hand, and to common sense."""

import gc
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit import PluginError, Prediction, RecipeError
from kagglekit.metrics import MeanIoU
from kagglekit.plugin.solution import make_technique
from kagglekit.predict.postprocess import Argmax, Threshold, describe, gate, prepared, restore
from kagglekit_dense_crf import permutohedral, technique
from kagglekit_dense_crf.mean_field import mean_field, smoothness
from kagglekit_dense_crf.technique import DenseCRF, FittedRefined, Memory, Refined, RefinedPrediction
from tests.dense_crf.exact_mean_field import exact_mean_field, exact_of_two
from tests.helpers import Folder, competition, toy

EVERYWHERE = 50.0  # standard deviations: a window that no small image exceeds
SETS = {
    "wide": {"gaussian": (3, 3), "bilateral": (49, 5, 4)},
    "strong": {"gaussian": (3, 10), "bilateral": (10, 5, 10)},
    "narrow": {"gaussian": (1, 3), "bilateral": (67, 3, 4)},
}


def refine(
    probs, image, gaussian=(3, 3), bilateral=(49, 5, 4), iterations=10, truncate=EVERYWHERE, tolerance=0, **more
):
    """`mean_field` with the settings of a kernel in one tuple."""
    return mean_field(
        probs,
        image,
        gaussian_sxy=gaussian[0],
        gaussian_compat=gaussian[1],
        bilateral_sxy=bilateral[0],
        bilateral_srgb=bilateral[1],
        bilateral_compat=bilateral[2],
        iterations=iterations,
        truncate=truncate,
        tolerance=tolerance,
        **more,
    )


def scene(height=24, width=20, classes=4, channels=3, seed=0, smooth=True):
    """Probabilities `[K, H, W]` and an image of soft blobs in colours that go with the classes."""
    rng = np.random.default_rng(seed)
    fields = rng.random((classes, height, width))
    for axis in (1, 2) if smooth else ():
        for _ in range(4):
            fields = (np.roll(fields, 1, axis) + fields + np.roll(fields, -1, axis)) / 3
    truth = fields.argmax(0)
    colors = rng.integers(0, 256, (classes, channels))
    image = np.clip(colors[truth] + rng.normal(0, 6, (height, width, channels)), 0, 255).astype(np.uint8)
    noise = rng.dirichlet(np.ones(classes), (height, width)).transpose(2, 0, 1)
    probs = 0.4 * (np.arange(classes)[:, None, None] == truth) + 0.6 * noise
    return (probs / probs.sum(0)).astype(np.float32), image


@pytest.fixture
def on_a_lattice(monkeypatch):
    """Small images are filtered like large ones."""
    monkeypatch.setattr(permutohedral, "EXACT", 0)
    smoothness.cache_clear()
    yield
    smoothness.cache_clear()


@pytest.fixture(params=["pairs", "lattice"])
def either_way(request):
    """Pair by pair, and on a lattice."""
    if request.param == "lattice":
        request.getfixturevalue("on_a_lattice")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("iterations", [1, 10])
def test_small_images_equal_the_sum_over_all_pairs(name, iterations):
    probs, image = scene()
    exact = exact_mean_field(probs, image, **SETS[name], iterations=iterations)
    np.testing.assert_allclose(refine(probs, image, **SETS[name], iterations=iterations), exact, atol=1e-4)


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (2, "uint8"), (7, "uint8"), (3, "uint16")])
def test_any_number_of_channels_and_16_bits_equal_the_sum_over_all_pairs(channels, dtype):
    probs, image = scene(channels=channels)
    exact = exact_mean_field(probs, image, **SETS["wide"], iterations=5)
    deep = image.astype(dtype) * (257 if dtype == "uint16" else 1)
    np.testing.assert_allclose(refine(probs, deep, **SETS["wide"], iterations=5), exact, atol=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
def test_classes_that_do_not_exclude_each_other_are_problems_of_two_labels(classes):
    probs, image = scene(classes=3)
    probs = probs[:classes]
    exact = exact_of_two(probs, image, **SETS["strong"], iterations=5)
    got = refine(probs, image, **SETS["strong"], iterations=5, exclusive=False)
    np.testing.assert_allclose(got, exact, atol=1e-4)


def test_a_window_ends_where_it_is_told_to():
    probs, image = scene()
    far = probs.copy()
    far[:, -1] = np.roll(far[:, -1], 1, 0)
    settings = {"bilateral": (1, 50, 4), "gaussian": (1, 3), "iterations": 1, "truncate": 3.0}
    before, after = refine(probs, image, **settings), refine(far, image, **settings)
    assert np.array_equal(before[:, :-4], after[:, :-4])
    assert not np.array_equal(before[:, -4], after[:, -4])


def test_a_narrow_gaussian_is_exact_in_images_of_any_size(on_a_lattice):
    probs, image = scene(40, 33)
    exact = exact_mean_field(probs, image, gaussian=(1.5, 3), bilateral=(1, 1, 0), iterations=5)
    got = refine(probs, image, gaussian=(1.5, 3), bilateral=(1, 1, 0), iterations=5, truncate=6)
    np.testing.assert_allclose(got, exact, atol=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_a_lattice_gives_nearly_the_labels_of_the_sum_over_all_pairs(name, on_a_lattice):
    probs, image = scene(40, 33, seed=3)
    exact = exact_mean_field(probs, image, **SETS[name], iterations=5)
    got = refine(probs, image, **SETS[name], iterations=5)
    assert (got.argmax(0) == exact.argmax(0)).mean() > 0.97
    np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(got, exact, atol=0.9)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("classes", "exclusive"), [(4, True), (1, False), (2, True)])
def test_a_lattice_gives_what_pydensecrf_gives(name, classes, exclusive, on_a_lattice):
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf is not installed")
    (sxy, compat), bilateral = SETS[name]["gaussian"], SETS[name]["bilateral"]
    probs, image = scene(60, 47, classes, seed=5) if classes > 1 else scene(60, 47, 2, seed=5)
    probs = probs if exclusive else probs[:1]
    both = probs if exclusive else np.concatenate([1 - probs, probs])
    field = densecrf.DenseCRF2D(47, 60, len(both))
    field.setUnaryEnergy(-np.log(np.clip(both, 1e-5, 1)).reshape(len(both), -1).astype(np.float32))
    field.addPairwiseGaussian(sxy=sxy, compat=compat)
    field.addPairwiseBilateral(sxy=bilateral[0], srgb=bilateral[1], rgbim=image, compat=bilateral[2])
    theirs = np.array(field.inference(5)).reshape(both.shape)[0 if exclusive else 1 :]
    ours = refine(probs, image, **SETS[name], iterations=5, exclusive=exclusive)
    if sxy >= 2:  # a narrower Gaussian is exact here, and approximate there
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    labels = [p.argmax(0) if exclusive else p[0] > 0.5 for p in (ours, theirs)]
    assert (labels[0] == labels[1]).mean() > (0.999 if sxy >= 2 else 0.98)


def test_vertices_whose_names_do_not_fit_into_64_bits_are_found_as_well(monkeypatch, on_a_lattice):
    probs, image = scene()
    plain = refine(probs, image)
    monkeypatch.setattr(permutohedral, "BITS", 0)
    np.testing.assert_allclose(refine(probs, image), plain, atol=1e-5)
    monkeypatch.undo()
    monkeypatch.setattr(permutohedral, "EXACT", 0)
    channels = 14
    wide, noisy = np.random.default_rng(0).integers(0, 256, (2, 24, 20, channels)).astype(np.uint8)
    assert not permutohedral._naming(torch.from_numpy(wide.reshape(-1, channels).T / np.float32(2)))[-1]
    assert not np.array_equal(refine(probs, wide, iterations=2), refine(probs, noisy, iterations=2))


shapes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
compats = st.floats(0, 200)


@settings(deadline=None, max_examples=40)
@given(shapes, compats, compats, st.integers(1, 6), st.booleans(), st.booleans(), st.sampled_from([0, 1e-3, 0.1]))
def test_results_are_probabilities_whatever_the_settings(
    shape, smooth, look, iterations, exclusive, lattice, tolerance
):
    height, width, classes, channels = shape
    rng = np.random.default_rng(height * width)
    probs = rng.dirichlet(np.full(classes, 0.1), (height, width)).transpose(2, 0, 1).astype(np.float32)
    image = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
    before = probs.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutohedral, "EXACT", 0 if lattice else 2**21)
        smoothness.cache_clear()
        got = refine(probs, image, (3, smooth), (9, 20, look), iterations, 4, tolerance, exclusive=exclusive)
    smoothness.cache_clear()
    assert got.shape == probs.shape and got.dtype == np.float32
    assert got.min() >= 0 and got.max() <= 1 + 1e-6
    assert np.array_equal(probs, before)
    if exclusive:
        np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
def test_without_compat_nothing_changes(exclusive):
    probs, image = scene()
    np.testing.assert_allclose(refine(probs, image, (3, 0), (49, 5, 0), exclusive=exclusive), probs, atol=1e-6)
    probs, image = scene(9, 1, classes=1)
    assert np.array_equal(refine(probs, image), np.ones_like(probs))


def test_a_lone_pixel_stays_what_it_is():
    probs = np.array([0.2, 0.5, 0.3], np.float32).reshape(3, 1, 1)
    image = np.full((1, 1, 3), 7, np.uint8)
    exact = exact_mean_field(probs, image, (3, 3), (49, 5, 4), 3)
    np.testing.assert_allclose(refine(probs, image, iterations=3), exact, atol=1e-5)
    assert exact.argmax(0) == 1


def test_on_an_image_of_one_colour_appearance_only_smooths(either_way):
    rng = np.random.default_rng(1)
    truth = np.zeros((30, 30), int)
    truth[:, 15:] = 1
    noise = rng.random((30, 30)) < 0.15
    first = np.where((truth == 0) ^ noise, 0.7, 0.3)
    probs = np.stack([first, 1 - first]).astype(np.float32)
    image = np.full((30, 30, 3), 90, np.uint8)
    for color in (90, 200):  # which colour it is cannot matter
        got = refine(probs, np.full_like(image, color), (3, 0), (2, 5, 4), 5)
        assert np.abs(np.diff(got[0], axis=1)).sum() < 0.5 * np.abs(np.diff(probs[0], axis=1)).sum()
        assert (got.argmax(0) == truth).mean() > 0.95 > (probs.argmax(0) == truth).mean()


def test_classes_in_another_order_give_the_same_in_that_order(either_way):
    probs, image = scene()
    order = [2, 0, 3, 1]
    for tolerance in (0, 1e-3, 1e-2):
        got, turned = refine(probs, image, tolerance=tolerance), refine(probs[order], image, tolerance=tolerance)
        np.testing.assert_allclose(turned, got[order], atol=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_noisy_mask_on_two_colours_is_cleaned_to_the_true_border(exclusive, either_way):
    rows, columns = np.mgrid[:32, :40]
    truth = (rows - 15) ** 2 + (columns - 20) ** 2 < 100
    image = np.where(truth[..., None], [200, 60, 40], [40, 90, 180]).astype(np.uint8)
    rng = np.random.default_rng(2)
    shifted = np.roll(truth, 3, 1) ^ (rng.random(truth.shape) < 0.1)
    first = np.where(shifted, 0.7, 0.3).astype(np.float32)
    probs = np.stack([first, 1 - first]) if exclusive else first[None]
    got = refine(probs, image, bilateral=(20, 10, 8), exclusive=exclusive)
    assert (shifted != truth).sum() > 100
    assert np.array_equal(got[0] > 0.5, truth)


@pytest.mark.parametrize(("tolerance", "equal"), [(1e-3, 0.999), (DenseCRF().tolerance, 0.99)])
def test_changes_too_small_to_be_told_do_not_change_the_labels(tolerance, equal, on_a_lattice):
    probs, image = scene(60, 60, classes=6, seed=7)
    for iterations in (3, 30):
        everything = refine(probs, image, iterations=iterations)
        news = refine(probs, image, iterations=iterations, tolerance=tolerance)
        assert np.sqrt(((news - everything) ** 2).mean()) < 2 * tolerance
        assert (news.argmax(0) == everything.argmax(0)).mean() > equal


def test_weights_beyond_what_exp_can_hold_give_certainty_and_no_overflow(either_way):
    probs, image = scene()
    got = refine(probs, image, (3, 500), (49, 5, 500))
    assert np.isfinite(got).all() and np.allclose(got.sum(0), 1, atol=1e-5)
    assert np.median(got.max(0)) == 1


def test_arrays_that_do_not_fit_together_are_refused():
    probs, image = scene()
    with pytest.raises(ValueError, match=r"must agree in size, got \(4, 24, 20\) and \(20, 24, 3\)"):
        mean_field(probs, image.transpose(1, 0, 2))
    with pytest.raises(ValueError, match="must be uint8, uint16 or int16, got float64"):
        mean_field(probs, image / 255)


@dataclass(frozen=True)
class Counting:
    """Foreground above `threshold`, found by looking at refined predictions, all of which it keeps."""

    seen: list
    threshold: float = 0.5

    def __call__(self, prediction):
        """A mask."""
        self.seen.append(prediction)
        return (prediction.probs[0] > self.threshold).astype(np.uint8)

    def fit(self, predictions, truths, metric):
        """Another threshold, after looking twice."""
        for prediction, _ in [*zip(predictions, truths, strict=True)] * 2:
            self.seen.append(prediction)
        return replace(self, threshold=0.25)


def predictions(count=3, size=(16, 12)) -> list[Prediction]:
    """Predictions of a class, each with its image."""
    found = []
    for seed in range(count):
        probs, image = scene(*size, classes=2, seed=seed)
        found.append(Prediction(probs[:1], size, f"p{seed}", None, image))
    return found


@pytest.fixture
def runs(monkeypatch) -> list:
    """Sample names are not known to `mean_field`; this holds the probabilities it was called with."""
    calls = []

    def counted(probs, *args, **more):
        calls.append(probs)
        return mean_field(probs, *args, **more)

    monkeypatch.setattr("kagglekit_dense_crf.mean_field.mean_field", counted)
    return calls


def crf(inner, exclusive=False, **settings):
    """The technique around `inner`."""
    kind = FittedRefined if hasattr(inner, "fit") else Refined
    return kind(inner, DenseCRF(**settings), exclusive)


def test_the_inner_post_processing_gets_refined_probabilities_and_all_else_as_it_was():
    seen = []
    prediction = predictions(1)[0]
    mask = crf(Counting(seen), iterations=3)(prediction)
    want = mean_field(prediction.probs, prediction.image, iterations=3, exclusive=False)
    assert np.array_equal(seen[0].probs, want) and not np.array_equal(want, prediction.probs)
    assert np.array_equal(mask, want[0] > 0.5)
    for name in ("size", "sample", "classes", "image"):
        assert getattr(seen[0], name) is getattr(prediction, name)


def test_settings_arrive_where_they_are_used(monkeypatch):
    got = {}
    monkeypatch.setattr(
        "kagglekit_dense_crf.mean_field.mean_field", lambda probs, image, **more: got.update(more) or probs
    )
    values = {
        "gaussian_sxy": 1.0,
        "gaussian_compat": 2.0,
        "bilateral_sxy": 3.0,
        "bilateral_srgb": 4.0,
        "bilateral_compat": 5.0,
        "iterations": 6,
        "truncate": 7.0,
        "tolerance": 8.0,
    }
    crf(Argmax(), True, **values)(predictions(1)[0])
    assert got == values | {"exclusive": True}


def test_a_fit_refines_each_prediction_once_and_what_follows_none_again(runs):
    seen = []
    process, images = crf(Counting(seen), iterations=2), predictions()
    fitted = process.fit(images, [None] * 3, MeanIoU())
    assert fitted == replace(process, inner=Counting(seen, 0.25)) and type(fitted) is type(process)
    assert len(seen) == 6 and len(runs) == 3
    assert all(isinstance(prediction, RefinedPrediction) for prediction in seen)
    for prediction in images:
        assert np.array_equal(fitted(prediction), process.refine(prediction).probs[0] > 0.25)
    assert len(runs) == 3
    replace(process, crf=DenseCRF(iterations=3))(images[0])
    assert len(runs) == 4


def test_the_gate_refines_each_prediction_once(runs):
    images = predictions(12)
    truths = [(p.probs[0] > 0.4).astype(np.uint8) for p in images]
    outcome = gate(crf(Threshold(0.65), iterations=1), images, truths, MeanIoU())
    assert outcome.chosen.inner.threshold != 0.65 or not outcome.kept
    assert len(runs) == 12


def test_what_cannot_be_fitted_is_not_offered_for_fitting():
    assert not hasattr(crf(Argmax(), True), "fit")
    assert gate(crf(Argmax(), True), predictions(12), [None] * 12, MeanIoU()) is None


def test_what_the_inner_one_prepares_is_refined_before_and_not_again(runs):
    @dataclass(frozen=True)
    class Preparing:
        """Turns the whole prediction upside down first, and forgets that it was refined."""

        def prepare(self, prediction):
            """Upside down."""
            fresh = Prediction(prediction.probs[:, ::-1], prediction.size, prediction.sample)
            return fresh

        def __call__(self, prediction):
            """The probabilities themselves."""
            return prediction.probs[0]

    prediction = predictions(1)[0]
    process = crf(Preparing(), iterations=2)
    mask = process(prepared(process, prediction))
    assert np.array_equal(mask, mean_field(prediction.probs, prediction.image, iterations=2, exclusive=False)[0, ::-1])
    assert len(runs) == 1
    plain = crf(Argmax(), iterations=2)
    assert np.array_equal(plain(prepared(plain, prediction)), plain(prediction))


def test_a_prediction_without_its_image_is_an_error_that_says_so():
    bare = replace(predictions(1)[0], image=None)
    with pytest.raises(PluginError, match=r"dense-crf: p0 comes without its image.*--without dense-crf"):
        crf(Argmax(), True)(bare)
    with pytest.raises(PluginError, match="dense-crf: a prediction comes without its image"):
        crf(Argmax(), True).prepare(replace(bare, sample=""))


def test_half_precision_is_refined_in_single_precision():
    prediction = predictions(1)[0]
    half = replace(prediction, probs=prediction.probs.astype(np.float16))
    got = crf(Argmax(), iterations=2).refine(half)
    assert got.probs.dtype == np.float32


def test_settings_are_described_and_restored_with_those_inside():
    process = crf(Threshold(0.4), gaussian_sxy=2.5, iterations=7)
    known = json.loads(json.dumps(describe(process)))
    assert known["crf"]["gaussian_sxy"] == 2.5 and known["inner"]["threshold"] == 0.4
    assert restore(crf(Threshold()), known) == process


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_solution_with_the_technique_refines_before_the_usual_post_processing(task):
    classes = ("thing",) if task == "binary" else ("a", "b", "c")
    process = toy(DenseCRF, competition=competition(classes=classes, task=task)).postprocess()
    assert process.exclusive == (task == "multiclass") and process.crf == DenseCRF()
    assert isinstance(process, FittedRefined) == (task != "multiclass")
    probs, image = scene(classes=len(classes) if task != "binary" else 2)
    mask = process(Prediction(probs[: len(classes)], (24, 20), "p", None, image))
    assert mask.shape == ((24, 20, 3) if task == "multilabel" else (24, 20)) and mask.dtype == np.uint8


def test_images_that_are_looked_at_through_windows_are_refused_before_training():
    folder = Folder(["a"])
    DenseCRF().check(folder, None)
    folder.tiling = object()
    with pytest.raises(RecipeError, match=r"techniques\.dense-crf: .*--without dense-crf"):
        toy(DenseCRF).check(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gaussian_sxy": 0},
        {"gaussian_compat": -1},
        {"bilateral_sxy": -3},
        {"bilateral_srgb": 0},
        {"bilateral_compat": -0.5},
        {"iterations": 0},
        {"truncate": 0},
        {"tolerance": -1e-3},
        {"bilateral_sxy": float("nan")},
        {"gaussian_sxy": "wide"},
        {"iterations": 2.5},
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(RecipeError, match=rf"techniques\.dense-crf: .*{next(iter(wrong))}"):
        make_technique(DenseCRF, wrong)


def test_a_crf_that_would_do_nothing_is_refused():
    with pytest.raises(RecipeError, match="gaussian_compat and bilateral_compat are both 0"):
        make_technique(DenseCRF, {"gaussian_compat": 0, "bilateral_compat": 0})


def test_memory_forgets_the_dead_and_what_does_not_fit():
    memory = Memory(2000)
    alive = [Prediction(np.zeros((1, 10, 20), np.float32), (10, 20), str(i)) for i in range(3)]
    made = [memory.recall(prediction, "key", replace) for prediction in alive]
    assert memory.size == 1600 and len(memory.kept) == 2
    assert memory.recall(alive[2], "key", replace) is made[2]
    assert memory.recall(alive[2], "other key", replace) is not made[2]
    assert memory.recall(alive[0], "key", replace) is not made[0]
    assert memory.size == 1600
    del alive
    gc.collect()
    assert memory.size == 0 and not memory.kept
    assert isinstance(technique._MEMORY, Memory)
