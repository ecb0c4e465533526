"""What a technique is worth: planted effects are found, noise is called noise, intervals hold what they promise."""

import numpy as np
import pytest

from kagglekit.errors import RunError
from kagglekit.metrics import ClassIoU, MeanIoU
from kagglekit.search.effects import Scores, interaction, left_out

METRIC = MeanIoU()
PLANTED = {"helpful": 0.03, "null": 0.0, "harmful": -0.03}


def counts(scores: np.ndarray) -> np.ndarray:
    """Counts of images with these IoUs."""
    return np.stack([np.round(scores * 10_000).astype(int), np.full(len(scores), 10_000)], -1)


def planted(rng: np.random.Generator, seeds: int, images: int, worth=PLANTED, noise: float = 0.008) -> list[dict]:
    """Everything, nothing, each left out and each alone, with noise of every training and of every image."""
    variants = {"everything": set(worth), "nothing": set()}
    for name in worth:
        variants |= {f"without {name}": set(worth) - {name}, f"only {name}": {name}}
    found = []
    for _ in range(seeds):
        hard = rng.beta(8, 2, images)
        found.append(
            {
                name: counts(
                    np.clip(hard + sum(worth[n] for n in on) + rng.normal(0, noise) + rng.normal(0, 0.04, images), 0, 1)
                )
                for name, on in variants.items()
            }
        )
    return found


def effects(found: list[dict], names, seed: int = 0) -> dict:
    scores = Scores(METRIC, found, seed, draws=200)
    contrasts = {name: left_out("everything", f"without {name}") for name in names}
    alone = [left_out(f"only {name}", "nothing") for name in names]
    spread = scores.spread([*contrasts.values(), *alone])
    return {name: scores.effect(one, spread) for name, one in contrasts.items()}


@pytest.mark.slow
def test_a_planted_ablation_is_ordered_right_and_its_null_is_called_noise():
    ordered = noise = helped = hurt = 0
    for repeat in range(100):
        found = effects(planted(np.random.default_rng([repeat, 1]), 3, 60), PLANTED)
        ordered += found["helpful"].value > found["null"].value > found["harmful"].value
        noise += found["null"].verdict == "within noise"
        helped += found["helpful"].verdict == "helps"
        hurt += found["harmful"].verdict == "hurts"
    assert ordered >= 95 and noise >= 90
    assert helped >= 60 and hurt >= 60, "an interval that never excludes zero would call everything noise"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_cover_what_was_planted(seeds):
    covered = total = 0
    for repeat in range(30):
        for name, one in effects(planted(np.random.default_rng([repeat, seeds]), seeds, 40), PLANTED).items():
            covered += one.low <= PLANTED[name] <= one.high
            total += 1
    assert covered >= 0.88 * total


def test_what_changes_nothing_is_worth_exactly_nothing():
    one = counts(np.linspace(0.2, 0.9, 20))
    scores = Scores(METRIC, [{"everything": one, "without x": one}] * 2)
    effect = scores.effect(left_out("everything", "without x"), scores.spread([]))
    assert (effect.value, effect.low, effect.high, effect.verdict) == (0.0, 0.0, 0.0, "within noise")


def test_a_single_seed_has_an_interval_over_its_images_alone():
    rng = np.random.default_rng(0)
    found = planted(rng, 1, 60)
    scores = Scores(METRIC, found)
    contrast = left_out("everything", "without helpful")
    assert len(scores.spread([contrast])) == 0
    effect = scores.effect(contrast, scores.spread([contrast]))
    assert effect.low < effect.value < effect.high and effect.seeds == (effect.value,)


def test_positive_is_better_also_where_a_smaller_metric_is():
    good, bad = counts(np.full(12, 0.1)), counts(np.full(12, 0.4))
    effect = Scores(MeanIoU(greater_is_better=False), [{"everything": good, "without x": bad}]).effect(
        left_out("everything", "without x"), np.zeros(0)
    )
    assert effect.value == pytest.approx(0.3) and effect.verdict == "helps"


def test_scores_over_a_whole_data_set_are_drawn_as_such():
    rng = np.random.default_rng(1)
    metric = ClassIoU(3, "dataset")
    tables = rng.integers(1, 100, (20, 3, 3))
    better = tables + 200 * np.eye(3, dtype=int)
    scores = Scores(metric, [{"everything": better, "without x": tables}])
    effect = scores.effect(left_out("everything", "without x"), np.zeros(0))
    assert effect.value == pytest.approx(metric.reduce(better) - metric.reduce(tables)) and effect.low > 0


def test_two_techniques_that_do_the_same_work_have_a_negative_interaction():
    same = {"everything": 0.8, "without a": 0.8, "without b": 0.8, "without a and b": 0.7}
    scores = Scores(METRIC, [{name: counts(np.full(10, value)) for name, value in same.items()}])
    contrast = interaction("everything", "without a", "without b", "without a and b")
    assert scores.effect(contrast, np.zeros(0)).value == pytest.approx(-0.1)
    independent = same | {"without a": 0.75, "without b": 0.75}
    scores = Scores(METRIC, [{name: counts(np.full(10, value)) for name, value in independent.items()}])
    assert scores.effect(contrast, np.zeros(0)).value == pytest.approx(0.0)


def test_variants_of_other_images_are_refused():
    with pytest.raises(RunError, match="different images"):
        Scores(METRIC, [{"everything": counts(np.ones(3)), "without x": counts(np.ones(4))}])
