"""Every preset of every installed competition: it resolves, its network is built, its parts fit each other."""

import pytest
import torch

from kagglekit.cli.common import compose_recipe
from kagglekit.plugin.registry import discover
from kagglekit.plugin.solution import resolve
from kagglekit.types import ModelOutput

REGISTRY = discover()
CASES = [(id, preset) for id, (_, c) in sorted(REGISTRY.competitions.items()) for preset in c.presets]


def solved(id: str, preset: str):
    recipe, _, _ = compose_recipe(REGISTRY, id, preset, (), (), ("encoder_weights=none",), None)
    return resolve(recipe, REGISTRY)


def test_every_competition_has_a_demo_a_trial_and_a_full_preset():
    assert len(REGISTRY.competitions) >= 5 and not REGISTRY.broken
    for id, (_, competition) in REGISTRY.competitions.items():
        assert set(competition.presets) == {"demo", "trial", "full"}, id


@pytest.mark.parametrize(("id", "preset"), CASES, ids="-".join)
def test_a_preset_resolves_and_its_loss_falls_through_its_network(id, preset):
    solution = solved(id, preset)
    competition = solution.competition
    channels = solution.input_transform(1, "uint16").channels if id == "contrast" else 3
    assert len(solution.views()) >= 2 and sum(v.weight for v in solution.views()) == pytest.approx(1)
    solution.ensemble()
    solution.postprocess()
    model = solution.model(channels).train()
    output = model(torch.rand(2, channels, 64, 96))
    classes = len(competition.classes)
    if competition.task == "multiclass":
        target = torch.randint(0, classes, (2, 64, 96))
    else:
        target = (torch.rand(2, classes, 64, 96) > 0.7).float()
    loss = solution.loss()(output, target)
    loss.backward()
    assert torch.isfinite(loss) and loss > 0
    if isinstance(output, ModelOutput) and output.classes is not None:
        assert output.classes.shape == (2, classes)


@pytest.mark.parametrize("id", sorted(REGISTRY.competitions))
def test_the_search_space_names_settings_that_the_recipe_has(id):
    competition = REGISTRY.competitions[id][1]
    recipe = solved(id, "full").recipe
    techniques = {t.name: t.settings for t in recipe.techniques}
    for key in competition.space():
        head, _, rest = key.partition(".")
        if head == "techniques":
            name, _, setting = rest.partition(".")
            assert setting in techniques[name], key
        elif head == "settings":
            assert rest in recipe.settings, key
        else:
            assert head in type(recipe).model_fields, key
