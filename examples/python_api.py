"""Train, predict and score from Python, without the command line, on data that a competition draws itself.

python examples/python_api.py FOLDER [COMPETITION]
"""

import sys
from pathlib import Path

from kagglekit.api import Request, compose, discover, draw_sample_data, predict_folder, resolve, run, score_file

SMALL = {"fidelity.image_size": 64, "fidelity.epochs": 2, "decoder": "unet/4", "encoder_weights": "none", "folds": 4}


def main(folder: Path, id: str = "contrast", count: int = 24) -> float:
    """The score of the submission of a small run whose data, masks and results lie in `folder`."""
    plugins = discover()
    _, competition = plugins.competition(id)
    layers = [
        ("start", {"competition": id}),
        ("competition", competition.recipe),
        ("demo", competition.presets["demo"]),
        ("mine", SMALL),
    ]
    recipe, came_from = compose(layers, with_=["turn-tta"])
    solution = resolve(recipe, plugins)
    draw_sample_data(solution, folder / "data", count, seed=0)

    run_folder, result, _ = run(Request(solution, folder / "data", "demo", "python_api.py"))
    print(f"lr {recipe.lr} comes from {came_from.get('lr', 'the engine')}; validation {result.score.value:.3f}")

    dataset = solution.dataset(folder / "data")
    images = dataset.test[0].image.parent
    print(predict_folder(plugins, str(run_folder), images, folder / "masks"))

    score = score_file(run_folder / result.submission.file, dataset, competition.metric)
    print(f"{competition.metric.name} of the submission: {score.value:.3f} ({score.low:.3f} .. {score.high:.3f})")
    return score.value


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
