"""Leaderboards: from records to rows, curves, ranks and pages. Pure functions of records; nothing here imports torch."""

from ..findings import Finding, Series
from ..metrics.scores import Estimate, Share
from .aggregate import Bound, Distance, Number
from .blocks import Controls, Cost, DenoisingLoss, Negative, Scored, Utility, Worst
from .build import Leaderboard, TestbedFacts, leaderboard
from .curves import Curve
from .excess import Excess, Standing
from .incidents import Incident
from .matched import Fairness
from .outcomes import Outcome
from .paired import OverSeeds
from .ranking import Place, Ranking
from .reported import Claimed, Refused, Telling
from .rows import NO_CLAIM, NO_CLASS, NO_POWER, NO_REFUSAL, NO_WORST, Attempt, Row

__all__ = [
    "NO_CLAIM", "NO_CLASS", "NO_POWER", "NO_REFUSAL", "NO_WORST", "Attempt", "Bound", "Claimed", "Controls", "Cost",
    "Curve", "DenoisingLoss", "Distance", "Estimate", "Excess", "Fairness", "Finding", "Incident", "Leaderboard",
    "Negative", "Number", "Outcome", "OverSeeds", "Place", "Ranking", "Refused", "Row", "Scored", "Series", "Share",
    "Standing", "Telling", "TestbedFacts", "Utility", "Worst", "leaderboard",
]  # fmt: skip
