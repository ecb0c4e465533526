"""Turn numpy arrays into inline images: JPEG and PNG data URIs, overlays of label maps, and SVG curves."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Color = tuple[int, int, int]

HIT: Color = (64, 190, 205)
MISSED: Color = (255, 150, 20)
FALSE_ALARM: Color = (232, 0, 120)
WRONG_CLASS: Color = (255, 238, 70)
WHITE: Color = (255, 255, 255)

# Chosen to stay apart for colour-blind readers and to shine on dark photos; later classes walk the hue circle.
CLASS_COLORS: tuple[Color, ...] = (
    (255, 212, 59), (86, 190, 255), (255, 120, 60), (60, 220, 150), (240, 130, 200), (160, 150, 255), (215, 235, 110),
)  # fmt: skip

# Matplotlib knows no CSS variables: curves are drawn in these stand-ins, which are exchanged in the finished SVG.
_NAMES = ("accent", "muted", "line", "surface", "second", "third")
_STAND_INS = {"#010101": "currentColor", **{f"#01010{i}": f"var(--{name})" for i, name in enumerate(_NAMES, 2)}}
INK, ACCENT, MUTED, LINE, SURFACE, SECOND, THIRD = _STAND_INS


@dataclass(frozen=True)
class Curve:
    """One line of a chart: x and y of its points, its colour (a stand-in such as ACCENT) and whether it is dashed."""

    points: tuple[tuple[float, float], ...]
    color: str
    dashed: bool = False


def png_data_uri(image: np.ndarray) -> str:
    """Encode an image without loss as a data URI; image is uint8 [H, W] or RGB [H, W, 3]."""
    return _data_uri("png", image, [])


def jpeg_data_uri(image: np.ndarray, limit_bytes: int | None = None) -> str:
    """Encode an RGB image as a JPEG data URI; image is uint8 [H, W, 3].

    The quality is 80, and sinks in steps to 20 while the data URI is longer than limit_bytes.
    """
    import cv2

    # Full colour resolution: halved chroma smears the thin coloured outlines.
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    for quality in (80, 65, 50, 35, 20):
        uri = _data_uri("jpeg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
        if limit_bytes is None or len(uri) <= limit_bytes:
            break
    return uri


def scaled_photo(image: np.ndarray, side: int = 320) -> np.ndarray:
    """Scale a photo so that its longer side is `side` pixels; uint8 [H, W, 3] in and out."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image.copy()
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def truth_overlay(image: np.ndarray, labels: np.ndarray, side: int = 320) -> np.ndarray:
    """Draw every class of a mask as an outline over the photo, several classes with a light tint too.

    image is uint8 [H, W, 3], labels uint8 [H, W] with 0 = background, or [H, W, K] with a plane for each class, which
    then counts from 1; returns uint8 [h, w, 3] with longer side `side`.
    Raises ValueError when the two differ in size.
    """
    _check_same_size(image, labels)
    overlay = scaled_photo(image, side)
    classes = _classes(labels)
    for index in classes:
        # A single class is clear from its outline; several need a tint to be told apart.
        overlay = _blend(overlay, _plane(labels, index), class_color(index), 0.0 if len(classes) == 1 else 0.3)
    return _outlined(overlay, labels, {index: class_color(index) for index in classes})


def error_overlay(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, side: int = 320) -> np.ndarray:
    """Colour hits, misses, false alarms and wrong classes over a greyed photo.

    image is uint8 [H, W, 3], truth and predicted are masks as in truth_overlay; returns uint8 [h, w, 3] with longer
    side `side`. Predictions of several classes are outlined too. Raises ValueError when sizes differ.
    """
    _check_same_size(image, truth, predicted)
    overlay = _pale_grey(scaled_photo(image, side))
    kinds = error_kinds(truth, predicted)
    for name, color, strength in (
        ("hit", HIT, 0.42),
        ("missed", MISSED, 0.92),
        ("false alarm", FALSE_ALARM, 0.88),
        ("wrong class", WRONG_CLASS, 0.92),
    ):
        overlay = _blend(overlay, kinds[name], color, strength)
    classes = _classes(predicted)
    if len({*classes, *_classes(truth)}) <= 1:
        return overlay
    # White, because the colours of classes would be mistaken for those of errors.
    return _outlined(overlay, predicted, dict.fromkeys(classes, WHITE), thickness=1)


