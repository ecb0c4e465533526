"""Mean-field inference in a dense CRF written down as the formulas stand, over all pairs of pixels."""

import numpy as np

CLIP = 1e-5


def kernel(features: np.ndarray) -> np.ndarray:
    """exp(-|f_i - f_j|^2 / 2) of features `[N, d]`, divided by the square roots of its row and column sums."""
    differences = features[:, None] - features[None]
    pairs = np.exp(-(differences**2).sum(-1) / 2)
    norm = 1 / np.sqrt(pairs.sum(1))
    return norm[:, None] * pairs * norm[None]


def positions(height: int, width: int) -> np.ndarray:
    """Column and row of every pixel, `[N, 2]`."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows], -1).reshape(-1, 2).astype(float)


def exact_mean_field(probs, image, gaussian, bilateral, iterations):
    """Probabilities `[K, H, W]` after `iterations`; `gaussian` is (sxy, compat), `bilateral` (sxy, srgb, compat).

    Potts model: a class pays `compat` for what neighbours believe of all other classes.
    """
    classes, height, width = probs.shape
    where, colors = positions(height, width), image.reshape(height * width, -1).astype(float)
    sxy, compat = gaussian
    pairwise = compat * kernel(where / sxy)
    sxy, srgb, compat = bilateral
    pairwise = pairwise + compat * kernel(np.concatenate([where / sxy, colors / srgb], 1))
    unary = -np.log(np.clip(probs.reshape(classes, -1).astype(float), CLIP, 1))
    beliefs = softmax(-unary)
    for _ in range(iterations):
        others = beliefs.sum(0) - beliefs
        beliefs = softmax(-unary - others @ pairwise.T)
    return beliefs.reshape(probs.shape)


def exact_of_two(probs, image, gaussian, bilateral, iterations):
    """The same where each class `[K, H, W]` stands against a background of its own."""
    return np.stack([
        exact_mean_field(np.stack([1 - plane, plane]), image, gaussian, bilateral, iterations)[1] for plane in probs
    ])  # fmt: skip


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)
