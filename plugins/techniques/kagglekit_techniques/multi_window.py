"""Several contrast windows of one 16-bit image as the channels that a network sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from kagglekit import RecipeError, hookimpl

if TYPE_CHECKING:
    import torch

SAMPLED = 50_000  # pixels of an image that a percentile is estimated from


@dataclass(frozen=True)
class Window:
    """From `low` to `high`, as values of pixels or, if `percent`, as percentiles of each image."""

    low: float
    high: float
    percent: bool = False


@dataclass(frozen=True)
class MultiWindow:
    """Show a network several ranges of a 16-bit image at once, each as a channel of its own.

    Devices differ in their range of contrast, and what one range shows another hides: the seminar's (0, 12040) and
    (0, 256) renderings of one image look very different. `windows` are separated by semicolons: "0:12040;0:256" from
    and to a value; "c40:w80" centre and width, as radiologists say it; "p1:p99" percentiles of each image. `mode`:
    "linear" cuts off outside the window, "sigmoid" fades (DICOM PS3.3 C.11.2.1.2-3). `jitter`: while training both ends
    move at random by up to this part of the width, as other devices would move them.

    Windows are applied to the stored pixels after resizing: edges of saturated parts are as sharp as the resizing
    leaves the raw values. The first layer of the encoder follows the number of channels.
    """

    name: ClassVar[str] = "multi-window"
    windows: str = "0:12040;0:256"
    mode: Literal["linear", "sigmoid"] = "linear"
    jitter: float = 0.1

    def __post_init__(self):
        parse_windows(self.windows)
        if not 0 <= self.jitter < 0.5:
            raise ValueError("jitter must lie in 0..0.5 (0.5 excluded: a window could turn inside out)")

    @classmethod
    def suggest(cls, facts):
        """Where a second window shows more."""
        windows = facts["intensity"]["windows"]
        if len(windows) < 2:
            return None
        text = ";".join(f"{one['low']}:{one['high']}" for one in windows)
        return (
            f"Between {windows[1]['low']} and {windows[1]['high']} objects stand out better than over the full range: "
            f'show both, as techniques.multi-window.windows="{text}".'
        )

    @hookimpl
    def kk_intake(self, channels, depth):
        """Windows of the stored channels; instead of the engine's answer, which takes 8 bits only."""
        if depth == "uint8":
            raise RecipeError(
                "techniques.multi-window: the images have 8 bits, of which no window shows more than they do; "
                "use --without multi-window"
            )
        return WindowTransform(channels, tuple(parse_windows(self.windows)), self.mode, self.jitter)


def parse_windows(text: str) -> list[Window]:
    """The windows of a text such as "0:12040;c40:w80;p1:p99"; raises ValueError that names the faulty one."""
    windows = []
    for part in (piece.strip() for piece in text.split(";")):
        first, colon, second = part.partition(":")
        kind = {("c", "w"): "centre", ("p", "p"): "percent"}.get((first[:1], second[:1]), "range")
        try:
            a, b = (float(value[kind != "range" :]) for value in (first, second))
        except ValueError:
            a = b = math.nan
        if not (colon and math.isfinite(a) and math.isfinite(b)):
            raise ValueError(
                f'windows: {part!r} is no window; expected "LOW:HIGH", "cCENTRE:wWIDTH" or "pLOW:pHIGH", separated by '
                "semicolons"
            )
        low, high = (a - b / 2, a + b / 2) if kind == "centre" else (a, b)
        if high <= low:
            raise ValueError(f"windows: {part!r} goes from {low:g} to {high:g}; its end must lie above its beginning")
        if kind == "percent" and not (low >= 0 and high <= 100):
            raise ValueError(f"windows: {part!r}: percentiles lie in 0..100")
        windows.append(Window(low, high, kind == "percent"))
    return windows


@dataclass(frozen=True)
class WindowTransform:
    """`[B, C, H, W]` as stored -> float32 `[B, C * windows, H, W]` in 0..1, the windows of each channel together."""

    stored: int
    windows: Sequence[Window]
    mode: str
    jitter: float

    @property
    def channels(self) -> int:
        """Channels that the network gets."""
        return self.stored * len(self.windows)

    def __call__(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        """Every window of every channel."""
        import torch

        pixels = images.float()
        ranges = []
        for window in self.windows:
            low, high = self._ends(pixels, window)
            if training and self.jitter:
                width = high - low
                moves = torch.rand(2, len(pixels), 1, 1, 1, device=pixels.device) * 2 - 1
                low, high = low + self.jitter * width * moves[0], high + self.jitter * width * moves[1]
            if self.mode == "linear":
                ranges.append(((pixels - low) / (high - low)).clamp(0, 1))
            else:
                ranges.append(torch.sigmoid(4 * (pixels - (low + high) / 2) / (high - low)))
        return torch.stack(ranges, 2).flatten(1, 2)

    def _ends(self, pixels: torch.Tensor, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Both ends, `[B or 1, C or 1, 1, 1]`."""
        import torch

        if not window.percent:
            return torch.full((1, 1, 1, 1), window.low, device=pixels.device), torch.full(
                (1, 1, 1, 1), window.high, device=pixels.device
            )
        flat = pixels.flatten(2)
        flat = flat[..., :: max(1, flat.shape[2] // SAMPLED)]
        ranks = torch.tensor([window.low / 100, window.high / 100], device=pixels.device)
        low, high = flat.quantile(ranks, dim=2)[..., None, None]
        return low, torch.maximum(high, low + 1)  # an image of one value has no width