def error_kinds(truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Split the pixels of a prediction into hit, missed, false alarm and wrong class: bool [H, W] each.

    Where classes overlap, a pixel is a hit only if all of its classes are right.
    """
    inside, claimed, same = truth > 0, predicted > 0, truth == predicted
    if truth.ndim == 3:
        inside, claimed, same = (np.asarray(one) for one in (inside.any(-1), claimed.any(-1), same.all(-1)))
    return {
        "hit": inside & same,
        "missed": inside & ~claimed,
        "false alarm": ~inside & claimed,
        "wrong class": inside & claimed & ~same,
    }


def class_color(index: int) -> Color:
    """Give the RGB colour of a class; index is 1 or more."""
    if index <= len(CLASS_COLORS):
        return CLASS_COLORS[index - 1]
    import colorsys

    # The golden ratio keeps neighbouring indices far apart on the hue circle.
    red, green, blue = colorsys.hls_to_rgb((index * 0.618034) % 1.0, 0.66, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def overlay_legend(label_maps: Iterable[np.ndarray], names: Sequence[str] = (), most: int = 12) -> dict[str, object]:
    """Explain the colours used for masks: "kinds" of error and "classes" as (name, CSS colour) pairs.

    `names` are those of class 1, 2, ... At most `most` classes are named; "more" counts the others.
    """
    classes = sorted({index for labels in label_maps for index in _classes(labels)})
    several = len(classes) > 1
    kinds = [("hit", HIT), ("missed", MISSED), ("false alarm", FALSE_ALARM)] + several * [("wrong class", WRONG_CLASS)]
    known = {index: name for index, name in enumerate(names, 1) if several}
    unknown = "class {}" if several else "outline"
    named = [(known.get(index, unknown.format(index)), class_color(index)) for index in classes[:most]]
    return {
        "kinds": [(name, css_color(color)) for name, color in kinds],
        "classes": [(name, css_color(color)) for name, color in named],
        "more": len(classes) - len(named),
    }


def css_color(color: Color) -> str:
    """Write an RGB colour as CSS hex."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def line_chart(name: str, curves: Sequence[Curve], marks: Sequence[tuple[float, float]], label: str) -> str:
    """Draw curves over epochs as an inline SVG element whose colours follow the page's CSS variables.

    name makes the ids inside unique on the page; marks are points ringed on top of the curves; label is the text for
    screen readers. The same input gives the same text. Raises ValueError without any point.
    """
    if not any(curve.points for curve in curves):
        raise ValueError("a chart needs at least one point")
    return svg_chart(name, lambda axes: _draw_axes(axes, curves, marks), label)


def svg_chart(name: str, draw: Callable[[Any], None], label: str, size: tuple[float, float] = (6.0, 3.2)) -> str:
    """Let `draw(axes)` fill a chart, and give it as an inline SVG element; name and label as for `line_chart`."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text (the page's own font), and a fixed salt makes ids independent of the clock.
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "kagglekit",
        "font.size": 10.5,
        "axes.unicode_minus": False,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline_svg(buffer.getvalue(), name, label)


def _draw_axes(axes, curves: Sequence[Curve], marks: Sequence[tuple[float, float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for curve in (curve for curve in curves if curve.points):
        x, y = zip(*curve.points, strict=True)
        # A lone epoch has no line, and many epochs need no dots.
        dots = {"marker": "o", "markersize": 4.5} if len(x) <= 24 else {}
        style = (0, (4, 2.5)) if curve.dashed else "-"
        axes.plot(x, y, color=curve.color, linewidth=2.0, linestyle=style, solid_capstyle="round", **dots)
    if marks:
        x, y = zip(*marks, strict=True)
        axes.scatter(x, y, s=95, facecolors=SURFACE, edgecolors=ACCENT, linewidths=2.4, zorder=5)
    dress(axes)
    axes.set_xlabel("epoch", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(y=0.09)
    epochs = [x for curve in curves for x, _ in curve.points]
    margin = max(0.5, 0.04 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)


def dress(axes) -> None:
    """Leave of an axes frame what a reader needs: a base line and quiet horizontal rules."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, pad=7)


def _inline_svg(text: str, name: str, label: str) -> str:
    body = text[text.index("<svg") :]
    found = re.search(r'viewBox="([^"]+)"', body)
    view_box = found[1] if found else ""
    body = body[body.index(">") + 1 :]
    # Two charts on one page must not share ids.
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    for stand_in, css in _STAND_INS.items():
        body = body.replace(stand_in, css)
    opening = f'<svg class="chart" viewBox="{view_box}" role="img" aria-label="{html.escape(label)}"'
    return f'{opening} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body.strip()}'


def _data_uri(kind: str, image: np.ndarray, options: list[int]) -> str:
    import cv2

    channels_reversed = image if image.ndim == 2 else image[:, :, ::-1]
    done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(channels_reversed), options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} could not be encoded as {kind}")
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _check_same_size(image: np.ndarray, *label_maps: np.ndarray) -> None:
    for labels in label_maps:
        if labels.shape[:2] != image.shape[:2]:
            raise ValueError(f"label map of shape {labels.shape} over a photo of shape {image.shape}")


