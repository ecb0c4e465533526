"""Hairstyles: the guide curves of every style and the locks of hair that follow them, in head units."""

import numpy as np

from .locks import POINTS, Cut, Lock, hairline, outline, sheet


def _side(cut: Cut, sign: int, tip: float, flare: float) -> list:
    """Guides of the hair of one side: from the parting round the forehead down to y = `tip`."""
    p, v = cut.parting, cut.volume
    inner = [(p, -0.9), (p + (sign * 0.86 - p) * 0.62, -0.78), (sign * 0.84, -0.45), (sign * 0.93, 0.0)]
    outer = [(p, -1.34 - v), (sign * 0.62 + p * 0.3, -1.24 - v), (sign * (1.02 + v), -0.72), (sign * (1.1 + v), 0.05)]
    if tip > 0.3:
        middle = (tip + 0.1) / 2
        inner += [(sign * 0.92, middle), (sign * (0.8 + flare), tip)]
        outer += [(sign * (1.14 + v + flare * 0.6), middle), (sign * (1.08 + v + flare), tip)]
    return [inner, outer]


def _curtain(
    rng: np.random.Generator, cut: Cut, count: int = 100, flare: float = 0.05, curls: float = 2.0
) -> list[Lock]:
    """Hair falling from the parting: behind the shoulders, or in front of them on the forward sides."""
    locks = []
    wide = 1.1 + cut.volume
    if cut.length > 0.5:
        guides = [
            [(x * 0.7, -1.2), (x * wide, -0.2), (x * (wide + 0.05), cut.length * 0.5), (x * (wide + flare), cut.length)]
            for x in np.linspace(-1, 1, 5)
        ]
        locks.append(Lock(sheet(rng, guides, count, wave=cut.wave, curls=curls, ragged=0.2), 0.1, behind=True))
    for sign in (-1, 1):
        over = cut.forward in (sign, 2)
        tip = cut.length if over else min(cut.length, 1.25)
        inward = -0.3 if over else flare
        if cut.forward == 2 and cut.length > 1.6:  # gathered in front: the face becomes a hole
            inward = -0.8
        strands = sheet(rng, _side(cut, sign, tip, inward), count, wave=cut.wave, curls=curls * tip / cut.length)
        locks.append(Lock(strands, 0.09))
    return locks


def _fringe(rng: np.random.Generator, cut: Cut) -> list[Lock]:
    """Hair over the forehead."""
    if cut.fringe == "none":
        return []
    sweep = {"straight": 0.0, "swept": 0.35 * np.sign(cut.parting or 1), "strands": 0.1}[cut.fringe]
    tips = {"straight": -0.3, "swept": -0.42, "strands": -0.2}[cut.fringe]
    guides = [
        [
            (cut.parting + 0.35 * x, -1.33 - cut.volume),
            (0.85 * x, -1.02 - cut.volume * 0.5 - 0.16 * (1 - x * x)),
            (0.88 * x, -0.65),
            (0.86 * x - sweep, tips + 0.14 * x * x - 0.25 * sweep * x),
        ]
        for x in np.linspace(-1, 1, 5)
    ]
    if cut.fringe == "strands":
        return [Lock(sheet(rng, guides, 9, spread=0.05, ragged=0.5), 0.07, solid=False)]
    return [Lock(sheet(rng, guides, 70, wave=cut.wave * 0.4, ragged=0.1), 0.08)]


def _pulled(rng: np.random.Generator, cut: Cut, reach: float = 1.0) -> list[Lock]:
    """Hair combed tightly from the hairline to the back of the head."""
    a = np.linspace(-reach, reach, 9)
    start, end = hairline(a), outline(a * 0.93, min(cut.volume, 0.08))
    guides = [[s, s * 0.6 + e * 0.4 + (0, -0.03), s * 0.25 + e * 0.75, e] for s, e in zip(start, end, strict=True)]
    return [Lock(sheet(rng, guides, 110, spread=0.02, ragged=0.05), 0.08)]


def _tail(rng: np.random.Generator, cut: Cut, root: tuple, lean: float, width: float, **place) -> Lock:
    """A bound tail of hair hanging from `root`; a negative `lean` hangs to the left."""
    x, y = root
    drop = cut.length - y
    guides = [
        [
            (x + 0.1 * u, y),
            (x + lean * 0.6 + width * u, y + drop * 0.25),
            (x + lean + width * 1.1 * u, y + drop * 0.6),
            (x + lean * 0.9 + width * 0.35 * u, cut.length),
        ]
        for u in (-1, 0, 1)
    ]
    return Lock(sheet(rng, guides, 60, wave=cut.wave, curls=3, ragged=0.25), 0.08, **place)


