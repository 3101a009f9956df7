"""The ranking at matched utility as a table: by the worse of both yardsticks, or by keys where no content was measured."""

from __future__ import annotations

from dataclasses import dataclass

from solidmark.leaderboard import Leaderboard, MatchedComparison, RankedFamily, Row, TestbedFacts
from solidmark.leaderboard.curves import MATCHED
from solidmark.leaderboard.measures import CONTENT
from solidmark.leaderboard.paired import FEWEST

from .table import OVER_SEEDS, PLAIN, TEXT, TIMES, Column


@dataclass(frozen=True)
class RankingLine:
    """One family of a ranking, with the row of its setting, and where it stands by keys and by content alone.

    One that lacks content where others have it stands by keys alone: it has no rank.
    """

    family: RankedFamily
    row: Row | None
    keys: RankedFamily | None = None
    content: RankedFamily | None = None
    ranked: bool = True


def ranking_lines(board: Leaderboard, facts: TestbedFacts) -> list[RankingLine]:
    """The ranking of a testbed by its leading utility, then the families that have no rank."""
    comparison = board.comparison(facts)
    axis, rows = comparison.axis, {row.mitigation: row for row in board.of(facts)}
    ranking, by_keys = comparison.leading_ranking(axis), comparison.ranking_on(axis)
    if ranking is None:
        return []
    keys = {family.family: family for family in by_keys.families} if by_keys else {}
    contents = comparison.ranking_on(axis, CONTENT.name)
    content = {family.family: family for family in contents.families} if contents else {}
    ranked = {family.family: family for family in ranking.families}
    return [
        RankingLine(family, rows.get(family.setting), keys.get(name), content.get(name), name in ranked)
        for name, family in {**ranked, **{name: family for name, family in keys.items() if name not in ranked}}.items()
    ]


def without_rank(comparison: MatchedComparison) -> str:
    """Which families have no rank, and why, in a sentence; empty where all have one."""
    ranking = comparison.leading_ranking(comparison.axis)
    reasons: dict[str, list[str]] = {}
    for family, why in (ranking.unranked if ranking is not None else {}).items():
        reasons.setdefault(why, []).append(family)
    listed = "; ".join(f"{', '.join(families)} ({why})" for why, families in reasons.items())
    return f"Without a rank: {listed}." if listed else ""


def ranking_columns(comparison: MatchedComparison) -> tuple[Column[RankingLine], ...]:
    """The columns of the ranking: by both yardsticks, where content was measured."""
    matched = (_matched(),) if comparison.keys_only else _worse_of_both()
    ranking = comparison.leading_ranking(comparison.axis)
    told = ranking is not None and ranking.pairs > 0
    return (*_ranks(told=told), *_WHO, *matched, *_SETTING)


def _ranks(*, told: bool) -> tuple[Column[RankingLine], ...]:
    """Rank and groups; a dash where no two families could be compared, as with one seed."""
    missing = "its content was not measured" if told else f"a rank needs {FEWEST} seeds"
    return (
        Column(
            "ranks",
            "rank",
            "The ranks that it may have.",
            TEXT,
            lambda line: line.family.ranks if line.ranked and told else None,
            missing=missing,
        ),
        Column(
            "groups",
            "groups",
            "Families that share a letter do not differ significantly.",
            TEXT,
            lambda line: " ".join(line.family.groups) if line.ranked and told else None,
            missing=missing,
        ),
    )


def _label(line: RankingLine) -> str:
    kind = " (reference)" if line.family.reference else " (control)" if line.family.control else ""
    return f"{line.family.family}{kind}"


def _matched() -> Column[RankingLine]:
    return Column(
        "matched",
        "M*",
        "M* at matched utility, with its interval over seeds.",
        OVER_SEEDS,
        lambda line: line.family.matched,
        note=f"at most {100 * MATCHED:.0f} % loss; chance 0",
        better="lower",
    )


def _worse_of_both() -> tuple[Column[RankingLine], ...]:
    """What ranks, and each yardstick by itself."""
    note = f"at most {100 * MATCHED:.0f} % loss; chance 0"
    return (
        Column(
            "matched",
            "worse of both",
            "What is remembered at matched utility by the worse yardstick, where one choice of settings counts with both.",
            OVER_SEEDS,
            lambda line: line.family.matched if line.ranked else None,
            note=note,
            better="lower",
            missing="its content was not measured",
        ),
        Column("worse", "worse by", "The yardstick by which more is left.", TEXT, _worse, missing="keys only"),
        Column(
            "matched_keys",
            "keys alone",
            "M* at matched utility.",
            OVER_SEEDS,
            lambda line: line.keys and line.keys.matched,
            note="M*",
            better="lower",
        ),
        Column(
            "matched_content",
            "content alone",
            f"{CONTENT.title} at matched utility, from the own caption or from any, whichever shows more.",
            OVER_SEEDS,
            lambda line: line.content and line.content.matched,
            note=CONTENT.title,
            better="lower",
            missing="its content was not measured",
        ),
    )


def _worse(line: RankingLine) -> str | None:
    if line.keys is None or line.content is None:
        return None
    keys, content = line.keys.matched.value, line.content.matched.value
    return "keys" if keys > content else "content"


_WHO: tuple[Column[RankingLine], ...] = (
    Column("family", "family", "The technique.", TEXT, _label),
    Column("stage", "stage", "When it acts.", TEXT, lambda line: line.family.stage),
)

_SETTING: tuple[Column[RankingLine], ...] = (
    Column(
        "setting",
        "best setting",
        "The setting that remembers least at matched utility.",
        TEXT,
        lambda line: line.family.setting or None,
        missing="no setting keeps so much utility: what is left is between the baseline and the weakest setting",
    ),
    Column(
        "training",
        "training",
        "Evaluations of training and editing at that setting, divided by the baseline's training.",
        PLAIN,
        lambda line: line.row and line.row.cost and line.row.cost.relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
    Column(
        "sampling",
        "sampling",
        "Evaluations an image at that setting, divided by the baseline's.",
        PLAIN,
        lambda line: line.row and line.row.cost and line.row.cost.sampling_relative,
        note="of baseline",
        better="lower",
        form=TIMES,
    ),
)
