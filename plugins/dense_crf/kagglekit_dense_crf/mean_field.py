"""Mean-field inference in a fully connected CRF with a smoothness and an appearance kernel, in torch.

The model is that of Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials"
(2011), as pydensecrf computes it by default: Potts compatibility, `DIAG_KERNEL`, `NORMALIZE_SYMMETRIC`. With
K_ij = exp(-|f_i - f_j|^2 / 2) over features f and n_i = (sum_j K_ij)^(-1/2), the message to pixel i is
sum_j n_i K_ij n_j q_j. The sum includes j = i, as in pydensecrf and unlike in the paper. So normalised, a kernel has no
eigenvalue beyond 1 (a lattice nearly so): messages err by no more than the beliefs they are about, which `Inference`
makes use of.

The appearance kernel, and a smoothness kernel that is not narrow, are filtered on a permutohedral lattice in images
that are too large to be summed pair by pair. A window cut off at some distance would not do: at 49 pixels it holds
tens of thousands of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from kagglekit_dense_crf.permutohedral import Kernel, fresh, make_kernel

if TYPE_CHECKING:
    import numpy as np
    import torch

CLIP = 1e-5  # the least probability, as in pydensecrf's unary_from_softmax: zero could never be persuaded
NARROW = 2.0  # pixels; see `smoothness`
SOME = 2**16  # pixels that are looked at at once
STEEP = 60.0  # logits above it are shifted before exp() leaves float32


def mean_field(
    probs: np.ndarray,
    image: np.ndarray,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_compat: float = 3.0,
    bilateral_sxy: float = 49.0,
    bilateral_srgb: float = 5.0,
    bilateral_compat: float = 4.0,
    iterations: int = 10,
    truncate: float = 4.0,
    tolerance: float = 1e-2,
    exclusive: bool = True,
) -> np.ndarray:
    """Refine float32 probabilities `[K, H, W]` by the image `[H, W, C]` (uint8, uint16 or int16, any C).

    `exclusive` classes sum to 1 over K in the result; otherwise each class is a problem of two labels, itself and
    background. `sxy` is in pixels, `srgb` in levels of 0..255 (16-bit values are scaled to that range), `compat` the
    weight of a kernel. Sums over pairs of pixels, where they are made, end at `truncate` standard deviations.
    `tolerance`: root mean square of a class's change up to which no messages are sent about it; a tenth of it where
    classes do not share pixels, as a class alone may still turn over slowly. Runs on the GPU if there is one. Raises
    ValueError for arrays that do not fit.
    """
    import numpy as np
    import torch

    _check(probs, image)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classes, height, width = probs.shape
    weighted = []
    with torch.inference_mode():
        if gaussian_compat and iterations:
            weighted.append((smoothness(height, width, gaussian_sxy, truncate, device), gaussian_compat))
        if bilateral_compat and iterations:
            levels = torch.from_numpy(image.astype("float32")).to(device)
            colors = levels / (bilateral_srgb * (1 if image.dtype == "uint8" else 257))
            weighted.append((make_kernel(colors, bilateral_sxy, truncate), bilateral_compat))
        p = torch.from_numpy(np.array(probs.reshape(classes, -1).T, np.float32, order="C")).to(device).clamp_(CLIP, 1)
        logits = torch.log(p, out=fresh(p.shape, "float32", device))
        if not exclusive:
            logits -= (1 - p).clamp_(min=CLIP).log_()
        if weighted:
            # Of two labels, background loses what the class gains: a message counts twice.
            messages = Messages([(kernel, compat if exclusive else 2 * compat) for kernel, compat in weighted])
            # Beliefs that are equal everywhere change nobody's mind, so nobody needs to be told of them.
            broadcast = fresh(p.shape, "float32", device).fill_(1 / classes if exclusive else 0.5)
            limit = (tolerance if exclusive else tolerance / 10) ** 2 * len(p)
            Inference(messages, limit, exclusive).advance(logits, broadcast, None, iterations)
        refined = _beliefs(logits, None, exclusive, p)[0]
        return np.ascontiguousarray(refined.cpu().numpy().T).reshape(probs.shape)


def _check(probs: np.ndarray, image: np.ndarray) -> None:
    if probs.ndim != 3 or image.ndim != 3 or probs.shape[1:] != image.shape[:2] or 0 in probs.shape + image.shape:
        raise ValueError(
            f"probabilities [K, H, W] and image [H, W, C] must agree in size, got {probs.shape} and {image.shape}"
        )
    if image.dtype not in ("uint8", "uint16", "int16"):
        raise ValueError(f"the image must be uint8, uint16 or int16, got {image.dtype}")


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
                self.memory[size] = tuple(fresh(size, "float32", beliefs.device).zero_() for _ in range(2))
            kernel.add(beliefs, logits, weight, *self.memory[size])


@lru_cache(maxsize=2)  # the images of a competition come in few sizes
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


@dataclass(frozen=True)
class Inference:
    """Mean-field iterations that send only what is news.

    Messages are linear in beliefs, so changes are sent, and only of classes whose beliefs changed since by more than
    `limit` (sum of squares over the image). After a few iterations that leaves the two or three classes that still
    contend; all others become one number per pixel, `rest`, which is what the softmax needs to know of them.
    """

    messages: Messages
    limit: float
    exclusive: bool

    def advance(
        self, logits: torch.Tensor, broadcast: torch.Tensor, rest: torch.Tensor | None, left: int
    ) -> tuple[int, torch.Tensor]:
        """Iterate on `logits` `[N, k]` in place, at most `left` times and at least once.

        `told` `[N, k]` holds the beliefs that neighbours know of, `rest` `[N, 1]` the sum of exp(logit) over classes
        that are not here (None: all are here). Returns how many iterations are left because `rest` should move too,
        and the beliefs that neighbours know of now; `told` itself is used up.
        """
        import torch

        beliefs, share, first = fresh(logits.shape, "float32", logits.device), None, True
        while left:
            if rest is not None and logits.max() > STEEP:
                break
            change = broadcast  # memory is what limits all this: the fewer arrays, the faster
            total, squares = self._look(logits, rest, beliefs, change)
            if rest is not None:
                share = rest / total if first else share
                if (rest / total - share).square_().sum() > self.limit:
                    torch.sub(beliefs, change, out=broadcast)
                    break
            news = (squares > self.limit).nonzero()[:, 0]
            if first or 2 * len(news) > logits.shape[1]:
                self.messages.add(change, logits)
                beliefs, broadcast, first, left = broadcast, beliefs, False, left - 1
                continue
            torch.sub(beliefs, change, out=broadcast)
            if not len(news):
                return (0 if rest is None else left), broadcast
            others = None
            if self.exclusive:
                others = (1 - beliefs.index_select(1, news).sum(1, keepdim=True)).clamp_(min=0).mul_(total)
            left = self._advance_some(news, logits, broadcast, others, left)
        return left, broadcast

    def _look(
        self, logits: torch.Tensor, rest: torch.Tensor | None, beliefs: torch.Tensor, broadcast: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Put the beliefs into `beliefs` and, in place of what was `told`, how they differ from it.

        Returns what exp(logit) was divided by `[N, 1]` and the sum of squares of each class's difference `[k]`. Some
        rows at a time, so that they stay in the processor's caches from one step to the next.
        """
        import torch

        total = fresh((len(logits), 1), "float32", logits.device) if self.exclusive else None
        squares, scratch = logits.new_zeros(1, logits.shape[1]), logits.new_empty(SOME, logits.shape[1])
        ones = logits.new_ones(1, SOME)  # sums along the longer axis are slow unless they are products
        for start in range(0, len(logits), SOME):
            part = slice(start, start + SOME)
            sums = _beliefs(logits[part], None if rest is None else rest[part], self.exclusive, beliefs[part])[1]
            if total is not None:
                total[part] = sums
            change = torch.sub(beliefs[part], broadcast[part], out=broadcast[part])
            squares.addmm_(ones[:, : len(change)], torch.mul(change, change, out=scratch[: len(change)]))
        return total, squares[0]

    def _advance_some(
        self,
        columns: torch.Tensor,
        logits: torch.Tensor,
        broadcast: torch.Tensor,
        others: torch.Tensor | None,
        left: int,
    ) -> int:
        """`advance` on some of the columns, in place."""
        part = logits.index_select(1, columns)
        left, known = self.advance(part, broadcast.index_select(1, columns), others, left)
        for k, column in enumerate(columns.tolist()):  # several times faster than logits[:, columns] = part
            logits[:, column], broadcast[:, column] = part[:, k], known[:, k]
        return left


def _beliefs(
    logits: torch.Tensor, rest: torch.Tensor | None, exclusive: bool, out: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Probabilities into `out`, and the sum they were divided by; large logits are shifted in place.

    torch.softmax does the same but is slow along so short an axis.
    """
    import torch

    if not exclusive:
        return torch.sigmoid(logits, out=out), None
    ones = out.new_ones(out.shape[1], 1)
    total = torch.exp(logits, out=out) @ ones if rest is None else torch.addmm(rest, torch.exp(logits, out=out), ones)
    if rest is None and total.max() > math.exp(STEEP):
        logits.sub_(logits.amax(1, keepdim=True))
        total = torch.exp(logits, out=out) @ ones
    return out.div_(total), total