def _braid(rng: np.random.Generator, cut: Cut, root: tuple, lean: float, **place) -> Lock:
    """A plaited tail: short tufts that cross each other from side to side."""
    x, y = root
    steps = np.linspace(0, 1, 9)
    tufts = []
    for step, tall in zip(steps, np.linspace(1.0, 0.6, 9), strict=True):
        cx, cy, half = x + lean * np.sqrt(step), y + (cut.length - y) * step, 0.2 * tall
        side = 1 if round(step * 8) % 2 else -1
        guides = [
            [
                (cx - side * half, cy + o - 0.1),
                (cx - side * half * 0.3, cy + o - 0.1),
                (cx + side * half * 0.6, cy + o + 0.08),
                (cx + side * half * 0.5, cy + o + 0.22),
            ]
            for o in (-0.08, 0.1)
        ]
        tufts.append(sheet(rng, guides, 12, spread=0.015, ragged=0.05))
    return Lock(np.concatenate(tufts), 0.07, **place)


def _coils(rng: np.random.Generator, cut: Cut, back_view: bool) -> list[Lock]:
    """A round cloud of small curls."""
    reach = 0.25 + cut.volume * 1.6
    count = 420
    a, depth = rng.uniform(-1.25, 1.25, count), rng.random(count) ** 0.7
    near = hairline(np.clip(a, -1, 1)) + np.stack([np.zeros(count), np.maximum(0, np.abs(a) - 1) * 1.5], -1)
    if back_view:
        near = near * 0.3 + (0, 0.5)
    far = outline(a, reach) * (1 + rng.normal(0, 0.03, (count, 1)))
    middle = near * (1 - depth[:, None]) + far * depth[:, None]
    angle = rng.uniform(0, 6.3, (count, 1)) + np.linspace(0, 7, POINTS)[None] * rng.choice([-1, 1], (count, 1))
    radius = (rng.uniform(0.04, 0.11, (count, 1)) * np.linspace(1, 0.45, POINTS))[..., None]
    strands = middle[:, None] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return [Lock(strands, 0.2)]


def _short(rng: np.random.Generator, cut: Cut, top: float) -> list[Lock]:
    """Short hair: combed sides and tufts standing `top` above the forehead."""
    close = cut._replace(volume=min(cut.volume, 0.1))
    locks = [Lock(sheet(rng, _side(close, sign, 0.0, 0.0), 60, ragged=0.1), 0.08) for sign in (-1, 1)]
    lean = 0.3 * np.sign(cut.parting or 1)
    guides = [
        [
            (0.74 * x, -0.82 + 0.25 * x * x),
            (0.86 * x - lean * 0.2, -1.12 + 0.2 * x * x),
            (0.9 * x + lean * 0.2, -1.36 - top * 0.6 + 0.3 * x * x),
            (0.72 * x + lean, -1.36 - top + 0.4 * x * x + 0.2 * lean * x),
        ]
        for x in np.linspace(-1, 1, 7)
    ]
    return [*locks, Lock(sheet(rng, guides, 110, spread=0.06, wave=cut.wave * 0.6, ragged=0.45), 0.07)]


def _balding(rng: np.random.Generator, cut: Cut) -> list[Lock]:
    """Hair left at the sides only: two regions in a front view."""
    locks = []
    for sign in (-1, 1):
        guides = [
            [(sign * 0.82, -0.72), (sign * 0.9, -0.35), (sign * 0.96, 0.05)],
            [(sign * 0.98, -0.85), (sign * (1.12 + cut.volume), -0.4), (sign * (1.1 + cut.volume), 0.3)],
        ]
        locks.append(Lock(sheet(rng, guides, 60, spread=0.03, wave=cut.wave, ragged=0.2), 0.07))
    return locks


def _wreath(rng: np.random.Generator, cut: Cut) -> Lock:
    """The ring of hair of a bald head, seen from behind."""
    guides = [
        [(1.02 * x, -0.3 + 0.15 * (1 - x * x)), (1.04 * x, 0.1), (0.9 * x, 0.75 - 0.2 * abs(x))]
        for x in np.linspace(-1, 1, 7)
    ]
    return Lock(sheet(rng, guides, 120, spread=0.04, wave=cut.wave, ragged=0.25), 0.08)


def _ropes(rng: np.random.Generator, cut: Cut, width: float, count: int) -> list[Lock]:
    """Dreadlocks or wet hair: separate ropes over a thinner undercoat."""
    locks = [Lock(sheet(rng, _side(cut, sign, 0.2, 0.0), 60), 0.09) for sign in (-1, 1)]
    back = [
        [(x * 0.7, -1.2), (x * 1.1, -0.2), (x * 1.2, cut.length * 0.6), (x * 1.25, cut.length)]
        for x in np.linspace(-1, 1, 5)
    ]
    locks.insert(0, Lock(sheet(rng, back, count + 6, wave=0.03, ragged=0.3), width, behind=True, solid=False))
    for sign in (-1, 1):
        guides = _side(cut, sign, cut.length, 0.1)
        locks.append(Lock(sheet(rng, guides, count, spread=0.04, wave=0.04, ragged=0.35), width, solid=False))
    return locks


