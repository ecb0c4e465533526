"""One wrong label seldom comes alone."""

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from kagglekit import Finding, hookimpl


@dataclass(frozen=True)
class GroupFindings:
    """Distrust all labels of a group (a person, a patient) once at least `share` of them are distrusted.

    Whoever drew one label of a person wrong often drew the others alike. Only groups with at least `least` distrusted
    samples count, and only what techniques before this one found; so put it before near-duplicates, whose findings are
    no wrong labels.
    """

    name: ClassVar[str] = "group-findings"
    share: float = 0.75
    least: int = 2

    def __post_init__(self):
        if not 0 < self.share <= 1 or self.least < 1:
            raise ValueError("share must lie in 0..1 (0 excluded), least be at least 1")

    @hookimpl(wrapper=True)
    def kk_clean(self, dataset):
        """What was found so far, and the rest of the groups that it is true of."""
        found = yield
        distrusted = {one.sample for one in found if one.action == "drop"}
        groups = defaultdict(list)
        for sample in dataset.train:
            if sample.group:
                groups[sample.group].append(sample.id)
        ours = []
        for group, names in groups.items():
            wrong = tuple(sorted(name for name in names if name in distrusted))
            if len(wrong) >= self.least and len(wrong) >= self.share * len(names):
                text = f"{len(wrong)} of the {len(names)} labels of {group} are distrusted"
                score = round(len(wrong) / len(names), 4)
                ours += [Finding(n, self.name, score, "drop", text, wrong) for n in sorted(set(names) - set(wrong))]
        return [*found, *ours]
