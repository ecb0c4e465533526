"""Techniques that serve more than one competition; each is a frozen dataclass that wraps the stages it changes."""

from kagglekit import hookimpl
from kagglekit_techniques.augment import Coloring, HeavyAugment, LightAugment, ObjectPaste, SelfMix
from kagglekit_techniques.cleanup import FillHoles, LargestComponent, MinArea
from kagglekit_techniques.co_teaching import CoTeaching
from kagglekit_techniques.decisions import Decide
from kagglekit_techniques.ensembles import EpochEnsemble, Vote
from kagglekit_techniques.fitted import FitViews, GreedyEnsemble, WeightAverage
from kagglekit_techniques.group_findings import GroupFindings
from kagglekit_techniques.heads import ClassHead, DeepSupervision
from kagglekit_techniques.label_rules import LabelRules
from kagglekit_techniques.losses import IgnoreClass, LabelSmoothing, ProspectiveFilter, SmallLoss
from kagglekit_techniques.multi_window import MultiWindow
from kagglekit_techniques.near_duplicates import NearDuplicates
from kagglekit_techniques.pseudo_labels import PseudoLabels
from kagglekit_techniques.samplers import BalancedClasses, GroupLimit, MaskFractionBins, WeightedDraws
from kagglekit_techniques.tta import CropTTA, FlipTTA, ScaleTTA, TurnTTA
from kagglekit_techniques.windows import GridWindows, RandomWindows


@hookimpl
def kk_techniques():
    """All of them."""
    return [
        BalancedClasses,
        ClassHead,
        Coloring,
        CropTTA,
        CoTeaching,
        Decide,
        DeepSupervision,
        EpochEnsemble,
        FitViews,
        FillHoles,
        FlipTTA,
        GreedyEnsemble,
        GridWindows,
        GroupLimit,
        HeavyAugment,
        IgnoreClass,
        GroupFindings,
        LabelRules,
        LabelSmoothing,
        LargestComponent,
        LightAugment,
        MaskFractionBins,
        MinArea,
        MultiWindow,
        ObjectPaste,
        ProspectiveFilter,
        PseudoLabels,
        NearDuplicates,
        RandomWindows,
        ScaleTTA,
        SelfMix,
        SmallLoss,
        TurnTTA,
        Vote,
        WeightAverage,
        WeightedDraws,
    ]
