"""The kernels of a dense CRF as sparse matrices: pair by pair for small pictures, a permutohedral lattice for others.

The lattice is that of Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice" (2010),
with the vertices, weights and order of blurs of pydensecrf, since that is what results were reported with: only
vertices that a pixel touches exist, and what a blur would hand to others is lost. It approximates the sum over pairs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch

EXACT = 2**21  # so many pairs of pixels, at most, are summed one by one; beyond, a lattice is faster
NARROW = 2.0  # pixels; see `smoothness`


@dataclass(frozen=True)
class Kernel:
    """A filter over N pixels, symmetrically normalised: one matrix `[N, N]`, or a lattice of M vertices.

    A lattice is a splat `[M, N]`, blurs `[M, M + 1]` and a slice `[N, M + 1]`; vertex M is always zero.
    """

    matrices: tuple[torch.Tensor, ...]

    @property
    def rows(self) -> int:
        """Rows of the memory that `add` works in."""
        return self.matrices[-1].shape[1] if len(self.matrices) > 1 else 0

    def add(self, beliefs: torch.Tensor, logits: torch.Tensor, weight: float, source, target) -> None:
        """Add the weighted messages about `beliefs` `[N, k]` to `logits`; `source` and `target` are its memory."""
        import torch

        if len(self.matrices) > 1:
            torch.addmm(source[:-1], self.matrices[0], beliefs, beta=0, out=source[:-1])
            for blur in self.matrices[1:-1]:
                torch.addmm(target[:-1], blur, source, beta=0, out=target[:-1])
                source, target = target, source
            beliefs = source
        torch.addmm(logits, self.matrices[-1], beliefs, alpha=weight, out=logits)


@dataclass(frozen=True)
class Separable:
    """A Gaussian filter of positions only, symmetrically normalised: `taps` along both axes, `norm` `[N, 1]`."""

    height: int
    width: int
    taps: torch.Tensor
    norm: torch.Tensor
    rows: ClassVar[int] = 0

    def add(self, beliefs: torch.Tensor, logits: torch.Tensor, weight: float, *_) -> None:
        """Add the weighted messages about `beliefs` `[N, k]` to `logits`, in place."""
        from torch.nn.functional import conv2d

        k, radius = beliefs.shape[1], len(self.taps) // 2
        planes = (beliefs * self.norm).view(1, self.height, self.width, k).permute(0, 3, 1, 2)  # channels last
        taps = self.taps.expand(k, 1, 1, -1)
        planes = conv2d(planes, taps, padding=(0, radius), groups=k)
        planes = conv2d(planes, taps.transpose(2, 3), padding=(radius, 0), groups=k)
        logits.addcmul_(planes.permute(0, 2, 3, 1).reshape(-1, k), self.norm, value=weight)


class Messages:
    """The weighted sum of kernels, with the memory it works in: fresh pages would cost as much as the arithmetic."""

    def __init__(self, weighted: Sequence[tuple[Kernel | Separable, float]]):
        self.weighted = weighted
        self.memory: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, beliefs: torch.Tensor, logits: torch.Tensor) -> None:
        """Add the messages about `beliefs` `[N, k]` to `logits` `[N, k]`, in place."""
        for kernel, weight in self.weighted:
            size = kernel.rows, beliefs.shape[1]
            if size not in self.memory:
                self.memory[size] = beliefs.new_zeros(size), beliefs.new_zeros(size)
            kernel.add(beliefs, logits, weight, *self.memory[size])


@lru_cache(maxsize=2)  # the pictures of a competition come in few sizes
def smoothness(height: int, width: int, sxy: float, truncate: float, device: torch.device) -> Kernel | Separable:
    """The kernel that knows positions only, of standard deviation `sxy` pixels.

    Below `NARROW`, where a lattice would have more vertices than there are pixels, it is exact within a window of
    `truncate` standard deviations.
    """
    import torch

    if sxy >= NARROW:
        return make_kernel(torch.empty(height, width, 0, device=device), sxy, truncate)
    radius = math.ceil(truncate * sxy)
    taps = torch.exp((torch.arange(-radius, radius + 1, device=device) / sxy) ** 2 / -2)
    sides = [
        torch.nn.functional.conv1d(taps.new_ones(1, 1, n), taps[None, None], padding=radius) for n in (height, width)
    ]
    norm = (sides[0][0].T * sides[1][0]).rsqrt_().view(-1, 1)
    return Separable(height, width, taps, norm)


def make_kernel(colors: torch.Tensor, sxy: float, truncate: float) -> Kernel:
    """The kernel over positions, in units of `sxy` pixels, and `colors` `[H, W, C]`, in standard deviations.

    It is exact within a window of `truncate` standard deviations if that makes at most `EXACT` pairs of pixels.
    """
    import torch

    height, width, channels = colors.shape
    features = colors.new_empty(2 + channels, height, width)
    features[0] = torch.arange(width, device=colors.device) / sxy
    features[1] = (torch.arange(height, device=colors.device) / sxy)[:, None]
    features[2:] = colors.permute(2, 0, 1)
    radius = math.ceil(truncate * sxy)
    tall, wide = min(radius, height - 1), min(radius, width - 1)
    if height * width * (2 * tall + 1) * (2 * wide + 1) <= EXACT:
        return window(features, tall, wide)
    return lattice(features.flatten(1))


def window(features: torch.Tensor, tall: int, wide: int) -> Kernel:
    """The kernel of `features` `[d, H, W]`, pair by pair over pixels at most `tall` rows and `wide` columns apart."""
    import torch

    height, width = features.shape[1:]
    count, device = height * width, features.device
    y = torch.arange(height, device=device)[:, None] + torch.arange(-tall, tall + 1, device=device)
    x = torch.arange(width, device=device)[:, None] + torch.arange(-wide, wide + 1, device=device)
    y, x = y[:, None, :, None], x[None, :, None, :]
    inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).view(count, -1)
    pixels = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).view(count, -1)
    values = sum((plane[pixels] - plane[:, None]).square_() for plane in features.flatten(1)).div_(-2).exp_()
    norm = values.mul_(inside).sum(1).rsqrt_()
    values.mul_(norm[:, None]).mul_(norm[pixels])
    rows = torch.nn.functional.pad(inside.sum(1).cumsum(0), (1, 0))
    return Kernel((_csr(rows, pixels[inside], values[inside], count),))


def lattice(features: torch.Tensor) -> Kernel:
    """The permutohedral kernel of `features` `[d, N]`, in standard deviations.

    A vertex is named by a number that is linear in its coordinates: equal vertices are found by sorting these names,
    neighbours by adding a constant to them and searching.
    """
    import torch

    axes, count = len(features) + 1, features.shape[1]
    base, place, shares = _simplices(features)
    digits, block, fits = _digits(base, (count - 1).bit_length())
    # The corner of remainder k lies one step back along the k coordinates that come first in place.
    names = torch.empty_like(place)
    names[0] = ((base - base.amin(1, keepdim=True) + 2).long() * digits[:, None]).sum(0)
    steps = torch.empty_like(place).scatter_(0, place, digits[:, None].expand(-1, count))
    torch.cumsum(steps[:-1].sub_(block), 0, out=names[1:])
    torch.sub(names[0], names[1:], out=names[1:])
    names, pixels = _sorted(names, fits)
    fresh = torch.ones_like(names, dtype=torch.bool)
    torch.ne(names[1:], names[:-1], out=fresh[1:])
    starts = fresh.nonzero()[:, 0]
    vertices = torch.empty(count, axes, dtype=torch.int32, device=features.device)
    corners = pixels * axes + torch.arange(axes, device=features.device)[:, None]
    vertices.view(-1)[corners.view(-1)] = torch.cumsum(fresh, 0, dtype=torch.int32).sub_(1)
    weights, shares = shares.T.contiguous(), shares.gather(1, pixels).view(-1)
    splat = _csr(torch.cat([starts, starts.new_tensor([axes * count])]), pixels.view(-1), shares, count)
    blurs = _blurs(names[starts], starts >= (axes - 1) * count, digits, block, fits)
    kernel = Kernel((splat, *blurs, _fixed_rows(vertices, weights, len(starts) + 1)))
    received = weights.new_zeros(count, 1)
    Messages([(kernel, 1.0)]).add(torch.ones_like(received), received)
    norm = received.add_(1e-20).rsqrt_()
    splat.values().mul_(norm[:, 0][pixels.view(-1)])
    weights.mul_(norm)  # which the slice shares
    return kernel


def _simplices(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The simplex around each of `features` `[d, N]`: its corner of remainder 0, how it lies, barycentric weights.

    Corner: float32 `[d + 1, N]` in units of d + 1. How it lies: int64 `[d + 1, N]`, the place of each coordinate when
    they are sorted from the largest remainder down. Single precision and ties as in pydensecrf.
    """
    import torch

    d, count = features.shape
    lifted = features.new_empty(d + 1, count)
    total = features.new_zeros(count)
    for axis in range(d, 0, -1):
        # The blur of all axes has a variance of (d + 1)^2 * 2 / 3 in lattice units.
        scaled = features[axis - 1] * (math.sqrt(2 / 3) * (d + 1) / math.sqrt(axis * (axis + 1)))
        torch.sub(total, scaled, alpha=axis, out=lifted[axis])
        total += scaled
    lifted[0] = total
    base = torch.round(lifted * (1 / (d + 1)))
    rest = lifted.sub_(base, alpha=d + 1)
    rank = base.sum(0).to(torch.int8).repeat(d + 1, 1)  # off the plane by so many corners: turned on by so many places
    for axis in range(d):
        less = rest[axis] < rest[axis + 1 :]
        rank[axis] += less.sum(0, dtype=torch.int8)
        rank[axis + 1 :] += ~less
    wrap = (rank < 0).to(torch.int8) - (rank > d).to(torch.int8)
    base += wrap
    rest.sub_(wrap, alpha=d + 1).div_(d + 1)
    place = (d - rank.add_(wrap, alpha=d + 1)).long()
    ordered = torch.empty_like(rest).scatter_(0, place, rest)
    weights = ordered.clone()
    weights[1:] -= ordered[:-1]
    weights[0] += 1 - ordered[d]
    return base, place, weights


