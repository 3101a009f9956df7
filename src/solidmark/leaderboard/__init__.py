"""Leaderboards: from records to rows, curves, ranks and pages. Pure functions of records; nothing here imports torch."""

from ..findings import Finding, Series
from ..schema.numbers import Estimate, Share
from ..schema.row import (
    NO_BLOCK,
    NO_CLAIM,
    NO_CLASS,
    NO_CONTENT,
    NO_MAP,
    NO_OWN,
    NO_POWER,
    NO_REFUSAL,
    NO_WAYS,
    NO_WORST,
    Attempt,
    Claimed,
    Content,
    ContentDistance,
    ContentScore,
    Controls,
    Cost,
    DenoisingLoss,
    Marks,
    MemoryMap,
    Negative,
    Refused,
    Reported,
    Row,
    Scored,
    Utility,
    Work,
    Worst,
)
from .build import Leaderboard, TestbedFacts, build_leaderboard
from .curves import Curve
from .excess import CurveVerdict, Excess
from .incidents import Incident
from .matched import MatchedComparison
from .outcomes import Outcome
from .ranking import RankedFamily, Ranking
from .yardsticks import JointVerdict

__all__ = [
    "NO_BLOCK",
    "NO_CLAIM",
    "NO_CLASS",
    "NO_CONTENT",
    "NO_MAP",
    "NO_OWN",
    "NO_POWER",
    "NO_REFUSAL",
    "NO_WAYS",
    "NO_WORST",
    "Attempt",
    "Claimed",
    "Content",
    "ContentDistance",
    "ContentScore",
    "Controls",
    "Cost",
    "Curve",
    "CurveVerdict",
    "DenoisingLoss",
    "Estimate",
    "Excess",
    "Finding",
    "Incident",
    "JointVerdict",
    "Leaderboard",
    "Marks",
    "MatchedComparison",
    "MemoryMap",
    "Negative",
    "Outcome",
    "RankedFamily",
    "Ranking",
    "Refused",
    "Reported",
    "Row",
    "Scored",
    "Series",
    "Share",
    "TestbedFacts",
    "Utility",
    "Work",
    "Worst",
    "build_leaderboard",
]  # fmt: skip
