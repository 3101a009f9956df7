"""The table of a leaderboard on a terminal: a row a line with the verdict of its family, the families that help on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from ..schema.numbers import Estimate
from ..schema.row import Content
from .colours import STYLES, bar, paint

if TYPE_CHECKING:
    from ..leaderboard import Leaderboard, TestbedFacts
    from ..leaderboard.standing import Standing

MEMORY = "M★ (0 is chance)"
"""M of the worst query; of those that a user of the service can send, where a method acts at sampling."""


BOUND = "M★ is a lower bound: what the strongest query finds lies within the interval"
"""Told below the first table."""


def tables(board: Leaderboard, *, colours: bool = False) -> str:
    """The table of each testbed with what the verdicts add up to, and how the yardsticks differ in some rows."""
    from ..leaderboard.standing import standings

    parts: list[str] = []
    for facts in board.testbeds:
        found = standings(board, facts)
        title = [paint(facts.title, "bold", on=colours)] if len(board.testbeds) > 1 else []
        shown = [*title, _table(found, colours=colours), *([] if parts else [BOUND])]
        parts.append("\n".join([*shown, *_disagreements(found), *_summary(found, facts)]))
    return "\n\n".join(parts)


def _table(found: Sequence[Standing], *, colours: bool) -> str:
    shown = any(standing.row.content for standing in found)
    content = ["content (0.5 is chance)"] if shown else []
    headers = ["mitigation", "verdict", MEMORY, *([""] if colours else []), "certified", *content, "accuracy"]
    lines = [cells(standing, shown=shown, colours=colours) for standing in found]
    return tabulate(lines, headers=headers, disable_numparse=True)


def cells(standing: Standing, *, shown: bool = False, colours: bool = False) -> list[str]:
    """A line of the table; `shown` where any row has content."""
    row, memory, word = standing.row, standing.memory, standing.word
    bars = [] if not colours else [bar(abs(memory.value)) if memory is not None else ""]
    accuracy = row.utility.accuracy if row.utility is not None else None
    missing = "–" if row.ok else ""  # the reason is on the page
    return [
        row.mitigation,
        paint(word, STYLES.get(word, "red"), on=colours),
        interval(memory) if memory is not None else "",
        *bars,
        _certified(standing),
        *([_content(row.content) if row.ok else ""] if shown else []),
        missing if accuracy is None else f"{accuracy.share:.2f}",
    ]


def interval(estimate: Estimate, *, sign: bool = False) -> str:
    """`0.880 [0.860, 0.900]`, with a sign where asked; without limits the value alone."""
    form = "{:+.3f}" if sign else "{:.3f}"
    if estimate.low is None or estimate.high is None:
        return form.format(estimate.value)
    return f"{form} [{form}, {form}]".format(estimate.value, estimate.low, estimate.high)


def _certified(standing: Standing) -> str:
    share = standing.certified
    return f"{share.count} of {share.of}" if share is not None else ""


def _content(content: Content | None) -> str:
    """AUROC from the own caption and from any: `own 0.97, any 0.90`."""
    scores = {"own": content.own, "any": content.any} if content is not None else {}
    return ", ".join(f"{name} {score.auroc.value:.2f}" for name, score in scores.items() if score is not None) or "–"


def _disagreements(found: Sequence[Standing]) -> list[str]:
    return [f"{one.row.mitigation}: {one.row.disagreement}" for one in found if one.row.disagreement]


def _summary(found: Sequence[Standing], facts: TestbedFacts) -> list[str]:
    """How many families have each verdict, named where it is a finding; what a verdict needs where no row has it."""
    from ..leaderboard.paired import FEWEST
    from ..leaderboard.standing import tally

    families = tally(found)
    if not families:
        return []
    told = [
        f"{len(names)} {word}" + (f" ({', '.join(names)})" if word != "undecided" else "")
        for word, names in families.items()
    ]
    seeds = max(len(standing.row.seeds) for standing in found)
    few = [f"a verdict needs {FEWEST} seeds, and this run has {seeds}: add --seeds 0-{FEWEST - 1}"] if seeds < FEWEST else []
    return ["", f"families: {', '.join(told)}", *few]