def _digits(base: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """What each coordinate counts in a vertex's name, what the remainder counts, and if `bits` bits are left beside it.

    Coordinates are the digits of a number, the remainder the first of them. Where that does not fit into 64 bits (very
    many channels), every digit counts at random: names remain linear, and a million of them differ but for one chance
    in ten million.
    """
    import torch

    spans = (base.amax(1) - base.amin(1) + 5).long().tolist()  # a step may leave the range by 2 on either side
    counts = [math.prod(spans[axis + 1 : -1]) for axis in range(len(spans) - 1)] + [0]
    block = math.prod(spans[:-1])
    fits = block * len(spans) < 2 ** (63 - bits)
    if not fits:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(-(2**62), 2**62, (len(spans),), generator=generator) * 2 + 1
        counts, block = [*drawn[1:].tolist(), 0], int(drawn[0])
    return torch.tensor(counts, device=base.device), torch.tensor(block, device=base.device), fits


def _sorted(names: torch.Tensor, fits: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """`names` `[d + 1, N]`, each row sorted, as one row; and the pixel that each belongs to, `[d + 1, N]`."""
    import numpy as np
    import torch

    if not fits:
        names, pixels = torch.sort(names, dim=1)
        return names.view(-1), pixels
    # Name and pixel as one number: sorting plain numbers is several times faster than sorting with indices.
    bits = (names.shape[1] - 1).bit_length()
    packed = (names << bits).bitwise_or_(torch.arange(names.shape[1], device=names.device))
    if packed.is_cuda:
        packed = packed.sort(dim=1).values
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(np.ndarray.sort, packed.numpy()))
    return (packed >> bits).view(-1), packed.bitwise_and_((1 << bits) - 1)


def _blurs(
    names: torch.Tensor, final: torch.Tensor, digits: torch.Tensor, block: torch.Tensor, fits: bool
) -> tuple[torch.Tensor, ...]:
    """Along each axis: half of both neighbours and all of oneself. `final` marks vertices of the last remainder."""
    import torch

    count, axes = len(names), len(digits)
    order = None if fits else names.argsort()
    step = names + block
    step[final] += digits.sum() - axes * block  # remainder d is followed by remainder 0 of the next block
    values = names.new_tensor([0.5, 1, 0.5], dtype=torch.float32).repeat(count, 1)
    own = torch.arange(count, dtype=torch.int32, device=names.device)
    blurs = []
    for digit in digits:
        wanted = step - digit
        at = torch.searchsorted(names, wanted, sorter=order).clamp_(max=count - 1)
        at = at if fits else order[at]
        found = (names[at] == wanted).nonzero()[:, 0]
        neighbours = torch.full((count, 3), count, dtype=torch.int32, device=names.device)
        neighbours[:, 1] = own
        neighbours[:, 2][found] = at[found].int()
        neighbours[:, 0][at[found]] = found.int()
        blurs.append(_fixed_rows(neighbours, values, count + 1))
    return tuple(blurs)


def _fixed_rows(columns: torch.Tensor, values: torch.Tensor, width: int) -> torch.Tensor:
    """The sparse matrix of `width` columns with `values` `[N, v]` at `columns` `[N, v]` of its rows."""
    import torch

    count, each = columns.shape
    rows = torch.arange(0, count * each + 1, each, device=columns.device)
    return _csr(rows, columns.view(-1), values.view(-1), width)


def _csr(rows: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, width: int) -> torch.Tensor:
    """A matrix in compressed rows, its indices 32 bits wide: MKL would convert wider ones in every product."""
    import torch

    size = len(rows) - 1, width
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*[Ss]parse.*", UserWarning)  # that they are new, once per process
        return torch.sparse_csr_tensor(rows.int(), columns.int(), values, size, check_invariants=False)