def _from_behind(rng: np.random.Generator, cut: Cut) -> list[Lock]:
    """The back of the head, covered down to the nape or to the length of the hair."""
    tip = max(0.75, cut.length)
    narrow = 0.75 if cut.length < 0.6 else 1.0
    guides = [
        [
            (0.15 * x + cut.parting * 0.3, -1.1),
            (x * (0.8 + cut.volume), -1.25 - cut.volume + 0.6 * abs(x) ** 3),
            (x * (1.1 + cut.volume), -0.1),
            (x * (1.1 + cut.volume) * narrow, tip * 0.55 + 0.15),
            (x * (1.0 + cut.volume) * narrow**2, tip - 0.15 * abs(x)),
        ]
        for x in np.linspace(-1, 1, 7)
    ]
    return [Lock(sheet(rng, guides, 190, wave=cut.wave, curls=3, ragged=0.12), 0.11)]


def bands(cut: Cut) -> list[tuple[float, float]]:
    """Where the hair is tied, (x, y) in head units: the ties are not hair and part the pigtails from the head."""
    return [(-1.2, 0.12), (1.2, 0.12)] if cut.style in ("pigtails", "braids") else []


def _pigtails(rng: np.random.Generator, cut: Cut) -> list[Lock]:
    """Two tails beside the head, each a region of its own below its tie."""
    grow = _braid if cut.style == "braids" else _tail
    size = {} if cut.style == "braids" else {"width": 0.24 + cut.volume * 0.4}
    return [
        grow(rng, cut, root=(sign * 1.26, 0.22), lean=sign * 0.22, part=part, **size)
        for sign, part in ((-1, "left"), (1, "right"))
    ]


def _bun(rng: np.random.Generator, cut: Cut, y: float) -> Lock:
    """A ball of hair wound round its centre."""
    radius = (0.32 + cut.volume * 0.6) * np.sqrt(rng.random((90, 1)))
    angle = rng.uniform(0, 6.3, (90, 1)) + np.linspace(0, 3.2, POINTS)[None]
    ring = np.stack([np.cos(angle) * 1.15, np.sin(angle)], axis=-1)
    return Lock(radius[..., None] * ring + (cut.parting * 0.5, y), 0.09)


def locks_of(rng: np.random.Generator, cut: Cut, back_view: bool) -> list[Lock]:
    """All the hair of one person seen from the front or from behind, in drawing order.

    Raises KeyError for a style that is not in STYLES.
    """
    if back_view and cut.style not in ("afro", "balding", "mohawk"):
        closed = cut._replace(length=0.6) if cut.style in ("ponytail", "bun", "pigtails", "braids") else cut
        return [*_from_behind(rng, closed), *_EXTRAS.get(cut.style, lambda *_: [])(rng, cut)]
    if cut.style == "afro":
        return _coils(rng, cut, back_view)
    if back_view and cut.style == "balding":
        return [*_balding(rng, cut), _wreath(rng, cut)]
    return [*STYLES[cut.style](rng, cut), *_fringe(rng, cut)]


def _mohawk(rng: np.random.Generator, cut: Cut) -> list[Lock]:
    guides = [
        [(0.3 * x, -0.85), (0.32 * x, -1.2), (0.35 * x, -1.5), (0.45 * x + 0.1, -1.75 - cut.volume)] for x in (-1, 0, 1)
    ]
    return [Lock(sheet(rng, guides, 90, spread=0.05, ragged=0.4), 0.08)]


# what is seen from behind on top of the covered head
_EXTRAS = {
    "pigtails": _pigtails,
    "braids": _pigtails,
    "ponytail": lambda rng, cut: [_tail(rng, cut, (0.0, -0.3), 0.05, 0.34)],
    "bun": lambda rng, cut: [_bun(rng, cut, -0.9)],
}
STYLES = {
    "pigtails": lambda rng, cut: [*_pulled(rng, cut), *_pigtails(rng, cut)],
    "braids": lambda rng, cut: [*_pulled(rng, cut), *_pigtails(rng, cut)],
    "long": lambda rng, cut: _curtain(rng, cut),
    "wavy": lambda rng, cut: _curtain(rng, cut, flare=0.2, curls=2.5),
    "curly": lambda rng, cut: _curtain(rng, cut, count=130, flare=0.3, curls=4.5),
    "bob": lambda rng, cut: _curtain(rng, cut, flare=-0.12),
    "short": lambda rng, cut: _short(rng, cut, 0.1),
    "quiff": lambda rng, cut: _short(rng, cut, 0.1 + cut.volume),
    "afro": lambda rng, cut: _coils(rng, cut, back_view=False),
    "ponytail": lambda rng, cut: [_tail(rng, cut, (0.55, -0.6), 0.85, 0.26, behind=True), *_pulled(rng, cut)],
    "bun": lambda rng, cut: [_bun(rng, cut, -1.6), *_pulled(rng, cut)],
    "balding": _balding,
    "mohawk": _mohawk,
    "wet": lambda rng, cut: _ropes(rng, cut, 0.1, 20),
    "dreads": lambda rng, cut: _ropes(rng, cut, 0.15, 13),
}
