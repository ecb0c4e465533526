"""Labels that look wrong by themselves, or beside all other labels; no network is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kagglekit import Dataset, Finding, Sample, hookimpl

if TYPE_CHECKING:
    from kagglekit_techniques.label_facts import Facts

CHANCE = 0.1  # share of labels that would fit better elsewhere above which this says nothing
LEAST = 20  # labels below which nothing is said about what is usual


@dataclass(frozen=True)
class LabelRules:
    """Distrust labels that are empty, tiny, huge, fragmented, loose, turned, or of an unusual area.

    `z`: the area of a label (share of the image, of each class, log; pixels too where images differ in size) and
    the number of its pieces lie at most this far from the median, in robust standard deviations. The 2nd place of the
    Korean hair contest kept polygon areas with |z| < 1.2 of the plain z-score, which drops a fifth of all labels; the
    default spares whoever has much hair or little. `tiny`, `huge`: shares of the image. `empty`: empty labels are
    distrusted unless more than this share of all are. `loose`: by how much (0 to 1) the outline lies on edges of the
    image better when the mask is shrunk or grown. `turned`: by how much (0 to 2) the mask fits edges and colours
    better when turned by 90, 180 or 270 degrees; neither says anything where more than 10% of the labels do. 0
    switches off `z`, `tiny`, `huge`, `loose` and `turned`, a negative one `empty`; without `loose` and `turned` no
    image is read.
    """

    name: ClassVar[str] = "label-rules"
    z: float = 4.5
    tiny: float = 0.0002
    huge: float = 0.95
    empty: float = 0.05
    loose: float = 0.125
    turned: float = 0.12

    def __post_init__(self):
        if (
            self.z < 0
            or not 0 <= self.loose <= 1
            or not 0 <= self.tiny < 1
            or not 0 <= self.huge <= 1
            or self.empty > 1
        ):
            raise ValueError("z must be >= 0, loose lie in 0..1, tiny, huge and empty be shares of 1")
        if not 0 <= self.turned <= 2:
            raise ValueError("turned must lie in 0..2")

    @classmethod
    def space(cls):
        """How strict the rules are that compare labels."""
        from optuna.distributions import FloatDistribution

        return {"z": FloatDistribution(1.5, 6.0), "loose": FloatDistribution(0.05, 0.3)}

    @classmethod
    def by_default(cls, dataset: Dataset) -> bool:
        """Is `kk clean` to use it where a recipe does not say how to clean?"""
        return True

    @classmethod
    def suggest(cls, facts):
        """Where its own rules find something."""
        from kagglekit_techniques.reasons import named

        found = {rule: n for rule, n in facts["findings"]["rules"].items() if rule.startswith(f"{cls.name}/")}
        if sum(found.values()) < max(2, 0.005 * facts["sampled"]["labels"]):
            return None
        rules = named([rule.removeprefix(f"{cls.name}/") for rule in found])
        return f"It finds {sum(found.values())} faults ({rules}); it leaves such labels out of training."

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset, competition):
        """What was found so far, and what these rules find."""
        found = yield
        from kagglekit.api import each_sample, track
        from kagglekit_techniques.label_facts import measure

        edges = bool(self.loose or self.turned)
        task, classes = competition.task, len(competition.classes)
        pairs = list(
            each_sample(
                dataset.train,
                lambda sample: measure(dataset, sample, task, classes, edges),
                track,
                "looking at the labels",
            )
        )
        return [*found, *self.findings_of([s for s, _ in pairs], [f for _, f in pairs], competition.classes)]

    def findings_of(self, samples: Sequence[Sample], facts: Sequence[Facts], classes: Sequence[str]) -> list[Finding]:
        """The findings, in order of samples; a label that shows nothing is only said to do so."""
        import numpy as np

        found: dict[str, list[Finding]] = {sample.id: [] for sample in samples}
        blank = [one.share == 0 for one in facts]
        plain = [not none and one.share >= self.tiny for none, one in zip(blank, facts, strict=True)]
        suspicious = np.mean(blank) <= self.empty if blank else False
        for sample, one, none in zip(samples, facts, blank, strict=True):
            if none and suspicious:
                found[sample.id].append(self._finding(sample, "empty", 1.0, "the label covers no pixel"))
            elif not none and one.share < self.tiny:
                text = f"the label covers {one.share:.4%} of the image"
                found[sample.id].append(self._finding(sample, "tiny", self.tiny / one.share, text))
            elif self.huge and one.share > self.huge:
                text = f"the label covers {one.share:.1%} of the image"
                found[sample.id].append(self._finding(sample, "huge", one.share / self.huge, text))
        used = [(s, f) for s, f, fine in zip(samples, facts, plain, strict=True) if fine]
        for finding in (*self._unusual(used, classes), *self._against_image(used)):
            found[finding.sample].append(finding)
        return [finding for sample in samples for finding in found[sample.id]]

    def _unusual(self, used: Sequence[tuple[Sample, Facts]], classes: Sequence[str]) -> Iterator[Finding]:
        """Areas and numbers of pieces that are far from those of all others."""
        import numpy as np

        if not self.z:
            return
        sizes = {sample.size for sample, _ in used}
        for k in range(len(used[0][1].areas) if used else 0):
            shown = [(s, f) for s, f in used if f.areas[k] > 0]
            measures = {"area": [f.areas[k] for _, f in shown]}
            if len(sizes) > 1:
                measures["pixels"] = [f.areas[k] * s.size[0] * s.size[1] for s, f in shown]
            what = f" of {classes[-len(used[0][1].areas) :][k]}" if len(used[0][1].areas) > 1 else ""
            for rule, values in measures.items():
                for (sample, one), value in zip(shown, robust_z(np.log(values)), strict=True):
                    if abs(value) > self.z:
                        side = "small" if value < 0 else "large"
                        text = f"unusually {side}{what}: {one.areas[k]:.2%} of the image (z {value:+.1f})"
                        yield self._finding(sample, rule, abs(value), text)
        pieces = robust_z(np.log([max(1, one.pieces) for _, one in used]), floor=0.5)
        for (sample, one), value in zip(used, pieces, strict=True):
            if value > self.z:
                yield self._finding(sample, "fragmented", value, f"the label falls into {one.pieces} pieces")

    def _against_image(self, used: Sequence[tuple[Sample, Facts]]) -> Iterator[Finding]:
        """Outlines that would fit their image better elsewhere."""
        outlined = [(sample, one.fit) for sample, one in used if one.fit is not None]
        turns = telling([fit.turn() for _, fit in outlined], self.turned)
        moves = telling([fit.move() for _, fit in outlined], self.loose)
        for (sample, _), (turn, angle), (move, share) in zip(outlined, turns, moves, strict=True):
            if turn:
                text = f"turned by {angle} degrees the label fits edges and colours of the image better"
                yield self._finding(sample, "turned", turn / self.turned, text)
            if move:
                way = f"{'shrunk' if share < 0 else 'grown'} by {abs(share):.0%} of the image's side"
                text = f"the outline lies beside the edges of the image: {way} it fits better"
                yield self._finding(sample, "loose", move / self.loose, text)

    def _finding(self, sample: Sample, rule: str, score: float, detail: str) -> Finding:
        return Finding(sample.id, f"{self.name}/{rule}", round(float(score), 4), "drop", detail)


def telling(gains: Sequence[tuple[float, float]], least: float) -> list[tuple[float, float]]:
    """(gain, how) of each label where the gain is at least `least`, else (0, 0); `least` 0 switches it off.

    Where many labels gain, outlines follow no edges (clouds), and the best of several tries is chance: all are (0, 0).
    """
    reached = [bool(least) and gain >= least for gain, _ in gains]
    chance = sum(reached) > max(1, CHANCE * len(gains))
    return [pair if yes and not chance else (0.0, 0.0) for pair, yes in zip(gains, reached, strict=True)]


def robust_z(values: Sequence[float], floor: float = 1e-3):
    """Distances from the median in units of 1.4826 times the median absolute deviation, at least `floor`.

    All 0 for fewer than `LEAST` values: of so few nobody can say what is usual.
    """
    import numpy as np

    values = np.asarray(values, float)
    if len(values) < LEAST:
        return np.zeros(len(values))
    middle = np.median(values)
    return (values - middle) / max(floor, 1.4826 * float(np.median(np.abs(values - middle))))
