"""Techniques that serve more than one competition; each is a frozen dataclass that wraps the stages it changes."""

from kagglekit import hookimpl
from kagglekit_techniques.dense_crf import DenseCRF
from kagglekit_techniques.ensembles import EpochEnsemble, Vote
from kagglekit_techniques.fitted import FitViews, GreedyEnsemble, WeightAverage
from kagglekit_techniques.heads import ClassHead, DeepSupervision
from kagglekit_techniques.losses import LabelSmoothing
from kagglekit_techniques.multi_window import MultiWindow
from kagglekit_techniques.tta import FlipTTA, ScaleTTA, TurnTTA
from kagglekit_techniques.windows import GridWindows, RandomWindows


@hookimpl
def kk_techniques():
    """All of them."""
    return [
        ClassHead,
        DeepSupervision,
        DenseCRF,
        EpochEnsemble,
        FitViews,
        FlipTTA,
        GreedyEnsemble,
        GridWindows,
        LabelSmoothing,
        MultiWindow,
        RandomWindows,
        ScaleTTA,
        TurnTTA,
        Vote,
        WeightAverage,
    ]
