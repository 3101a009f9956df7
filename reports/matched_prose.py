"""The words of the matched comparison: what verdicts and ranks go by, by both yardsticks or by keys only."""

from __future__ import annotations

from solidmark.leaderboard import Leaderboard
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.excess import EQUAL, WIDEST
from solidmark.leaderboard.measures import CONTENT

TITLE = "Less memory at the same utility?"
RANKING = "At matched utility"

_CURVES = (
    "The settings of a family make a curve: how much is remembered against the share of the baseline's utility that is "
    "left. The reference of a stage is plain under-fitting, plain lower guidance, or plain fine-tuning: only a curve below "
    "it mitigates. Excess is the mean distance below the reference over losses of up to "
    f"{100 * WIDEST:.0f} % of the utility, paired over seeds."
)
_OTHERS = f"Equal: within ±{EQUAL:g}. Worse: above it. Undecided: these seeds cannot say."
_RANGES = (
    "A rank is a range: one more than the families whose whole 95 % interval lies below its own, up to all but those whose "
    "interval lies above, where luck in the losses does not explain it. Ranks are taken pair by pair, without correction "
    "for their number: of ten equal families some pair is told apart in up to 8 % of the runs with three seeds, and in up "
    "to 28 % with six where memory falls off a cliff next to that loss (simulated, design/ranks.md). So read a range as "
    "one pair at a time. Families that share a letter do not differ after Holm's correction for all pairs."
)
_MATCHED = f"at a loss of at most {100 * MATCHED:.0f} % of the baseline's utility, read off each family's curve"


def keys_only(board: Leaderboard) -> bool:
    """Whether no family of any testbed was read by content."""
    return all(comparison.keys_only for comparison in board.matched)


def about(board: Leaderboard) -> str:
    """What the comparison with references says."""
    if keys_only(board):
        return (
            f"{_CURVES} Remembered is M*, the worst case over queries. Real: at least {EQUAL:g} of M below the reference, "
            f"significant after Holm's correction for all families. {_OTHERS} Keys only: these records hold no content, so "
            "nobody looked whether images whose keys are gone still come back."
        )
    return (
        f"{_CURVES} What is remembered is read by two yardsticks: keys (M*, the worst case over queries) and content "
        f"({CONTENT.title}, from the own caption or from any, whichever shows more). Both are 0 at chance and 1 at the "
        "most, but in between their scales differ, so each is compared with the reference's curve by the same yardstick. "
        f"The worse of both is the verdict. Real: at least {EQUAL:g} below the reference in keys and in content, at the "
        f"same settings, each significant after Holm's correction for all families. {_OTHERS}"
    )


def about_ranking(board: Leaderboard) -> str:
    """What the ranking goes by."""
    if keys_only(board):
        return f"M* {_MATCHED}. {_RANGES}"
    worse = f"The worse of both yardsticks, M* or content ({CONTENT.title})"
    return f"{worse}, {_MATCHED}; one choice of settings counts with both. {_RANGES} Families without content have no rank."
