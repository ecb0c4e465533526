"""Which images are nearly the same: 64-bit perceptual hashes, and groups of those that differ in few bits.

All pairs of 200,000 hashes are 20 billion. By the pigeonhole principle two hashes that differ in at most d bits differ
in at most d // 4 bits of one of their four 16-bit parts, so only hashes that lie in near buckets of a part are compared
(multi-index hashing, Norouzi et al. 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Agree = Callable[["np.ndarray", "np.ndarray"], "np.ndarray"]

SIDE = 32  # of the gray image that is transformed
KEPT = 8  # lowest frequencies of each direction: 64 signs
PARTS, BITS = 4, 16
MOST = 15
"""Bits by which hashes of a group may differ; unrelated ones differ in 32 on average, and more would be slow."""
BLOCK = 1 << 22  # candidate pairs that are compared at once
FOREST = 1 << 23  # near pairs that are held before they are reduced to a spanning forest
THUMB = 16  # pixels of the thumbnails whose correlation has the last word
READ = (64, 64)
"""The size that images are brought to before they are hashed."""


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits of an image `[H, W, C]` of any depth: signs of its lowest DCT frequencies about their median (pHash).

    Invariant to how bright and how flat it is, nearly so to scale, compression and shifts by a hundredth of the side.
    An image of one colour has the hash 0.
    """
    import cv2
    import numpy as np

    from kagglekit.data.resize import resize_image

    # Shrunk before it becomes float: an image is large, its gray thumbnail is not.
    gray = resize_image(image, (SIDE, SIDE)).astype(np.float32).mean(-1)
    if np.ptp(gray) < 1e-6:
        return 0
    low = cv2.dct(gray)[:KEPT, :KEPT].ravel()
    signs = low > np.median(low[1:])  # without the mean of the image, which is far larger than the rest
    return int(np.packbits(signs).view(">u8")[0])


def hash_and_thumb(image: np.ndarray) -> tuple[int, np.ndarray]:
    """(hash, thumbnail uint8 `[THUMB * THUMB * C]` of its own full range) of an image `[H, W, C]` of any depth."""
    import numpy as np

    from kagglekit.data.resize import resize_image
    from kagglekit.data.thumbs import as_bytes

    image = as_bytes(resize_image(image, READ))
    thumb = resize_image(image, (THUMB, THUMB)).astype(np.float32)
    # Correlation does not see the range, and a byte for each value keeps thumbnails of a large data set in memory.
    stretched = (thumb - thumb.min()) * (255 / max(float(np.ptp(thumb)), 1e-6))
    return perceptual_hash(image), np.rint(stretched).astype(np.uint8).ravel()


def alike(thumbs: np.ndarray, similarity: float) -> Agree:
    """`agree(i, j)` for `group`: do thumbnails `[N, P]` at positions `[M]` correlate by at least `similarity`?"""
    import numpy as np

    def agree(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        parts = [correlation(thumbs[i[at : at + 4096]], thumbs[j[at : at + 4096]]) for at in range(0, len(i), 4096)]
        return np.concatenate(parts or [np.zeros(0)]) >= similarity

    return agree


def correlation(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> np.ndarray:
    """Pearson's correlation of each pair of rows; 1 for two of one colour each, 0 for one of them."""
    import numpy as np

    a, b = (np.asarray(rows, np.float32) - np.mean(rows, 1, np.float32, keepdims=True) for rows in (one, other))
    power = np.sqrt((a**2).sum(1)), np.sqrt((b**2).sum(1))
    flat = power[0] * power[1] < 1e-6
    both = (power[0] < 1e-3) & (power[1] < 1e-3)
    return np.where(flat, both.astype(np.float32), (a * b).sum(1) / np.where(flat, 1, power[0] * power[1]))


def group(hashes: np.ndarray, distance: int, agree: Agree | None = None) -> np.ndarray:
    """int64 `[N]`: the group of each hash uint64 `[N]`; chains of hashes within `distance` bits are a group.

    `agree(i, j)`, bool `[M]` of positions `[M]`, has the last word on pairs. `distance` lies in 0..15; raises
    ValueError otherwise.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not 0 <= distance <= MOST:
        raise ValueError(f"distance must lie in 0..{MOST} bits, got {distance}")
    count = len(hashes)
    # Equal hashes (blank images, copies) are compared with the first of them only: all pairs could be billions.
    nodes, first, node = np.unique(np.asarray(hashes, np.uint64), return_index=True, return_inverse=True)
    left, right = np.arange(count), first[node]
    if agree is not None:
        alike = (left == right) | agree(left, right)
        left, right = left[alike], right[alike]

    def labels() -> np.ndarray:
        edges = coo_array((np.ones(len(left), bool), (left, right)), (count, count))
        return connected_components(edges, directed=False)[1].astype(np.int64)

    for one, other in near_pairs(nodes, distance):
        one, other = first[one], first[other]
        if agree is not None:
            alike = agree(one, other)
            one, other = one[alike], other[alike]
        left, right = np.concatenate([left, one]), np.concatenate([right, other])
        if len(left) > FOREST:
            found = labels()
            _, heads = np.unique(found, return_index=True)
            left, right = np.arange(count), heads[found]
    return labels()


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions (i, j), in blocks, of all pairs of different uint64 hashes within `distance` bits; some come twice."""
    import numpy as np

    for part in range(PARTS):
        values = ((hashes >> np.uint64(BITS * part)) & np.uint64((1 << BITS) - 1)).astype(np.int64)
        order = np.argsort(values, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << BITS))])
        for flips in _flips(distance // PARTS):
            # Each pair of buckets once; within a bucket each pair once, by position.
            seekers = np.flatnonzero(values < values ^ flips) if flips else np.arange(len(values))
            near = values[seekers] ^ flips
            for block in _blocks(starts[near + 1] - starts[near]):
                who, where = seekers[block], near[block]
                counts = starts[where + 1] - starts[where]
                one = np.repeat(who, counts)
                shift = np.repeat(starts[where] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
                other = order[np.arange(len(one)) + shift]
                close = np.bitwise_count(hashes[one] ^ hashes[other]) <= distance
                close &= (one < other) if not flips else True
                if close.any():
                    yield one[close], other[close]


def _flips(radius: int) -> list[int]:
    """All values of a part with at most `radius` bits set."""
    return [value for value in range(1 << BITS) if value.bit_count() <= radius]


def _blocks(counts: np.ndarray) -> Iterator[slice]:
    """Slices of `counts` that sum to about `BLOCK` each."""
    import numpy as np

    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    bounds = [0, *np.searchsorted(ends, np.arange(BLOCK, total, BLOCK), side="right").tolist(), len(counts)]
    return (slice(a, b) for a, b in pairwise(bounds) if b > a)
