"""The kernels of a dense CRF as sparse matrices: pair by pair for small images, a permutohedral lattice for others.

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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

EXACT = 2**21  # so many pairs of pixels, at most, are summed one by one; beyond, a lattice is faster
BITS = 63  # of a number that names a vertex and a pixel
CHUNK = 2**16  # pixels whose simplices are found at once: small enough for caches, and for memory to be used again


def fresh(shape: Sequence[int], dtype: str, device: torch.device) -> torch.Tensor:
    """Memory with anything in it, from numpy where the device is a CPU.

    numpy asks the system for huge pages, torch does not; touching small pages for the first time takes longer than all
    that is computed on them here.
    """
    import numpy as np
    import torch

    if device.type == "cpu":
        return torch.from_numpy(np.empty(shape, dtype))
    return torch.empty(*shape, dtype=getattr(torch, dtype), device=device)


@dataclass(frozen=True)
class Kernel:
    """A filter over N pixels, symmetrically normalised: one matrix `[N, N]`, or a lattice of M vertices.

    A lattice is a splat `[M, N]`, blurs `[M, M + 1]` and a slice `[N, M + 1]`; vertex M is always zero.
    """

    matrices: tuple[torch.Tensor, ...]

    def apply(self, beliefs: torch.Tensor) -> torch.Tensor:
        """The messages about `beliefs` `[N, k]`."""
        found, size = beliefs.new_zeros(beliefs.shape), (self.rows, beliefs.shape[1])
        self.add(beliefs, found, 1.0, beliefs.new_zeros(size), beliefs.new_zeros(size))
        return found

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


def make_kernel(colors: torch.Tensor, sxy: float, truncate: float) -> Kernel:
    """The kernel over positions, in units of `sxy` pixels, and `colors` `[H, W, C]`, in standard deviations.

    It is exact within a window of `truncate` standard deviations if that makes at most `EXACT` pairs of pixels.
    """
    import torch

    height, width, channels = colors.shape
    features = fresh((2 + channels, height, width), "float32", colors.device)
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
    low, digits, block, fits = _naming(features)
    names = fresh((axes, count), "int64", features.device)
    shares, values = (fresh((axes, count), "float32", features.device) for _ in range(2))
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        base, place, shares[:, part] = _simplices(features[:, part])
        names[0, part] = ((base - low[:, None]).long() * digits[:-1, None]).sum(0)
        # The corner of remainder k lies one step back along the k coordinates that come first in place.
        steps = torch.empty_like(place).scatter_(0, place, digits[:, None].expand_as(place))
        torch.sub(names[0, part], steps[:-1].sub_(block).cumsum(0), out=names[1:, part])
    pixels = _sort(names, fits)
    flat = names.view(-1)
    new = torch.ones_like(names, dtype=torch.bool)
    torch.ne(flat[1:], flat[:-1], out=new.view(-1)[1:])
    starts = new.view(-1).nonzero()[:, 0]
    vertices, seen = fresh((count, axes), "int32", features.device), 0
    for axis, row in enumerate(pixels):
        own = new[axis].cumsum(0, dtype=torch.int32).add_(seen - 1)
        vertices[:, axis] = torch.empty_like(own).scatter_(0, row.long(), own)  # several times faster than by index
        torch.index_select(shares[axis], 0, row, out=values[axis])
        seen = int(own[-1]) + 1
    weights = fresh((count, axes), "float32", features.device).copy_(shares.T)
    splat = _csr(torch.cat([starts, starts.new_tensor([axes * count])]), pixels.view(-1), values.view(-1), count)
    blurs = _blurs(flat[starts], starts >= (axes - 1) * count, digits, block, fits)
    kernel = Kernel((splat, *blurs, _fixed_rows(vertices, weights, seen + 1)))
    norm = kernel.apply(weights.new_ones(count, 1)).add_(1e-20).rsqrt_()
    weights.mul_(norm)  # which is what the slice holds, as `values` is what the splat holds
    for axis, row in enumerate(pixels):
        values[axis] *= norm[:, 0].index_select(0, row)
    return kernel


def _simplices(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The simplex around each of `features` `[d, N]`: its corner of remainder 0, how it lies, barycentric weights.

    Corner: float32 `[d, N]` in units of d + 1, the last coordinate left out. How it lies: int64 `[d + 1, N]`, the place
    of each coordinate when they are sorted from the largest remainder down. Weights: `[d + 1, N]`, by remainder. In
    single precision and with the ties of pydensecrf.
    """
    import torch

    d, count = features.shape
    lifted = features.new_empty(d + 1, count)
    total = features.new_zeros(count)
    for axis in range(d, 0, -1):
        scaled = features[axis - 1] * _stretch(axis, d)
        torch.sub(total, scaled, alpha=axis, out=lifted[axis])
        total += scaled
    lifted[0] = total
    base = torch.round(lifted * (1 / (d + 1)))
    rest = lifted.sub_(base, alpha=d + 1)
    rank = base.sum(0).to(torch.int16).repeat(d + 1, 1)  # off the plane by so many corners: so many places on
    for axis in range(d):
        less = rest[axis] < rest[axis + 1 :]
        rank[axis] += less.sum(0, dtype=torch.int16)
        rank[axis + 1 :] += ~less
    wrap = (rank < 0).to(torch.int16) - (rank > d).to(torch.int16)
    base += wrap
    rest.sub_(wrap, alpha=d + 1).div_(d + 1)
    place = (d - rank.add_(wrap, alpha=d + 1)).long()
    ordered = torch.empty_like(rest).scatter_(0, place, rest)
    weights = ordered.clone()
    weights[1:] -= ordered[:-1]
    weights[0] += 1 - ordered[d]
    return base[:-1], place, weights


