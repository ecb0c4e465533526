"""Facts about unremarkable data, to change one by one."""

import copy

EVEN = {
    "competition": "toy",
    "title": "Toy",
    "task": "binary",
    "classes": ["a"],
    "data": "f00",
    "made": "2026-01-02T03:04:05Z",
    "command": "kk eda toy",
    "recipe": {"techniques": [], "image_size": 256, "folds": 5},
    "counts": {"train": 100, "test": 20, "labelled": 100, "groups": 0, "skipped": 0},
    "problems": [],
    "sampled": {"train": 100, "test": 20, "looked_train": 100, "looked_test": 20, "labels": 100, "with_objects": 1.0,
                "classes_of_all": False, "windows": False},
    "pictures": {"channels": 3, "depth": "uint8", "tiled": False, "different": 1, "smallest": [64, 64],
                 "largest": [64, 64], "listed": [{"size": [64, 64], "train": 100, "test": 20}]},
    "together": [[100]],
    "labels_counted": 100,
    "empty": 0.0,
    "covered": 0.2,
    "area_bins": [],
    "places": [[[0.0, 1.0], [0.5, 0.5]]],
    "intensity": {"depth": "uint8", "channels": [], "windows": []},
    "groups": {"count": 0, "alone": 100, "unlabelled": 0, "largest": 0, "median": 0.0, "mean": 0.0, "sizes": {}},
    "copies": {"train": [], "leaks": [], "pictures": 0, "across_groups": 0, "train_groups": 0, "leak_groups": 0,
               "leaked": 0},
    "drift": {"verdict": "none", "features": [], "auc": {"value": 0.5, "low": 0.4, "high": 0.6}, "train": 100,
              "test": 20},
    "findings": {"asked": ["rules"], "rules": {}, "distrusted": 0, "worst": []},
    "stands_out": [],
    "suggestions": [],
    "seconds": 1.0,
}  # fmt: skip


def one_class(
    name: str, images: float = 1.0, area: float = 0.2, several: float = 0.1, holes: float = 0.05, edge: float = 0.1
) -> dict:
    """Facts of a class that `pictures` of a hundred labels show."""
    shown = images > 0
    edges = dict.fromkeys(("top", "bottom", "left", "right"), edge / 4) | {"any": edge}
    areas = {f"p{q}": area * f for q, f in ((5, 0.5), (25, 0.8), (50, 1), (75, 1.2), (95, 2))} if shown else {}
    regions = {"mean": 1.1, "several": several, "most": 3, "median_area": area, "small_area": 1e-5, "rest": 0.01,
               "histogram": [90, 10, 0, 0, 0]}  # fmt: skip
    count = round(100 * images)
    return {"name": name, "count": count, "pictures": images, "pixels": area * images, "area": areas,
            "histogram": [0, count, 0], "regions": regions, "holes": holes, "edges": edges}  # fmt: skip


def facts(**changes) -> dict:
    """The unremarkable facts with some changed, named by dotted keys."""
    found = copy.deepcopy(EVEN | {"balance": [one_class("a")]})
    for key, value in changes.items():
        cells = found
        *way, last = key.split(".")
        for step in way:
            cells = cells[step]
        cells[last] = value
    return found