def _classes(labels: np.ndarray) -> list[int]:
    if labels.ndim == 3:
        return [index for index in range(1, labels.shape[2] + 1) if labels[..., index - 1].any()]
    return [int(index) for index in np.unique(labels) if index > 0]


def _plane(labels: np.ndarray, index: int) -> np.ndarray:
    """bool [H, W]: where a mask shows a class."""
    return labels[..., index - 1] > 0 if labels.ndim == 3 else labels == index


def _coverage(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Give how much of each target pixel the mask covers; bool [H, W] in, float32 [height, width] in 0..1 out."""
    import cv2

    shrinking = height <= mask.shape[0]
    way = cv2.INTER_AREA if shrinking else cv2.INTER_NEAREST
    return cv2.resize(mask.astype(np.float32), (width, height), interpolation=way)


def _blend(overlay: np.ndarray, mask: np.ndarray, color: Color, strength: float) -> np.ndarray:
    alpha = strength * _coverage(mask, *overlay.shape[:2])[:, :, None]
    return np.rint(overlay * (1 - alpha) + np.array(color, dtype=np.float32) * alpha).astype(np.uint8)


def _outlined(overlay: np.ndarray, labels: np.ndarray, colors: dict[int, Color], thickness: int = 2) -> np.ndarray:
    import cv2

    outlines = []
    for index in colors:
        # A quarter of a pixel is enough to count: structures thinner than a shown pixel must stay visible.
        shown = (_coverage(_plane(labels, index), *overlay.shape[:2]) >= 0.25).astype(np.uint8)
        outlines.append(cv2.findContours(shown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0])
    # A soft dark line beneath keeps the outlines visible on bright photos.
    halo = overlay.copy()
    for contours in outlines:
        cv2.drawContours(halo, contours, -1, (15, 15, 20), thickness + 2, cv2.LINE_AA)
    overlay = cv2.addWeighted(halo, 0.5, overlay, 0.5, 0)
    for color, contours in zip(colors.values(), outlines, strict=True):
        cv2.drawContours(overlay, contours, -1, color, thickness, cv2.LINE_AA)
    return overlay


def _pale_grey(overlay: np.ndarray) -> np.ndarray:
    grey = overlay @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.repeat(np.rint(40 + grey * 0.78).astype(np.uint8)[:, :, None], 3, axis=2)