def _stretch(axis: int, d: int) -> float:
    """Lattice units per standard deviation: all blurs together have a variance of (d + 1)^2 * 2 / 3 of them."""
    return math.sqrt(2 / 3) * (d + 1) / math.sqrt(axis * (axis + 1))


def _naming(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, bool]:
    """The least corner, what each coordinate counts in a vertex's name, what the remainder counts, and whether it fits.

    Coordinates are the digits of a number, the remainder the first of them. Where that and the number of a pixel do not
    fit into 64 bits (many channels), every digit counts at random: names remain linear, and of a million vertices two
    share one in less than one image of ten million.
    """
    import torch

    d, count = features.shape
    ends = torch.stack([features.amin(1), features.amax(1)]).tolist()
    lows, spans, least, most = [], [], 0.0, 0.0
    for axis in range(d, 0, -1):
        low, high = (end[axis - 1] * _stretch(axis, d) for end in ends)
        lows.insert(0, math.floor((least - axis * high) / (d + 1)))
        spans.insert(0, math.ceil((most - axis * low) / (d + 1)) - lows[0])
        least, most = least + low, most + high
    lows.insert(0, math.floor(least / (d + 1)))
    spans.insert(0, math.ceil(most / (d + 1)) - lows[0])
    spans = [span + 8 for span in spans[:-1]]  # rounding, turning and stepping leave the range by 4 at most
    counts, block = [math.prod(spans[axis + 1 :]) for axis in range(d)], math.prod(spans)
    fits = block * (d + 1) < 2 ** (BITS - count.bit_length())
    if not fits:
        drawn = torch.randint(-(2**62), 2**62, (d + 1,), generator=torch.Generator().manual_seed(0)) * 2 + 1
        *counts, block = drawn.tolist()
    device = features.device
    low = torch.tensor(lows[:-1], device=device) - 4
    return low, torch.tensor([*counts, 0], device=device), torch.tensor(block, device=device), fits


def _sort(names: torch.Tensor, fits: bool) -> torch.Tensor:
    """Sort each row of `names` `[d + 1, N]` in place; returns int32, where each of them came from."""
    import numpy as np
    import torch

    if not fits:
        names[:], pixels = torch.sort(names, dim=1)
        return pixels.int()
    # Name and pixel as one number: numbers alone are sorted several times faster than numbers with their places.
    bits = names.shape[1].bit_length()
    names.bitwise_left_shift_(bits).bitwise_or_(torch.arange(names.shape[1], device=names.device))
    if names.is_cuda:
        names[:] = names.sort(dim=1).values
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(np.ndarray.sort, names.numpy()))
    pixels = fresh(names.shape, "int32", names.device)
    for row, pixel in zip(names, pixels, strict=True):
        pixel.copy_(row & ((1 << bits) - 1))
    names.bitwise_right_shift_(bits)
    return pixels


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
        at = torch.where(names.index_select(0, at) == wanted, at, count)  # to the vertex that is always zero
        before = own.new_full((count + 1,), count).scatter_(0, at, own)
        neighbours = torch.stack([before[:-1], own, at.int()], 1)
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
