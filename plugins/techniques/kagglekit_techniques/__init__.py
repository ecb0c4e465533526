"""Techniques that serve more than one competition; each is a frozen dataclass that wraps the stages it changes."""

from kagglekit import hookimpl
from kagglekit_techniques.co_teaching import CoTeaching
from kagglekit_techniques.decisions import Decide
from kagglekit_techniques.dense_crf import DenseCRF
from kagglekit_techniques.ensembles import EpochEnsemble, Vote
from kagglekit_techniques.group_findings import GroupFindings
from kagglekit_techniques.heads import ClassHead, DeepSupervision
from kagglekit_techniques.label_rules import LabelRules
from kagglekit_techniques.losses import LabelSmoothing
from kagglekit_techniques.multi_window import MultiWindow
from kagglekit_techniques.near_duplicates import NearDuplicates
from kagglekit_techniques.tta import FlipTTA, ScaleTTA, TurnTTA
from kagglekit_techniques.windows import GridWindows, RandomWindows


@hookimpl
def kk_techniques():
    """All of them."""
    return [
        ClassHead,
        CoTeaching,
        Decide,
        DeepSupervision,
        DenseCRF,
        EpochEnsemble,
        FlipTTA,
        GridWindows,
        GroupFindings,
        LabelRules,
        LabelSmoothing,
        MultiWindow,
        NearDuplicates,
        RandomWindows,
        ScaleTTA,
        TurnTTA,
        Vote,
    ]
